"""What tells one ONNX node from another, in plain JSON values."""

from __future__ import annotations

import ast
from typing import Any

from hwnas.device._estimators.description import plain

_FEW = 16  # elements of a constant up to which its values count: axes, shapes, bounds


def typed(array: Any) -> str:
    """Shape and type of an array."""
    return f"{'x'.join(map(str, array.shape)) or 'scalar'} {array.dtype}"


def constant(tensor: Any) -> Any:
    """Shape and type of a stored tensor; and its values, if it is a short vector or a number."""
    import onnx

    array = onnx.numpy_helper.to_array(tensor)
    if array.ndim > 1 or array.size > _FEW or (array.dtype.kind == "f" and array.ndim):
        return typed(array)
    return [typed(array), plain(array.ravel().tolist(), {})]


def attribute_value(attribute: Any) -> Any:
    """The value of a node's attribute."""
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return constant(value)
    if hasattr(value, "SerializeToString"):  # a graph
        return value.SerializeToString(deterministic=True).hex()
    return _text(value) if isinstance(value, (int, float, bytes)) else [_text(x) for x in value]


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return plain(value, {})


def place(node: Any) -> str:
    """The path of the module that the exporter noted, and the operator."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            *modules, _ = ast.literal_eval(entry.value)
            path = str(modules[-1]) if modules else ""
            return f"{path}.{node.op_type}".strip(".")
    return str(node.name or node.op_type)
