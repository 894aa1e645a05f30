"""What a module computes, in plain text: the same for modules that take the same time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from hwnas.cost._tracing.inputs import Arguments


def described(module: nn.Module, arguments: Arguments) -> tuple[list[str], list[str]]:
    """The inputs and the operators of one call on tensors without data.

    A tensor is named by its number: inputs first, then weights as they are used and results as
    they come. Weights and inputs are written with type and shape. Names of modules do not matter,
    nor do values.

    Returns:
        inputs and operations, one text each.
    """
    recorder = _Recorder()
    given = tree_flatten((arguments.args, arguments.kwargs))[0]
    inputs = [recorder.text(value) for value in given]
    with torch.no_grad(), recorder:
        module(*arguments.args, **arguments.kwargs)
    return inputs, recorder.lines


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lines: list[str] = []
        self._numbers: dict[int, int] = {}
        self._held: list[Tensor] = []  # so that no id is used twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        words = [self.text(value) for value in args]
        words += [f"{name}={self.text(value)}" for name, value in kwargs.items()]
        result = func(*args, **kwargs)
        if str(func) != "aten.detach.default":
            made = ", ".join(self.text(x) for x in tree_flatten(result)[0])
            self.lines.append(f"{made} = {func}({', '.join(words)})")
        return result

    def text(self, value: Any) -> str:
        """A value as it stands in an operation; a tensor seen first with its type."""
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self.text, value))}]"
        if not isinstance(value, Tensor):
            return str(value)
        known = self._numbers.get(id(value))
        if known is not None:
            return f"%{known}"
        self._held.append(value)
        number = self._numbers[id(value)] = len(self._numbers)
        return f"%{number}:{_type(value)}"


def _type(tensor: Tensor) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    return f"{name}[{','.join(map(str, tensor.shape))}]"
