"""The archs that keep limits on costs: counted, drawn, ranked, without trying them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hwnas.cost._feasible.best import ranked
from hwnas.cost._feasible.buckets import Units, rounded, units
from hwnas.cost._feasible.chain import chain
from hwnas.cost._feasible.fit import between, fitted, stacked
from hwnas.cost._feasible.limits import Count, Distribution, Limit, checked_limits, taken_apart
from hwnas.cost._feasible.lumps import Layer, drawn, every, lumped
from hwnas.cost._feasible.program import Program
from hwnas.cost._feasible.violation import least_violation
from hwnas.cost._tables.assembly import Tables
from hwnas.cost._tables.domain import Domain, TooLargeError
from hwnas.cost._tables.table import CostTable
from hwnas.errors import CostError

if TYPE_CHECKING:
    from hwnas.space import Arch, SearchSpace, Value

_RANKED = 4096
"""Buckets for a ranking."""
_TRIES = 1000


class FeasibleSet:
    """The archs of a space that keep all of some limits on costs made of tables.

    A limit on a `MaxTable` leaves out cells of tables. For limits on sums, a dynamic program runs
    over the decisions and over each cost in buckets, rounded down, so that it covers every arch
    that keeps the limits and a few more; each draw is checked against the true costs and redrawn if
    outside. So draws follow the stated distribution, restricted to the set, exactly, and none
    violates a limit. Each limit gets as many buckets as it takes for at least 95 % of the draws to
    be inside, as far as memory and about a second of work allow; `acceptance` is the share so far.

    `decisions`: each decision taken is uniform, given that the limits are kept. `archs`: uniform
    over the canonical archs in the set.

    Where the decisions hang together too closely (`method` is `markov chain`, `reason` says how
    large the tables would be), draws come from a Markov chain that never leaves the set: they
    follow the distribution only in the long run, and neighbouring draws resemble each other.

    Args:
        space: the space.
        limits: (cost, `<=` or `>=`, limit); all must hold.

    Raises:
        CostError: a cost belongs to another space, or a limit is not finite.
    """

    def __init__(
        self, space: SearchSpace, limits: Sequence[Limit], *, domain: Domain | None = None
    ) -> None:
        self.space = space
        self.limits = checked_limits(space, limits)
        tables = [cost.domain for cost, _, _ in self.limits]
        self.domain = domain or (tables[0] if tables else Domain(space.decisions))
        self.method: Literal["dynamic program", "markov chain"] = "dynamic program"
        self.reason = ""
        self._sums, self._guards = taken_apart(self.domain, self.limits)
        self._layers: list[Layer] = []
        self._units: list[Units] = []
        self._void = False
        self._programs: dict[str, Program | None] = {}
        self._drawn = self._kept = 0
        self._lock = threading.RLock()
        try:
            found = self._chained([])
            self._void = found is None
            self._layers, self._units = found or ([], [])
        except TooLargeError as error:
            self.method, self.reason = "markov chain", str(error)

    def __contains__(self, arch: object) -> bool:
        """Whether an arch keeps the limits.

        Raises:
            ArchError: it is no canonical arch of the space.
        """
        self.space.validate(arch)  # type: ignore[arg-type]
        return self.holds(arch)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return ", ".join(f"{cost.name} {op} {limit:g}" for cost, op, limit in self.limits)

    def holds(self, arch: Mapping[str, Value]) -> bool:
        """Whether a canonical arch keeps the limits."""
        return all(self._one(limit, arch) for limit in self.limits)

    def keeps(self, encoded: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which archs, encoded by `space.encode`, keep the limits: (n, decisions) -> (n,)."""
        inside = np.ones(len(encoded), bool)
        for cost, op, limit in self.limits:
            values = cost.evaluate(encoded)
            inside &= values <= limit if op == "<=" else values >= limit
        return inside

    @property
    def acceptance(self) -> float | None:
        """The share of draws of the dynamic program that kept the limits; None before any."""
        return self._kept / self._drawn if self._drawn else None

    def is_empty(self) -> bool:
        """Whether no arch keeps the limits.

        True is a proof; False means that an arch of the set is known. For one limit the answer is
        always one of the two.

        Raises:
            CostError: neither could be shown.
        """
        if self._void:
            return True
        best = [self.best_for(limit) for limit in self.limits]
        alone = [
            self._one(limit, arch)
            for limit, arch in zip(self.limits, best, strict=True)
            if arch is not None
        ]
        if not all(alone):
            return True
        if any(arch is not None and self.holds(arch) for arch in best) or not self.limits:
            return False
        if self.method == "dynamic program" and self._program("decisions") is None:
            return True
        self.draw_encoded(1, np.random.default_rng(0))
        return False

    @staticmethod
    def _one(limit: Limit, arch: Mapping[str, Value]) -> bool:
        cost, op, value = limit
        return cost(arch) <= value if op == "<=" else cost(arch) >= value

    def best_for(self, limit: Limit) -> Arch | None:
        """The arch that keeps one limit by the widest margin; None if that is not known."""
        cost, op, _ = limit
        try:
            return (cost.minimum() if op == "<=" else cost.maximum())[1]
        except CostError:
            return None

    def count(self) -> Count:
        """How many canonical archs are in the set: exact, or bounds where costs are rounded.

        Raises:
            CostError: there is no dynamic program for this set.
        """
        if self.method != "dynamic program":
            raise CostError(f"the archs cannot be counted: {self.reason}")
        if self._void:
            return Count(0, 0)
        if not self._guards and not self._binding():
            return Count(self.space.size(), self.space.size())
        bits = self.space.size().bit_length() + 1
        return Count(*between(self._layers, self._binding(), bits))

    def draw(
        self, n: int, rng: np.random.Generator, distribution: Distribution = "decisions"
    ) -> list[Arch]:
        """`n` archs of the set, independent (but see `method`).

        Raises:
            CostError: the set is empty, or no arch of it was found.
        """
        return [
            self.domain.arch([c if c >= 0 else size for c, size in zip(row, sizes, strict=True)])
            for sizes in [self.domain.choices]
            for row in self.draw_encoded(n, rng, distribution).astype(int).tolist()
        ]

    def draw_encoded(
        self, n: int, rng: np.random.Generator, distribution: Distribution = "decisions"
    ) -> NDArray[np.float64]:
        """The same as rows of `space.encode`."""
        if distribution not in ("decisions", "archs"):
            raise CostError(f"'{distribution}' is no distribution: decisions or archs")
        if self.method == "markov chain":
            from hwnas.cost._feasible.markov import walk

            return walk(self, n, rng, distribution)
        if self._void or (program := self._program(distribution)) is None:
            raise self._nothing()
        kept: list[NDArray[np.float64]] = []
        found = tried = 0
        while found < n:
            rows = self._proposals(program, max(32, int((n - found) * 1.1)), rng)
            inside = self.keeps(rows)
            with self._lock:
                self._drawn += len(rows)
                self._kept += int(inside.sum())
            kept.append(rows[inside][: n - found])
            found += len(kept[-1])
            tried += len(rows)
            if found == 0 and tried > _TRIES:
                best = [(limit, self.best_for(limit)) for limit in self.limits]
                if any(arch is not None and not self._one(limit, arch) for limit, arch in best):
                    raise self._nothing()
                raise CostError(f"none of {tried} candidates keeps {self}")
        return np.concatenate(kept) if kept else np.zeros((0, len(self.domain.sizes)))

    def k_best(self, score: CostTable, k: int, *, highest: bool = True) -> list[tuple[float, Arch]]:
        """The k archs of the set with the highest (or lowest) sum of tables `score`, best first.

        Exact; fewer if the set has fewer archs.

        Raises:
            CostError: there is no dynamic program for this set and score, or it rounds too much to
                rank the archs next to a limit.
        """
        return list(self._ranked(score, k, highest))

    def _ranked(self, score: CostTable, k: int, highest: bool) -> Iterator[tuple[float, Arch]]:
        if not isinstance(score, CostTable):
            raise CostError(f"no exact ranking by '{score.name}', which is no sum of tables")
        try:
            found = self._chained([score.tables])
        except TooLargeError as error:
            raise CostError(f"no exact ranking: {error}") from error
        if found is None:
            return
        layers, limits = found
        binding = [u for u in limits if u.room < u.most]
        share = int(_RANKED ** (1 / max(1, len(binding))))
        sign = 1.0 if highest else -1.0
        scores = [sign * layer.costs[-1] for layer in layers]
        weights = [layer.weights("archs") for layer in layers]
        widths = [-(-(u.room + 1) // share) for u in binding]
        parts = [rounded(layers, u, w, weights) for u, w in zip(binding, widths, strict=True)]
        takes, room = stacked(layers, parts)
        refused = 0
        for path in ranked(layers, takes, room, scores) if min(room, default=0) >= 0 else ():
            for codes in every(layers, path, len(self.domain.sizes)):
                if k <= 0:
                    return
                row = self.encoded(np.array(codes)[None, :])
                if not self.keeps(row)[0]:
                    refused += 1
                    break  # The others of this path cost the same.
                k -= 1
                yield float(score.evaluate(row)[0]), self.space.decode(row)[0]
            if refused > _TRIES:
                raise CostError(
                    f"no exact ranking: more than {_TRIES} archs come first that break a limit "
                    "by less than the rounding"
                )

    def least_violation(self) -> tuple[float, Arch]:
        """The arch with the smallest violation, and that: the sum over the limits of the fraction
        of the limit by which it is broken; zero for an arch of the set.

        Exact, unless for several limits that no arch keeps more than a million beginnings of
        archs would have to be followed; then it is the best found.

        Raises:
            CostError: the decisions hang together too closely.
        """
        if len(self.limits) == 1:
            cost, op, _ = self.limits[0]
            arch = (cost.minimum() if op == "<=" else cost.maximum())[1]
        elif not self.limits or not self.is_empty():
            return 0.0, self.draw(1, np.random.default_rng(0))[0]
        else:
            try:
                arch = self.domain.arch(least_violation(self.domain, self.limits))
            except TooLargeError as error:
                raise CostError(f"no exact least violation of {self}: {error}") from error
        return float(self.violation(self.space.encode([arch]))[0]), arch

    def violation(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of the fractions by which limits are broken: (n, decisions) -> (n,)."""
        total = np.zeros(len(encoded))
        for cost, op, limit in self.limits:
            excess = (cost.evaluate(encoded) - limit) / (abs(limit) or 1.0)
            total += np.maximum(0.0, excess if op == "<=" else -excess)
        return total

    def mutate(self, arch: Mapping[str, Value], rng: np.random.Generator) -> Arch:
        """A copy of `arch`, in the set, with one decision redrawn to another value.

        The decision is uniform among those that can change at all without leaving the set, its
        value uniform among the others that can be; decisions that become taken are drawn
        uniformly, given that the result is in the set.

        Raises:
            ArchError: `arch` does not belong to the space.
            CostError: no arch one decision away is in the set.
        """
        from hwnas.cost._feasible.mutation import mutated

        return mutated(self, arch, rng)

    def neighbours(self, arch: Mapping[str, Value]) -> list[Arch]:
        """All archs of the set one decision away, one for each decision and value.

        Decisions that become taken take their first choices that keep the limits.

        Raises:
            ArchError: `arch` does not belong to the space.
        """
        from hwnas.cost._feasible.mutation import neighbours

        return neighbours(self, arch)

    # The dynamic program.

    def _chained(self, more: Sequence[Tables]) -> tuple[list[Layer], list[Units]] | None:
        """The chain of all limits and more costs; None if no arch keeps a limit."""
        tables = [limit.tables for limit in self._sums]
        groups = chain(self.domain, [*tables, *more], self._guards)
        if any(len(group.source) == 0 for group in groups):
            return None
        layers = lumped(self.domain, groups)
        limits = [units(layers, i, s.limit, s.sign) for i, s in enumerate(self._sums)]
        return None if any(u.room < 0 for u in limits) else (layers, limits)

    def _binding(self) -> list[Units]:
        return [u for u in self._units if u.room < u.most]

    def _program(self, distribution: str) -> Program | None:
        with self._lock:
            if distribution not in self._programs:
                weights = [layer.weights(distribution) for layer in self._layers]
                self._programs[distribution] = fitted(self._layers, self._binding(), weights)
            return self._programs[distribution]

    def _proposals(self, program: Program, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        paths = program.draw(n, rng)
        return self.encoded(drawn(self._layers, paths, rng, len(self.domain.sizes)))

    def encoded(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rows of places on all axes of `domain` as rows of `space.encode`."""
        return np.where(codes == self.domain.choices, -1, codes).astype(np.float64)

    def _nothing(self) -> CostError:
        parts = []
        for cost, op, limit in self.limits:
            value = cost.minimum()[0] if op == "<=" else cost.maximum()[0]
            parts.append(f"{cost.name} {op} {limit:g} (the best arch has {value:g})")
        return CostError(f"no arch keeps {', '.join(parts)}")
