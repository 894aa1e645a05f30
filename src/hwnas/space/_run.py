"""The run of a constructor that is under way: what its choices become, and where it stands.

The constructor of a `ModelSpace` runs in one of three ways (see `_modes`). Which one is known by
a context variable, so concurrent threads and failures do not disturb each other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from hwnas.errors import SpaceError
from hwnas.space._expr import Expr, Value, conjunction

if TYPE_CHECKING:
    from hwnas.space._choice import Choice

_RUN: ContextVar[Run | None] = ContextVar("hwnas_space_run", default=None)
_PREFIX: ContextVar[str] = ContextVar("hwnas_space_prefix", default="")

Place: TypeAlias = tuple[object, ...]


class Run(ABC):
    """One run of a constructor.

    A *place* names a call of `Choice`, `LayerChoice`, ... by its number among those calls in the
    enclosing branch. Branches that are not taken are not run, and still the other places keep
    their names, so that a build can find what the template knows of the same call.
    """

    symbolic: bool

    def __init__(self) -> None:
        self._branch: Place = ()
        self._calls = 0
        self.condition: Expr | bool = True

    @abstractmethod
    def choose(self, values: Sequence[Value], label: str | None, when: Expr | bool) -> Any:
        """What the call `Choice(values, label=label, when=when)` returns."""

    def adopt(self, choice: Choice) -> None:  # noqa: B027
        """Take note of a choice among the constructor's arguments."""

    def place(self) -> Place:
        """The place of the present call; each call has another one."""
        self._calls += 1
        return (*self._branch, self._calls)

    @contextmanager
    def branch(self, place: Place, key: Value, condition: Expr | bool = True) -> Iterator[None]:
        """Run a part that exists only under `condition`, as branch `key` of `place`."""
        outer = self._branch, self._calls, self.condition
        self._branch, self._calls = (*place, key), 0
        self.condition = conjunction(self.condition, condition)
        try:
            yield
        finally:
            self._branch, self._calls, self.condition = outer

    def __deepcopy__(self, memo: dict[int, Any]) -> Run:
        return self  # A copied module still belongs to its run.

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make this the run that the choices see."""
        token = _RUN.set(self)
        prefix = _PREFIX.set("")
        try:
            yield
        finally:
            _PREFIX.reset(prefix)
            _RUN.reset(token)


def current_run() -> Run | None:
    """The run under way, if any."""
    return _RUN.get()


def required_run(what: str) -> Run:
    """The run under way.

    Raises:
        SpaceError: there is none.
    """
    run = _RUN.get()
    if run is None:
        raise SpaceError(
            f"{what} works only inside a network that is wrapped in ModelSpace: "
            "write ModelSpace(YourNetwork, ...) in place of YourNetwork(...)"
        )
    return run


@contextmanager
def scope(prefix: str) -> Iterator[None]:
    """Put `prefix/` before the explicit labels given inside; scopes nest.

    Labels made from attribute paths stay as they are: the path is their scope.
    """
    if not prefix:
        raise SpaceError("scope: the prefix is empty")
    token = _PREFIX.set(f"{_PREFIX.get()}{prefix}/")
    try:
        yield
    finally:
        _PREFIX.reset(token)


def full_label(label: str | None) -> str | None:
    """`label` with the prefixes of the enclosing scopes."""
    if label is None:
        return None
    if not isinstance(label, str) or not label:
        raise SpaceError(f"a label is a text that is not empty, not {label!r}")
    return _PREFIX.get() + label
