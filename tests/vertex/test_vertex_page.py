"""docs/from-vertex.md: its table has every flag of `hwnas vertex`, and no other."""

from __future__ import annotations

import re
from typing import Any

import typer.main

from hwnas.cli._app import app
from hwnas.cli._vertex_client import NO_EFFECT
from support import ROOT

PAGE = (ROOT / "docs" / "from-vertex.md").read_text()
TABLE = PAGE.partition("## The flags")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (`--.+?) \| (.+) \|$", TABLE, re.MULTILINE)


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    found: dict[str, Any] = group.commands["vertex"].commands
    return found


def options(*, inert: bool = False) -> set[str]:
    found = set()
    for command in commands().values():
        for one in command.params:
            if not inert or getattr(one, "rich_help_panel", None) == NO_EFFECT:
                found |= set(one.opts)
    return found - {"--help"}


def named(cell: str) -> set[str]:
    return set(re.findall(r"`(--\w+)`", cell))


def test_the_table_has_every_flag() -> None:
    assert {flag for flags, _ in ROWS for flag in named(flags)} == options()


def test_flags_without_effect_are_said_to_be() -> None:
    told = {flag for flags, here in ROWS if "without effect" in here for flag in named(flags)}
    # What is the calculator's image elsewhere is of no use in search_in_local.
    assert told == options(inert=True) - {"--latency_calculator_docker_id"}


def test_the_page_names_every_command() -> None:
    for name in commands():
        assert f"`{name}`" in PAGE
