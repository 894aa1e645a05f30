"""Commands that take words as Vertex's client does, with options in groups."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any, get_args, get_type_hints

import typer
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from hwnas.cli._console import err, say


class Truth(str, Enum):
    """A flag that is written out: `--use_cache true`. Anything else is refused."""

    true = "true"
    false = "false"

    def __bool__(self) -> bool:
        return self.value == "true"


NO_EFFECT = "Without effect here"
"""The part of the help with flags that are taken, so that commands run as they are."""


def flag(help: str, **settings: Any) -> Any:
    """An option of a group; its name is the field's."""
    return typer.Option(help=help, **settings)


def inert(help: str, **settings: Any) -> Any:
    """An option that is taken and checked, and does nothing."""
    return flag(help, rich_help_panel=NO_EFFECT, **settings)


class Command(TyperCommand):
    """Takes `--max-nas-trial` as `--max_nas_trial`, and several words after one list option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words, as typer wants them."""
        lists = {
            name for one in self.params if getattr(one, "multiple", False) for name in one.opts
        }
        return super().parse_args(ctx, list(_unfolded(args, lists)))


class Group(TyperGroup):
    """Knows `list-trials` as `list_trials`."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name."""
        return super().get_command(ctx, cmd_name.replace("-", "_"))


def _unfolded(words: Iterable[str], lists: set[str]) -> Iterator[str]:
    """`--flags a=1 b=2` as `--flags a=1 --flags b=2`; `--flags` alone as one empty value."""
    collecting, empty = "", False
    for word in words:
        if collecting and not word.startswith("--"):
            yield from (collecting, word)
            empty = False
            continue
        if collecting and empty:
            yield from (collecting, "")
        name, equals, value = word.partition("=")
        name = f"--{name[2:].replace('-', '_')}" if word.startswith("--") else name
        collecting = name if name in lists and word.startswith("--") else ""
        empty = bool(collecting) and not equals
        if not collecting:
            yield f"{name}{equals}{value}"
        elif equals:
            yield from (collecting, value)
    if collecting and empty:
        yield from (collecting, "")


def grouped(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters are dataclasses: each of their fields becomes an option.

    Options that were given and have no effect are told in one line.
    """
    groups = {name: kind for name, kind in get_type_hints(function).items() if name != "return"}
    options = {name: list(_options(kind)) for name, kind in groups.items()}
    without = [one.name for some in options.values() for one in some if _is_inert(one)]

    def command(context: typer.Context, **values: Any) -> None:
        given = [f"--{name}" for name in without if _was_given(context, name)]
        if given:
            say(Text(f"without effect here: {', '.join(given)}", style="dim"), err)
        made = {
            name: kind(**{one.name: values[one.name] for one in options[name]})
            for name, kind in groups.items()
        }
        function(**made)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = inspect.Parameter("context", kind, annotation=typer.Context)
    every = [first, *(one for some in options.values() for one in some)]
    # What typer reads of a function.
    command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in every}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


def _options(group: type) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        get_args(hints[field.name])[1].param_decls = (f"--{field.name}",)
        required = field.default is dataclasses.MISSING
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=inspect.Parameter.empty if required else field.default,
        )


def _is_inert(option: inspect.Parameter) -> bool:
    return bool(get_args(option.annotation)[1].rich_help_panel == NO_EFFECT)


def _was_given(context: typer.Context, name: str) -> bool:
    return getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
