"""Search spaces given as PyGlove functions, and archs as `--nas_params_str`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NoReturn

from hwnas import _refs
from hwnas.errors import ArchError, SpaceError, UsageError
from hwnas.space import Arch, PygloveSpace, Value, code_hash


class VertexSpace(PygloveSpace):
    """The space that a function returns as a PyGlove value; its networks are the trainer's affair.

    Args:
        reference: `package.module.function` or `package.module:function`. It is imported and
            called without arguments; the current folder is importable.

    Raises:
        UsageError: there is no such function.
        SpaceError: it fails, or returns no PyGlove value with choices.
    """

    def __init__(self, reference: str) -> None:
        self.reference = _with_colon(reference)
        self._function = _refs.load(self.reference)
        if not callable(self._function):
            raise UsageError(f"'{reference}' is {type(self._function).__name__}, not a function")
        try:
            value = self._function()
        except TypeError as error:
            raise SpaceError(f"{reference}() failed: {error}") from error
        super().__init__(value, _no_network)
        if not self.decisions:
            raise SpaceError(f"{reference}() returned {type(value).__name__} without any choice")

    @cached_property
    def code_hash(self) -> str:
        """See `SearchSpace.code_hash`; covers the function, not the trainer."""
        return code_hash(self._function)

    def __reduce__(self) -> tuple[Any, ...]:
        return VertexSpace, (self.reference,)

    def params_str(self, arch: Mapping[str, Value]) -> str:
        """The arch as the value of `--nas_params_str`: `{"[0].kernel_size": "1/2 (5)"}`.

        Raises:
            ArchError: it does not belong to the space.
        """
        return json.dumps(self.dna(arch).to_dict(value_type="choice_and_literal"))

    def arch_of_params(self, params_str: str) -> Arch:
        """The arch of a `--nas_params_str`: the reverse of `params_str`.

        Raises:
            ArchError: it is no JSON, or belongs to another space.
        """
        try:
            params = json.loads(params_str)
        except ValueError as error:
            raise ArchError(f"nas_params_str is no JSON ({error}): {params_str[:100]}") from error
        if not isinstance(params, dict):
            raise ArchError(f"nas_params_str is not an object of JSON: {params_str[:100]}")
        return self.arch(params)


def _with_colon(reference: str) -> str:
    if ":" in reference:
        return reference
    module, dot, name = reference.rpartition(".")
    if not (dot and module and name):
        raise UsageError(f"search space '{reference}' is not of the form package.module.function")
    return f"{module}:{name}"


def _no_network(value: Any) -> NoReturn:
    raise SpaceError("the networks of this space are built by its trainer alone")
