"""What tells one call from another, in plain JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import fx, nn


def plain(value: Any, names: Mapping[fx.Node, str]) -> Any:
    """Arguments of a call as JSON; nodes by their `names`."""
    if isinstance(value, fx.Node):
        return names[value]
    if isinstance(value, (list, tuple)):
        return [plain(one, names) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one, names) for key, one in value.items()}
    if isinstance(value, slice):
        return ["slice", *(plain(one, names) for one in (value.start, value.stop, value.step))]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def module_facts(module: nn.Module) -> dict[str, Any]:
    """Class, settings and the shapes of the weights; not their values, which take no time."""
    settings = {
        name: plain(value, {})
        for name, value in sorted(vars(module).items())
        if not name.startswith("_") and isinstance(value, (bool, int, float, str, tuple, list))
    }
    weights = {
        name: [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for name, tensor in module.state_dict().items()
    }
    kind = type(module)
    return {
        "module": f"{kind.__module__}.{kind.__qualname__}",
        "repr": repr(module),
        "settings": settings,
        "weights": weights,
    }


def function_name(target: Any) -> str:
    """The same in every process: `torch._ops.aten.conv2d.default`, `torch.nn.functional.relu`."""
    if hasattr(target, "overloadpacket"):
        return str(target)
    module = getattr(target, "__module__", None)
    name = getattr(target, "__name__", None)
    return f"{module}.{name}" if module and name else str(name or type(target).__name__)
