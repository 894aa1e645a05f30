"""Tables of sources on disk: whole or absent, shared by writers, and refused if they are wrong."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from hwnas import FunctionSpace
from hwnas.errors import PredictError, UsageError
from hwnas.predict import Provenance, SourceTable, add_sources, load_sources, save_sources

ARCHS = tuple({"width": width, "se": width % 2 == 0, "op": "conv"} for width in range(8))
PROVENANCE = Provenance("a/b.csv", "MIT License", ("row 3 was missing", "ünïcode ☃"), 0.1)


def table(**devices: list[float]) -> SourceTable:
    latencies = {name: np.array(values, np.float64) for name, values in devices.items()}
    provenance = dict.fromkeys(devices, PROVENANCE)
    return SourceTable("toy", ARCHS, latencies, provenance, (3, 8, 8), 10)


def same(one: SourceTable, other: SourceTable) -> None:
    assert (one.space, one.archs, one.provenance) == (other.space, other.archs, other.provenance)
    assert (one.input_shape, one.num_classes) == (other.input_shape, other.num_classes)
    assert one.devices == other.devices
    for name in one.devices:
        np.testing.assert_array_equal(one.latencies[name], other.latencies[name])


_VALUES = st.one_of(st.booleans(), st.integers(-9, 9), st.text(max_size=3), st.floats(0, 1))
_ARCH = st.dictionaries(st.text(min_size=1, max_size=3), _VALUES, max_size=3)


@settings(deadline=None)
@given(
    archs=st.lists(_ARCH, min_size=1, max_size=6),
    names=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3, unique=True),
    data=st.data(),
)
def test_what_was_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory,
    archs: list[dict[str, Any]],
    names: list[str],
    data: st.DataObject,
) -> None:
    cell = st.one_of(st.just(float("nan")), st.floats(1e-6, 1e9))
    latencies = {name: np.array([1.0, *(data.draw(cell) for _ in archs[1:])]) for name in names}
    wanted = SourceTable("toy", tuple(archs), latencies, {names[0]: PROVENANCE})
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save_sources(wanted, path)
    found = load_sources(path)
    same(found, wanted)
    for arch, wrote in zip(found.archs, archs, strict=True):
        assert all(type(arch[label]) is type(value) for label, value in wrote.items())


def test_devices_are_added_over_the_archs_of_both(tmp_path: Path) -> None:
    path = tmp_path / "new" / "t.safetensors"
    first = table(a=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    same(add_sources(first.rows([0, 1, 2]), path), first.rows([0, 1, 2]))
    nan = float("nan")
    second = table(b=[nan, nan, 9.0, 8.0, nan, nan, nan, nan]).rows([3, 2])
    both = add_sources(second, path)
    assert both.archs == ARCHS[:4]
    np.testing.assert_array_equal(both.latencies["a"], [1.0, 2.0, 3.0, nan])
    np.testing.assert_array_equal(both.latencies["b"], [nan, nan, 9.0, 8.0])
    same(load_sources(path), both)
    with pytest.raises(PredictError, match=r"t.safetensors has a device 'b' already; --replace"):
        add_sources(second, path)
    again = add_sources(table(b=[5.0] * 8), path, again=True)
    np.testing.assert_array_equal(again.latencies["b"], [5.0] * 8)


def test_tables_of_other_spaces_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    add_sources(table(a=[1.0] * 8), path)
    with pytest.raises(PredictError, match="is of the space 'toy', not 'other'"):
        add_sources(SourceTable("other", ARCHS, {"b": np.ones(8)}), path)
    with pytest.raises(
        PredictError, match=r"latencies of input_shape \(3, 8, 8\), not \(3, 9, 9\)"
    ):
        add_sources(SourceTable("toy", ARCHS, {"b": np.ones(8)}, {}, (3, 9, 9)), path)
    both = add_sources(SourceTable("toy", ARCHS, {"b": np.ones(8)}), path)
    assert (both.input_shape, both.num_classes) == ((3, 8, 8), 10)
    with pytest.raises(UsageError, match=r"ends in .safetensors"):
        add_sources(table(a=[1.0] * 8), tmp_path / "t.csv")


def test_a_file_does_not_say_what_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_sources(SourceTable("os:system", ARCHS, {"a": np.ones(8)}), path)
    with pytest.raises(PredictError, match="'os:system', which is code of its own"):
        load_sources(path)
    assert load_sources(path, "os:system").space == "os:system"
    space = FunctionSpace({"width": [1, 2]}, lambda width: None)
    save_sources(SourceTable(space, ({"width": 1},), {"a": np.ones(1)}), path)
    assert load_sources(path, space).space is space
    with pytest.raises(PredictError, match="of another space"):
        load_sources(path, FunctionSpace({"width": [1, 3]}, lambda width: None))


def _add(path: Path, name: str) -> None:
    add_sources(table(**{name: [float(ord(name[0]))] * 8}), path)


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add, args=(path, name)) for name in "abcdef"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 6
    assert sorted(load_sources(path).devices) == list("abcdef")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".t.safetensors.lock", path.name]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "t.safetensors"
    save_sources(table(a=[1.0] * 8), path)
    return path


def test_files_that_are_none(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(PredictError, match="there is no file"):
        load_sources(tmp_path / "absent.safetensors")
    with pytest.raises(PredictError, match="cannot be read"):
        load_sources(tmp_path)
    save_file({"weight": np.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(PredictError, match="is no table of sources"):
        load_sources(tmp_path / "model.safetensors")
    whole = sound.read_bytes()
    for end in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        sound.write_bytes(whole[:end])
        with pytest.raises(PredictError, match="cannot be read"):
            load_sources(sound)


def _changed(path: Path, facts: dict[str, Any], **tensors: Any) -> None:
    """The file with other metadata and tensors."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        old = json.loads(file.metadata()["hwnas"])
    content = {name.replace("__", ":"): value for name, value in tensors.items()}
    save_file({**load_file(path), **content}, path, {"hwnas": json.dumps({**old, **facts})})


def _bytes(value: object) -> np.ndarray[Any, Any]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8).copy()


@pytest.mark.parametrize(
    ("facts", "tensors", "message"),
    [
        ({"version": 2}, {}, "has version 2; this hwnas reads 1: update it"),
        ({"format": "other"}, {}, "is no table"),
        ({"space": None, "devices": ["x"]}, {}, "is broken"),
        ({"devices": 3}, {}, "is broken"),
        ({"provenance": {"a": {}}}, {}, "is broken"),
        ({"provenance": []}, {}, "is broken"),
        ({"input_shape": "abc"}, {}, "is broken"),
        ({}, {"archs": _bytes([])}, "is broken"),
        ({}, {"archs": _bytes({"labels": ["a"], "rows": [[1, 2]]})}, "is broken"),
        ({}, {"archs": _bytes({"labels": ["a"], "rows": [[{"x": 1}]] * 8})}, "no plain value"),
        ({}, {"archs": np.array([1, 2, 255], np.uint8)}, "is broken"),
        ({}, {"latency__a": np.ones(7)}, "7 latencies for 8 archs"),
        ({}, {"latency__a": -np.ones(8)}, "not positive"),
        ({}, {"latency__a": np.ones((8, 1))}, "8 latencies for 8 archs|latencies"),
    ],
)
def test_files_that_were_bent(
    sound: Path, facts: dict[str, Any], tensors: dict[str, Any], message: str
) -> None:
    _changed(sound, facts, **tensors)
    with pytest.raises(PredictError, match=message):
        load_sources(sound)
