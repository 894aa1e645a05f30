"""The code hash changes with the code that builds the network, and with nothing else."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from hwnas.space import Choice, FunctionSpace, ModelSpace, code_hash

BLOCKS = """
from torch import nn

RATE = 2

class Base(nn.Module):
    def helper(self):
        return 1

class Block(Base):
    def forward(self, x):
        return x * RATE

def unused():
    return 1
"""

NET = """
import {blocks} as blocks
from hwnas.space import Choice, nn as snn
from torch import nn

def make(width):
    return snn.Linear(3, width)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = make(Choice([1, 2]))
        self.block = blocks.Block()

def unused():
    return 1
"""


@pytest.fixture
def hash_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Writes the two modules, imports them under fresh names, hashes their `Net`."""
    counter = itertools.count()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(path: Path) -> Any:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return module

    def hash_of(blocks: str, net: str) -> str:
        folder = tmp_path / str(next(counter))
        folder.mkdir()
        (folder / "hash_blocks.py").write_text(blocks)
        (folder / "hash_net.py").write_text(net.format(blocks="hash_blocks"))
        load(folder / "hash_blocks.py")
        return ModelSpace(load(folder / "hash_net.py").Net).code_hash

    return hash_of


@pytest.mark.parametrize(
    ("where", "old", "new"),
    [
        ("net", "Choice([1, 2])", "Choice([1, 3])"),
        ("net", "return snn.Linear(3, width)", "return snn.Linear(4, width)"),
        ("blocks", "x * RATE", "x + RATE"),
        ("blocks", "RATE = 2", "RATE = 3"),
        ("blocks", "        return 1\n\nclass", "        return 2\n\nclass"),
    ],
)
def test_what_is_covered(hash_of: Any, where: str, old: str, new: str) -> None:
    before = hash_of(BLOCKS, NET)
    assert before == hash_of(BLOCKS, NET)
    sources = {"blocks": BLOCKS, "net": NET}
    assert old in sources[where]
    sources[where] = sources[where].replace(old, new)
    assert hash_of(sources["blocks"], sources["net"]) != before


def test_what_is_not_covered(hash_of: Any) -> None:
    before = hash_of(BLOCKS, NET)
    changed = "def unused():\n    return 2\n"
    original = "def unused():\n    return 1\n"
    assert hash_of(BLOCKS.replace(original, changed), NET) == before
    assert hash_of(BLOCKS, NET.replace(original, changed)) == before
    assert hash_of("# A comment outside.\n" + BLOCKS, NET) == before


def small(arch: dict) -> nn.Module:
    return nn.Identity()


def large(arch: dict) -> nn.Module:
    return nn.Sequential(nn.Identity())


def either(first: bool) -> Callable[[dict], nn.Module]:
    inner = small if first else large
    return lambda arch: inner(arch)


def of_width(arch: dict, width: int = 3) -> nn.Module:
    return nn.Linear(width, width)


def test_functions_closures_partials() -> None:
    hashes = [
        FunctionSpace({"a": [1]}, builder).code_hash
        for builder in (
            small,
            large,
            either(True),
            either(False),
            of_width,
            partial(of_width, width=4),
            partial(of_width, width=5),
        )
    ]
    assert len(set(hashes)) == len(hashes)
    assert all(len(text) == 64 for text in hashes)


def test_the_decisions_do_not_enter() -> None:
    one, two = (FunctionSpace({"a": values}, small) for values in ([1], [1, 2]))
    assert one.code_hash == two.code_hash
    assert one.fingerprint != two.fingerprint


def test_arguments_of_the_network_enter() -> None:
    def net(width: int) -> nn.Module:
        return nn.Linear(width, 3)

    hashes = {ModelSpace(net, width).code_hash for width in (3, 4)}
    assert len(hashes) == 2
    assert ModelSpace(net, 3).code_hash in hashes


def test_code_without_source() -> None:
    def compiled(body: str) -> Any:
        space: dict[str, Any] = {"nn": nn, "Choice": Choice}
        exec(compile(f"def build(arch):\n    return {body}\n", "<typed>", "exec"), space)  # noqa: S102
        return space["build"]

    hashes = [
        code_hash(compiled(body))
        for body in ("nn.ReLU()", "nn.GELU()", "nn.Linear(2, 3)", "nn.Linear(2, 4)", "nn.ReLU()")
    ]
    assert len(set(hashes)) == 4
    assert hashes[0] == hashes[4]
