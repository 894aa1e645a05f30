"""Decisions as a graph: order, independent parts, exact counting, enumeration."""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Iterable, Iterator, Sequence

from hwnas.errors import SpaceError
from hwnas.space._decision import Decision
from hwnas.space._expr import Arch, Value

_STATES = 1 << 17


def ordered(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """The decisions so that conditions only look back, ties in natural order of the labels.

    The order does not depend on the one given.

    Raises:
        SpaceError: conditions form a cycle, or name a decision that does not exist.
    """
    by_label = {decision.label: decision for decision in decisions}
    children: dict[str, list[str]] = {label: [] for label in by_label}
    waiting = {label: len(decision.parents) for label, decision in by_label.items()}
    for label, decision in by_label.items():
        for parent in decision.parents:
            if parent not in children:
                raise SpaceError(f"the condition of '{label}' needs '{parent}', not in the space")
            children[parent].append(label)
    ready = [(_natural(label), label) for label, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        label = heapq.heappop(ready)[1]
        order.append(by_label[label])
        for child in children[label]:
            waiting[child] -= 1
            if waiting[child] == 0:
                heapq.heappush(ready, (_natural(child), child))
    if len(order) < len(by_label):
        cycle = ", ".join(sorted(label for label, count in waiting.items() if count))
        raise SpaceError(f"the conditions of these decisions form a cycle: {cycle}")
    return tuple(order)


def closure(decisions: Sequence[Decision], labels: Iterable[str]) -> tuple[Decision, ...]:
    """The decisions in `labels` and all that their conditions rest on, in the given order."""
    wanted = set(labels)
    for decision in reversed(decisions):
        if decision.label in wanted:
            wanted |= decision.parents
    return tuple(decision for decision in decisions if decision.label in wanted)


def archs(decisions: Sequence[Decision]) -> Iterator[Arch]:
    """Every combination of values, each once, decisions that are not taken left out."""
    arch: Arch = {}

    def visit(depth: int) -> Iterator[Arch]:
        while depth < len(decisions) and not decisions[depth].is_active(arch):
            depth += 1
        if depth == len(decisions):
            yield dict(arch)
            return
        decision = decisions[depth]
        for value in decision.choices:
            arch[decision.label] = value
            yield from visit(depth + 1)
        del arch[decision.label]

    yield from visit(0)


def count(decisions: Sequence[Decision]) -> int:
    """How many archs there are, exactly, without listing them."""
    return math.prod(_count_part(part) for part in _parts(decisions))


def _parts(decisions: Sequence[Decision]) -> list[list[Decision]]:
    """The connected components; decisions of different ones do not bear on each other."""
    part_of: dict[str, list[Decision]] = {}
    for decision in decisions:
        merged = [decision]
        for parent in decision.parents:
            if part_of[parent] is not merged:
                merged = part_of[parent] + merged
                for member in merged:
                    part_of[member.label] = merged
        part_of[decision.label] = merged
    return list({id(part): part for part in part_of.values()}.values())


def _count_part(decisions: list[Decision]) -> int:
    """Dynamic programming; a state holds only the values that later conditions still need."""
    users = {decision.label: 0 for decision in decisions}
    for decision in decisions:
        for parent in decision.parents:
            users[parent] += 1
    sizes = {decision.label: len(decision.choices) for decision in decisions}
    done: set[str] = set()
    kept: tuple[str, ...] = ()
    states: dict[tuple[Value | None, ...], int] = {(): 1}
    rest = list(decisions)
    while rest:

        def kept_after(decision: Decision, before: tuple[str, ...] = kept) -> tuple[str, ...]:
            still = [label for label in before if users[label] - (label in decision.parents) > 0]
            return (*still, decision.label) if users[decision.label] else tuple(still)

        ready = [decision for decision in rest if decision.parents <= done]
        decision = min(ready, key=lambda d: math.prod(sizes[label] for label in kept_after(d)))
        rest.remove(decision)
        done.add(decision.label)
        after = kept_after(decision)
        for parent in decision.parents:
            users[parent] -= 1
        following: dict[tuple[Value | None, ...], int] = {}
        for state, ways in states.items():
            known = dict(zip(kept, state, strict=True))
            arch = {label: value for label, value in known.items() if value is not None}
            options: Sequence[Value | None] = (
                decision.choices if decision.is_active(arch) else (None,)
            )
            if decision.label not in after:
                key = tuple(known[label] for label in after)
                following[key] = following.get(key, 0) + ways * len(options)
                continue
            for value in options:
                known[decision.label] = value
                key = tuple(known[label] for label in after)
                following[key] = following.get(key, 0) + ways
        if len(following) > _STATES:
            raise SpaceError(
                f"the archs cannot be counted: too many conditions hang together at "
                f"'{decision.label}'"
            )
        kept, states = after, following
    return sum(states.values())


def _natural(label: str) -> list[tuple[int, int, str]]:
    """Sort key in which `op_10` comes after `op_9`."""
    parts = re.split(r"([0-9]+)", label)
    return [(i % 2, int(part) if i % 2 else 0, part) for i, part in enumerate(parts)]
