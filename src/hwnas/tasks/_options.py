"""Options given as text, converted by the signature of the function that takes them."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from hwnas.errors import UsageError

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature with annotations resolved where they can be, left as text where not."""
    try:
        return inspect.signature(function, eval_str=True)
    except (NameError, AttributeError):  # a name imported for type checkers only
        return inspect.signature(function)


def convert(
    function: Callable[..., Any],
    given: Mapping[str, str],
    *,
    of: str,
    reserved: int = 0,
    hidden: Collection[str] = (),
) -> dict[str, Any]:
    """Keyword arguments for `function` from text, by its annotations, else by its defaults.

    Known types: int, float, bool, str, `Literal`, and optional ones (`none` means None).
    A `**options` parameter takes any name; its values become numbers or booleans where they
    read as such.

    Args:
        function: What will be called.
        given: Name -> text.
        of: What the options belong to, for messages, such as "task 'idx'".
        reserved: How many leading parameters are not options.
        hidden: Names of more that are not.

    Raises:
        UsageError: an unknown name, or text that does not read as the type.
    """
    parameters = list(signature(function).parameters.values())[reserved:]
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = {p.name: p for p in parameters if p.kind in by_name and p.name not in hidden}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    result: dict[str, Any] = {}
    for name, text in given.items():
        where = f"option '{name}' of {of}"
        if name in named:
            result[name] = _read(text, _type_of(named[name]), where)
        elif open_ended:
            result[name] = _guess(text)
        else:
            known = ", ".join(sorted(named)) or "it takes none"
            raise UsageError(f"unknown {where}; known: {known}")
    return result


def _type_of(parameter: inspect.Parameter) -> Any:
    if parameter.annotation not in (parameter.empty, Any) and not isinstance(
        parameter.annotation, str
    ):
        return parameter.annotation
    if parameter.default is parameter.empty or parameter.default is None:
        return Any
    return type(parameter.default)


def _read(text: str, kind: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        members = get_args(kind)
        if type(None) in members and text.lower() == "none":
            return None
        return _first(text, [m for m in members if m is not type(None)], where)
    if origin is Literal:
        choices = {str(choice): choice for choice in get_args(kind)}
        if text not in choices:
            raise UsageError(f"{where} is '{text}'; it is one of {', '.join(choices)}")
        return choices[text]
    if kind is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise UsageError(f"{where} is '{text}'; it is true or false")
        return text.lower() in _TRUE
    if kind is int or kind is float:
        return _number(text, kind, where)
    if kind is str:
        return text
    return _guess(text)


def _first(text: str, kinds: list[Any], where: str) -> Any:
    """Read as the first member of a union that takes the text; the last one's error counts."""
    for kind in kinds[:-1]:
        try:
            return _read(text, kind, where)
        except UsageError:
            continue
    return _read(text, kinds[-1], where)


def _number(text: str, kind: type[int] | type[float], where: str) -> int | float:
    try:
        value = kind(text)
    except ValueError:
        noun = "a whole number" if kind is int else "a number"
        raise UsageError(f"{where} is '{text}'; it is {noun}") from None
    if not math.isfinite(value):
        raise UsageError(f"{where} is '{text}'; it is a finite number")
    return value


def _guess(text: str) -> int | float | bool | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
