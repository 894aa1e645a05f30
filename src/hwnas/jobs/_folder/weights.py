"""Networks that begin with the weights that a search gave them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.jobs._folder.job import Job
from hwnas.jobs._folder.trial_folder import WEIGHTS

if TYPE_CHECKING:
    from torch import nn

    from hwnas.jobs._folder.spec import Parent
    from hwnas.space import SearchSpace


class WithWeights:
    """Builds the networks of chosen trials of a search with the weights that it left.

    They are read where a network is built, from the search's own files, and checked by their
    manifest; nothing is copied.
    """

    def __init__(self, space: SearchSpace, parent: Parent) -> None:
        self._space, self._parent = space, parent

    def build(self, arch: Mapping[str, Any]) -> nn.Module:
        """The network of a chosen trial's arch.

        Raises:
            HwnasError: the search or its weights are gone or damaged.
        """
        from safetensors.torch import load_model

        number = next(one.number for one in self._parent.chosen if one.arch == dict(arch))
        model = self._space.build(arch)
        (path,) = _weights(self._parent, number)
        load_model(model, str(path))
        return model


def with_weights(parent: Parent) -> Parent:
    """The link of a train job whose networks begin with the weights that its search left.

    Raises:
        HwnasError: weights are gone or damaged.
    """
    for chosen in parent.chosen:
        _weights(parent, chosen.number)
    return parent.model_copy(update={"weights": True})


def _weights(parent: Parent, number: int) -> list[Path]:
    return Job.open(parent.job).trial(number).fetch([WEIGHTS])


def builder(space: SearchSpace, parent: Parent | None) -> SearchSpace | WithWeights:
    """What builds the networks of a job's trials: the space, or one that sets weights as well."""
    return WithWeights(space, parent) if parent is not None and parent.weights else space
