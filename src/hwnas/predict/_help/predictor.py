"""HELP and the meta-learners that it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import ArchError, PredictError, UsageError
from hwnas.predict._base import LatencyPredictor
from hwnas.predict._help.adapted import AdaptedNetwork, Scorer
from hwnas.predict._help.checkpoint import read_checkpoint
from hwnas.predict._help.encodings import Encoding
from hwnas.predict._help.meta import Meta, Tasks
from hwnas.predict._help.modulation import Modulation
from hwnas.predict._help.network import Network
from hwnas.predict._help.pool import SPAN, Pool, embedding, scaled
from hwnas.predict._help.references import published_references
from hwnas.predict._help.training import MetaProgress, MetaSchedule, Training
from hwnas.predict._samples import checked_latencies
from hwnas.predict._sources import SourceTable, arch_key
from hwnas.predict._stored import PredictorState
from hwnas.space import Arch

_REFERENCES = 10
_DRAWS = 10
"""Draws of z whose predictions are averaged."""


class MetaLearned(LatencyPredictor):
    """A network whose initial weights are learnt over devices, so that a few steps adapt it.

    The network reads graphs of NAS-Bench-201, and vectors of every other space.

    Args:
        seed: of the initial weights, the episodes, and the draws at adaptation.
        device: what PyTorch computes on, such as `cuda`; `auto` takes a GPU if there is one.
        schedule: of the meta-training.
        width: of the network's layers.

    Raises:
        UsageError: PyTorch cannot compute on this device.
    """

    learns_rates: ClassVar[bool] = True
    """Whether the inner steps have learnt rates, one for each weight."""

    def __init__(
        self,
        seed: int = 0,
        *,
        device: str = "auto",
        schedule: MetaSchedule | None = None,
        width: int = 100,
    ) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = (str(error).splitlines() or ["unknown"])[0]
            raise UsageError(f"PyTorch cannot compute on '{device}': {reason}") from error
        self._device = torch.device(device)
        self._seed = seed
        self._schedule = schedule or MetaSchedule()
        self._width = width
        self._references: tuple[Arch, ...] = ()
        self._encoding: Encoding | None = None
        self._meta: Meta | None = None

    def fit(
        self,
        sources: SourceTable,
        *,
        validation: Sequence[str] = (),
        checkpoint: Path | None = None,
        progress: Callable[[MetaProgress], None] | None = None,
    ) -> None:
        """Meta-train on the devices of the table.

        Args:
            validation: devices of the table that are not trained on. Of the weights at every
                `schedule.every` episodes, those are kept that rank the archs of these devices best;
                without such devices, the last weights.
            checkpoint: a file that the training writes every `schedule.every` episodes, and goes
                on from if it is there. It stays when the training is done.
            progress: called after each episode.

        Raises:
            PredictError: no source devices, an unknown validation device, too few archs, or the
                checkpoint is of another training.
        """
        sources.only(validation)
        trained = [name for name in sources.devices if name not in validation]
        if not trained:
            raise PredictError(f"{self.name} learns from source devices, and there is none")
        encoding = Encoding(sources.space, sources.input_shape, sources.num_classes)
        references = self._choose_references(sources)
        pool = Pool(sources, encoding, references, self._schedule.samples, self._device)
        meta = self._initial(encoding, len(references))
        training = Training(meta, pool, trained, validation, self._schedule, self._seed)
        self._meta = training.run(checkpoint, progress)
        self._references, self._encoding = references, encoding
        self.space = sources.space
        self.input_shape, self.num_classes = sources.input_shape, sources.num_classes

    def adapt(
        self,
        archs: Sequence[Arch],
        latencies: Sequence[float],
        *,
        published_bounds: tuple[float, float] | None = None,
    ) -> AdaptedNetwork:
        """The network after a few steps on the measured archs.

        Args:
            published_bounds: adapt as the published evaluation does, for its tables. It takes the
                steps on the archs other than HELP's references alone, and scales scores by the
                range of the target's latencies (ms) over the middle of the whole pool, so two
                numbers of hundreds of measurements more are known to it. Without it all measured
                archs serve for everything, and nothing else is known.

        Raises:
            PredictError: nothing was learnt yet, a latency is not positive, or HELP's reference
                archs are not all among the archs.
        """
        meta, encoding = self._learnt()
        values = checked_latencies(archs, latencies)
        low, high = published_bounds or (float(values.min()), float(values.max()))
        encoded = encoding(archs)
        places = self._reference_rows(archs)
        support = np.arange(len(archs))
        if published_bounds is not None and len(places) < len(archs):
            support = np.setdiff1d(support, places)
        draws, noise, embeddings = 1, None, None
        if places:
            draws = _DRAWS
            embeddings = torch.from_numpy(embedding(values[places])).to(self._device)
            embeddings = embeddings.expand(draws, -1)
            generator = torch.Generator().manual_seed(self._seed)
            size = Modulation(meta.network).size
            noise = torch.randn(draws, size, generator=generator).to(self._device)
        encoded = encoded[support].to(self._device)
        if encoded.dim() == 3:
            encoded = encoded.transpose(0, 1)
        scores = torch.from_numpy(scaled(values[support], low, high)).to(self._device)
        tasks = Tasks(encoded.expand(draws, *encoded.shape), scores.expand(draws, -1), embeddings)
        weights, _ = meta.adapted(tasks, noise, self._schedule.steps, differentiable=False)
        scorer = Scorer(meta, encoding, weights, embeddings)
        return AdaptedNetwork(scorer, archs, values, (high - low) / SPAN)

    def suggest(
        self,
        n: int,
        candidates: Sequence[Arch],
        *,
        measured: Sequence[tuple[Arch, float]] = (),
    ) -> list[Arch]:
        """HELP's reference archs, whether they are candidates or not; then candidates at random."""
        self._learnt()
        known = {arch_key(arch) for arch, _ in measured}
        first = [arch for arch in self._references if arch_key(arch) not in known]
        known |= {arch_key(arch) for arch in first}
        order = np.random.default_rng(self._seed).permutation(len(candidates))
        others = [candidates[row] for row in order if arch_key(candidates[row]) not in known]
        if n > len(first) + len(others):
            raise PredictError(f"{n} archs are asked for, and {len(first) + len(others)} are left")
        return [*first, *others][:n]

    def state(self) -> PredictorState:
        """See `LatencyPredictor`."""
        meta, _ = self._learnt()
        return PredictorState(
            self.space,
            self.input_shape,
            self.num_classes,
            {
                "seed": self._seed,
                "width": self._width,
                "schedule": asdict(self._schedule),
                "references": [dict(arch) for arch in self._references],
            },
            {name: value.detach().cpu().numpy() for name, value in meta.parameters().items()},
        )

    @classmethod
    def of_state(cls, state: PredictorState) -> Self:
        """See `LatencyPredictor`."""
        try:
            schedule = MetaSchedule(**state.setting("schedule", dict))
            references = tuple(dict(arch) for arch in state.setting("references", list))
        except (TypeError, ValueError) as error:
            raise PredictError(f"the stored predictor is damaged: {error}") from error
        made = cls(state.setting("seed", int), schedule=schedule, width=state.setting("width", int))
        made.space, made.input_shape = state.space, state.input_shape
        made.num_classes = state.num_classes
        arrays = {name: torch.from_numpy(array) for name, array in state.arrays.items()}
        try:
            made._take(references, arrays)
        except PredictError as error:
            raise PredictError(f"the stored predictor is damaged: {error}") from error
        return made

    def _choose_references(self, sources: SourceTable) -> tuple[Arch, ...]:
        """The reference archs for a table; none where the network is not conditioned."""
        return ()

    def _reference_rows(self, archs: Sequence[Arch]) -> list[int]:
        """Where the reference archs stand among those.

        Raises:
            PredictError: one is not there.
        """
        rows = {arch_key(arch): row for row, arch in enumerate(archs)}
        missing = [arch for arch in self._references if arch_key(arch) not in rows]
        if missing:
            raise PredictError(
                f"HELP needs the latencies of its {len(self._references)} reference archs, and "
                f"{len(missing)} are not measured (suggest gives them); the first is {missing[0]}"
            )
        return [rows[arch_key(arch)] for arch in self._references]

    def _learnt(self) -> tuple[Meta, Encoding]:
        if self._meta is None or self._encoding is None:
            raise PredictError(f"{self.name} has learnt nothing yet: call fit first")
        return self._meta, self._encoding

    def _initial(self, encoding: Encoding, references: int) -> Meta:
        generator = torch.Generator().manual_seed(self._seed)
        network = Network(encoding.features, encoding.adjacency, references, self._width)
        return Meta.initial(network, self.learns_rates, generator, self._device)

    def _take(self, references: tuple[Arch, ...], tensors: Mapping[str, Tensor]) -> None:
        """Make learnt weights one's own; `space` and its companions are set.

        Raises:
            PredictError: a tensor is missing, unknown, of a wrong shape or not finite, or a
                reference is no arch of the space.
        """
        encoding = Encoding(self.space, self.input_shape, self.num_classes)
        try:
            encoding(references)
        except ArchError as error:
            raise PredictError(f"a reference arch is none of '{self.space}': {error}") from error
        meta = self._initial(encoding, len(references))
        meta.load(tensors)
        self._meta, self._encoding, self._references = meta, encoding, references


class HELP(MetaLearned):
    """HELP: hardware-adaptive efficient latency prediction (Lee et al., NeurIPS 2021).

    A device is known by its hardware embedding, the latencies of ten reference archs. The network
    reads it beside the arch, and a latent z inferred from it modulates the initial weights. A
    device must therefore measure the reference archs first (see `suggest`), and each measurement
    counts: what is published as ten samples is these ten and ten others.

    Args:
        references: the reference archs; when left out the published ones of NAS-Bench-201, FBNet
            and Once-for-All, if all devices of the table measured them, else ten at random.
    """

    name = "help"

    def __init__(
        self,
        seed: int = 0,
        *,
        device: str = "auto",
        schedule: MetaSchedule | None = None,
        width: int = 100,
        references: Sequence[Arch] | None = None,
    ) -> None:
        super().__init__(seed, device=device, schedule=schedule, width=width)
        self._wanted = None if references is None else tuple(references)

    @classmethod
    def from_checkpoint(
        cls, path: Path | str, space: str, *, seed: int = 0, device: str = "auto"
    ) -> HELP:
        """HELP with the weights that its authors published (`help_max_corr.pt`).

        Nothing in the file is unpickled but tensors and plain containers.

        Args:
            space: `nasbench201`, `fbnet` or `ofa_mobilenetv3`.

        Raises:
            PredictError: the file is no such checkpoint, or one of another space.
        """
        references = published_references(space)
        if not references:
            raise PredictError(f"there are no published weights of HELP for '{space}'")
        made = cls(seed, device=device)
        made.space, made.input_shape, made.num_classes = space, None, None
        tensors = read_checkpoint(Path(path))
        try:
            made._take(references, tensors)
        except PredictError as error:
            raise PredictError(f"{path} is no checkpoint of HELP for '{space}': {error}") from error
        return made

    @property
    def references(self) -> tuple[Arch, ...]:
        """The archs whose latencies are the hardware embedding, in order.

        Raises:
            PredictError: nothing was learnt yet.
        """
        self._learnt()
        return self._references

    def _choose_references(self, sources: SourceTable) -> tuple[Arch, ...]:
        if self._wanted is not None:
            return self._wanted
        # A latency that is missing is not a number, and neither is the sum over devices.
        measured = np.isfinite(np.sum(list(sources.latencies.values()), axis=0))
        rows = {arch_key(arch): row for row, arch in enumerate(sources.archs)}
        published = published_references(sources.space)
        places = [rows.get(arch_key(arch)) for arch in published]
        if places and all(place is not None and measured[place] for place in places):
            return published
        common = np.flatnonzero(measured)
        if len(common) < _REFERENCES:
            raise PredictError(
                f"HELP needs {_REFERENCES} reference archs that all devices measured; "
                f"the table has {len(common)}"
            )
        chosen = np.random.default_rng(self._seed).choice(common, _REFERENCES, replace=False)
        return tuple(sources.archs[row] for row in chosen)


class MetaSgd(MetaLearned):
    """Meta-SGD (Li et al., 2017) with HELP's network, without its hardware embedding and z."""

    name = "meta-sgd"


class MAML(MetaLearned):
    """MAML (Finn et al., ICML 2017) with HELP's network: one constant rate for the inner steps."""

    name = "maml"
    learns_rates = False
