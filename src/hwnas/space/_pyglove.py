"""Spaces written with PyGlove."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from hwnas.errors import ArchError, SpaceError
from hwnas.space._choice import Choice
from hwnas.space._code_hash import code_hash
from hwnas.space._expr import Arch, Expr, Value, conjunction, disjunction
from hwnas.space._function import FunctionSpace

_ORDERS = 10_000


def from_pyglove(value: Any, build: Callable[[Any], nn.Module]) -> FunctionSpace:
    """The space of a PyGlove value that contains `pg.one_of` and `pg.sublist_of`.

    Labels are PyGlove's ids, such as `layers[0].kernel_size`; what is inside a candidate is a
    decision under a condition. A choice among plain values (int, float, str, bool) takes these
    values, any other the places 0, 1, ... of its candidates. Each position of a sublist is a
    decision (`ops[0]`, `ops[1]`), unless its choices must be distinct or sorted: then the whole
    is one, with texts such as `0,2` (the candidates' places).

    Args:
        value: a hyper value, or dicts, lists and `pg.Object`s with hyper values inside.
        build: makes the network from what PyGlove materialises for an arch.

    Raises:
        SpaceError: a decision point is continuous or custom, has more than 10,000 orders of a
            distinct or sorted sublist, or PyGlove is not installed.
    """
    return PygloveSpace(value, build)


class PygloveSpace(FunctionSpace):
    """What `from_pyglove` makes."""

    def __init__(self, value: Any, build: Callable[[Any], nn.Module]) -> None:
        pg = _pyglove()
        if isinstance(value, dict) and not isinstance(value, pg.Dict):
            value = pg.Dict(value)
        elif isinstance(value, list) and not isinstance(value, pg.List):
            value = pg.List(value)
        self.value = value
        self.user_build = build
        template = pg.template(value)
        self._spec = template.dna_spec()
        self._points = _points(template, self._spec, True)
        lock = threading.Lock()

        def materialised(arch: Arch) -> nn.Module:
            dna = self.dna(arch)
            with lock:  # A template remembers the DNA that it decodes.
                chosen = template.decode(dna)
            return build(chosen)

        super().__init__(list(_choices(self._points)), materialised)

    def dna(self, arch: Mapping[str, Value]) -> Any:
        """The `pg.DNA` of an arch.

        Raises:
            ArchError: `arch` does not belong to the space.
        """
        pg = _pyglove()
        self.validate(arch)
        numbers = list(_numbers(self._points, arch))
        return (
            pg.DNA.from_numbers(numbers, self._spec)
            if numbers
            else pg.DNA(None).use_spec(self._spec)
        )

    def arch(self, dna: Any) -> Arch:
        """The arch of a `pg.DNA`, or of the dict that PyGlove makes of one: the reverse of `dna`.

        Raises:
            ArchError: it does not belong to the space: it names other decisions, choices or values.
        """
        try:
            given = _pyglove().DNA.from_dict(dict(dna), self._spec) if _is_dict(dna) else dna
            found = dict(_chosen(self._points, iter(given.to_numbers())))
        except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split()) or "too few decisions"
            raise ArchError(f"no arch of this space: {reason}") from error
        arch = self.canonical(found)
        if _is_dict(dna) and (unknown := sorted(map(str, dna.keys() - self.dna(arch).to_dict()))):
            raise ArchError(f"no arch of this space: it has no decision '{unknown[0]}' there")
        return arch

    @cached_property
    def code_hash(self) -> str:
        """See `SearchSpace.code_hash`; covers `build`."""
        return code_hash(self.user_build)

    def __reduce__(self) -> tuple[Any, ...]:
        return PygloveSpace, (self.value, self.user_build)


@dataclass
class _Point:
    """A decision: what each of its values picks, one (candidate, points inside) per position."""

    choice: Choice
    picks: dict[Value, list[tuple[int, list[_Point]]]]


def _is_dict(dna: Any) -> bool:
    return isinstance(dna, Mapping)


def _pyglove() -> Any:
    try:
        import pyglove
    except ModuleNotFoundError as error:
        raise SpaceError(
            "from_pyglove needs PyGlove, which is not installed: pip install 'hwnas[pyglove]'"
        ) from error
    return pyglove


def _points(template: Any, spec: Any, condition: Expr | bool) -> list[_Point]:
    """The decisions at the top of `template`, whose decision points are `spec.elements`."""
    points: list[_Point] = []
    for (_, primitive), point in zip(template.hyper_primitives, spec.elements, strict=True):
        if not point.is_categorical:
            raise SpaceError(f"from_pyglove: '{point.id}' is not a choice among listed values")
        if point.num_choices == 1:
            points.append(_single(primitive, point, condition))
        elif point.distinct or point.sorted:
            points.append(_joint(primitive, point, condition))
        else:
            subchoices = map(point.subchoice, range(point.num_choices))
            points += [_single(primitive, subchoice, condition) for subchoice in subchoices]
    return points


def _single(primitive: Any, point: Any, condition: Expr | bool) -> _Point:
    values = _values(primitive)
    choice = Choice.symbolic(values, _label(point), condition)
    picks: dict[Value, list[tuple[int, list[_Point]]]] = {}
    for i, value in enumerate(values):
        inner = _inner(primitive, point, i, conjunction(condition, choice == value))
        picks[value] = [(i, inner)]
    return _Point(choice, picks)


def _joint(primitive: Any, point: Any, condition: Expr | bool) -> _Point:
    candidates, count = range(len(primitive.candidates)), point.num_choices
    orders: Iterator[tuple[int, ...]] = itertools.product(candidates, repeat=count)
    if point.distinct and point.sorted:
        orders = itertools.combinations(candidates, count)
    elif point.distinct:
        orders = itertools.permutations(candidates, count)
    elif point.sorted:
        orders = itertools.combinations_with_replacement(candidates, count)
    taken = list(itertools.islice(orders, _ORDERS + 1))
    if len(taken) > _ORDERS:
        raise SpaceError(f"from_pyglove: '{point.id}' has more than {_ORDERS} orders")
    texts = {",".join(map(str, order)): order for order in taken}
    choice = Choice.symbolic(tuple(texts), _label(point), condition)
    inner = {}
    for place, i in itertools.product(range(count), candidates):
        if primitive.candidate_templates[i].hyper_primitives:
            here = disjunction(*(choice == text for text, o in texts.items() if o[place] == i))
            when = conjunction(condition, here)
            inner[place, i] = _inner(primitive, point.subchoice(place), i, when)
    return _Point(
        choice,
        {
            text: [(i, inner.get((place, i), [])) for place, i in enumerate(order)]
            for text, order in texts.items()
        },
    )


def _inner(primitive: Any, point: Any, i: int, condition: Expr | bool) -> list[_Point]:
    return _points(primitive.candidate_templates[i], point.candidates[i], condition)


def _label(point: Any) -> str:
    return str(point.id) or "value"


def _values(primitive: Any) -> tuple[Value, ...]:
    """The candidates themselves if they are plain and all different, else their places."""
    candidates = tuple(primitive.candidates)
    if all(type(value) in (int, float, str, bool) for value in candidates) and len(
        set(candidates)
    ) == len(candidates):
        return candidates
    return tuple(range(len(candidates)))


def _choices(points: list[_Point]) -> Iterator[Choice]:
    for point in points:
        yield point.choice
        seen: set[int] = set()
        for _, inner in itertools.chain.from_iterable(point.picks.values()):
            if id(inner) not in seen:
                seen.add(id(inner))
                yield from _choices(inner)


def _numbers(points: list[_Point], arch: Mapping[str, Value]) -> Iterator[int]:
    """The numbers of PyGlove's DNA, depth first."""
    for point in points:
        for i, inner in point.picks[arch[point.choice.label]]:
            yield i
            yield from _numbers(inner, arch)


def _chosen(points: list[_Point], numbers: Iterator[int]) -> Iterator[tuple[str, Value]]:
    """The values that the numbers of a DNA choose: the reverse of `_numbers`."""
    for point in points:
        left = list(point.picks)
        for place in range(len(point.picks[left[0]])):
            number = next(numbers, None)
            left = [value for value in left if point.picks[value][place][0] == number]
            yield from _chosen(point.picks[left[0]][place][1], numbers)
        yield point.choice.label, left[0]
