"""Reading the weights that HELP's authors published."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hwnas.errors import PredictError

_GROUPS = {"model": "meta_learner.", "task_lr": "meta_learner.", "inference_network": ""}
"""The groups of tensors, and what stands before each name in them."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, named as `Meta.parameters` names them.

    The file is read without unpickling anything but tensors and plain containers.

    Raises:
        PredictError: the file is no such checkpoint.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or ["no message"])[0]
        raise PredictError(f"{path} cannot be read as a checkpoint of HELP: {reason}") from error
    tensors: dict[str, Tensor] = {}
    for group, prefix in _GROUPS.items():
        found = loaded.get(group) if isinstance(loaded, Mapping) else None
        if not isinstance(found, Mapping):
            raise PredictError(
                f"{path} is no checkpoint of HELP: it holds no tensors '{group}' (it must have "
                f"{', '.join(_GROUPS)})"
            )
        for name, value in found.items():
            if not isinstance(value, Tensor):
                raise PredictError(f"{path} is no checkpoint of HELP: {name} is no tensor")
            tensors[f"{group}.{str(name).removeprefix(prefix)}"] = value.float()
    return tensors
