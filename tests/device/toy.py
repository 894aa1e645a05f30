"""A runtime for tests of devices: its models are names of what their session is to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from hwnas.device import Inputs, Model, Runnable, Runtime
from hwnas.device._base import Prepared
from hwnas.device._runtimes.agreement import eager_outputs

SESSION = "tests.device.toy_session"


class Toy(Runtime):
    """Files hold the name of a module's class and its outputs; see `toy_session.py`."""

    name: ClassVar[str] = "toy"
    precisions: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32",)}
    session: ClassVar[str | None] = SESSION

    @property
    def version(self) -> str:
        return "1"

    def _prepare(self, model: Model, inputs: Inputs, folder: Path) -> Prepared:
        assert isinstance(model, nn.Module)
        outputs = [x.tolist() for x in eager_outputs(model, inputs)]
        path = folder / "toy.json"
        path.write_text(json.dumps({"what": type(model).__name__, "outputs": outputs}))
        return Prepared(path, path.stat().st_size)

    def _start(self, prepared: Prepared, inputs: Inputs) -> Runnable:
        raise NotImplementedError


class _Identity(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Doubles(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Slow(_Identity): ...


class Aborts(_Identity): ...


class AbortsLater(_Identity): ...


class Hangs(_Identity): ...


class NanOutput(_Identity): ...


class Wrong(_Identity): ...


class Refused(_Identity): ...
