"""docs/from-help.md: each flag of HELP's documented commands has an option that exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer.main

from hwnas.cli._app import app
from support import ROOT

PAGE = (ROOT / "docs" / "from-help.md").read_text()
FLAGS = {
    *("--config_path", "--exp_name", "--gpu", "--imagenet_save_path", "--latency_constraint"),
    *("--load_path", "--meta_test_devices", "--meta_train_devices", "--meta_valid_devices"),
    *("--mode", "--nas_target_device", "--num_episodes", "--num_meta_train_sample"),
    *("--num_samples", "--sampled_arch_path", "--search_space", "--seed"),
}
"""Of the eight commands in HELP's README, and of the scripts that run them."""
MODES = ("meta-train", "meta-test", "nas")


def rows() -> dict[str, list[str]]:
    """What hwnas has for each flag: the pieces of code in the second column."""
    table = PAGE.partition("## The flags")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, re.MULTILINE)
    return {flag: re.findall(r"`(hwnas [^`]+)`", cell) for flag, cell in found}


def lines() -> Iterator[str]:
    """The lines of the blocks in which `hwnas` is called."""
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL):
        yield from (line for line in block.splitlines() if line.startswith("hwnas "))


@cache
def the_command() -> Any:
    """Made once: it takes a while."""
    return typer.main.get_command(app)


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after these."""
    found = the_command()
    assert words[0] == "hwnas"
    for place, word in enumerate(words[1:], start=1):
        if not hasattr(found, "commands"):
            return found, words[place:]
        assert word in found.commands, f"there is no command {' '.join(words[: place + 1])}"
        found = found.commands[word]
    return found, []


def check(text: str) -> None:
    command, rest = command_of(shlex.split(text))
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    arguments = {one.metavar for one in command.params if one.param_type_name == "argument"}
    for word in rest:
        if word.startswith("-"):
            assert word.split("=")[0] in known, f"{text}: no option {word}"
        elif word.isupper():
            assert word in {name.strip("[]") for name in arguments}, f"{text}: no argument {word}"


def test_the_table_has_every_flag() -> None:
    assert {flag.split()[0] for flag in rows()} == FLAGS
    assert {flag for flag in rows() if flag.startswith("--mode")} == {
        f"--mode {mode}" for mode in MODES
    }


@pytest.mark.parametrize("flag", sorted(rows()))
def test_what_the_table_names_exists(flag: str) -> None:
    assert rows()[flag], f"{flag} has no equivalent"
    for text in rows()[flag]:
        check(text)


@pytest.mark.parametrize("line", sorted(set(lines())))
def test_the_commands_of_the_page_exist(line: str) -> None:
    check(line)


def test_each_of_the_eight_commands_has_its_equivalent() -> None:
    sections = re.split(r"^### (\d)\. ", PAGE, flags=re.MULTILINE)[1:]
    numbers, texts = sections[::2], sections[1::2]
    assert numbers == list("12345678")
    for text in texts:
        assert re.search(r"```text\npython (main|validate_imagenet)\.py", text)
        assert re.search(r"```bash\nhwnas ", text)
