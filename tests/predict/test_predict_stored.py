"""Predictors on disk: whole or absent, and a clear error for whatever else is there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hwnas import FunctionSpace
from hwnas.errors import PredictError, UsageError
from hwnas.predict import PredictorState, load_predictor
from hwnas.predict._stored import read, write

STATE = PredictorState(
    "nets:space",
    (3, 8, 8),
    10,
    {"log": True, "rate": 1, "names": ["a", "b"]},
    {"weights": np.arange(6.0).reshape(2, 3).T, "half.a": np.zeros(2, np.float32)},
)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    write(tmp_path / "one", "ridge", STATE)
    return tmp_path / "one"


def test_what_was_written_is_read(stored: Path) -> None:
    kind, state = read(stored)
    assert kind == "ridge"
    assert (state.space, state.input_shape, state.num_classes) == ("nets:space", (3, 8, 8), 10)
    assert state.setting("log", bool) is True
    assert state.setting("rate", float) == 1.0
    np.testing.assert_array_equal(state.array("weights", None, 2), STATE.arrays["weights"])
    np.testing.assert_array_equal(state.part("half")["a"], np.zeros(2))
    assert sorted(path.name for path in stored.iterdir()) == [
        "predictor.json",
        "weights.safetensors",
    ]


def test_a_predictor_is_replaced_and_nothing_is_left_over(stored: Path) -> None:
    write(stored, "lookup", PredictorState("nasbench201"))
    assert read(stored)[0] == "lookup"
    assert [path.name for path in stored.parent.iterdir()] == ["one"]


def test_another_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(PredictError, match="something else"):
        write(tmp_path, "ridge", STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_cannot_be_written_leaves_the_old(stored: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write(stored, "ridge", PredictorState("nets:space", settings={"x": float("nan")}))
    assert read(stored)[1].space == "nets:space"
    assert [path.name for path in stored.parent.iterdir()] == ["one"]


def test_a_newer_format_says_so(stored: Path) -> None:
    header = json.loads((stored / "predictor.json").read_text())
    (stored / "predictor.json").write_text(json.dumps(header | {"schema": 99}))
    with pytest.raises(PredictError, match=r"format 99.*update hwnas"):
        read(stored)


@pytest.mark.parametrize(
    "header",
    ["", "[]", "{}", "[" * 100_000, '{"schema": 1}', '{"schema": true}', '{"schema": -1}', "\x00"],
)
def test_a_damaged_header_is_one_clear_error(stored: Path, header: str) -> None:
    (stored / "predictor.json").write_text(header)
    with pytest.raises(PredictError, match=r"predictor\.json"):
        load_predictor(stored)


@pytest.mark.parametrize("field", ["kind", "space", "input_shape", "num_classes", "settings"])
def test_a_header_without_a_field_is_damaged(stored: Path, field: str) -> None:
    header = json.loads((stored / "predictor.json").read_text())
    for wrong in ({}, {field: 1.5}):
        changed = {name: value for name, value in header.items() if name != field} | wrong
        (stored / "predictor.json").write_text(json.dumps(changed))
        with pytest.raises(PredictError, match="damaged"):
            read(stored)


@given(st.data())
def test_any_changed_byte_of_the_weights_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "one"
    write(folder, "ridge", STATE)
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.sampled_from([len(content), at]))
    path.write_bytes(content[:cut])
    with pytest.raises(PredictError, match=r"weights\.safetensors"):
        read(folder)


def test_a_missing_file_is_named(stored: Path, tmp_path: Path) -> None:
    os.remove(stored / "weights.safetensors")
    with pytest.raises(PredictError, match=r"weights\.safetensors is missing"):
        read(stored)
    with pytest.raises(PredictError, match="no stored predictor"):
        load_predictor(tmp_path / "nowhere")


def test_settings_and_arrays_are_checked_when_they_are_asked_for() -> None:
    wrong = PredictorState("a", arrays={"x": np.array([1.0, np.inf]), "y": np.zeros((2, 2))})
    with pytest.raises(PredictError, match="setting 'log' is no bool"):
        wrong.setting("log", bool)
    with pytest.raises(PredictError, match="'x' is not finite"):
        wrong.array("x", 2)
    with pytest.raises(PredictError, match="'y' is missing or of a wrong shape"):
        wrong.array("y", None)
    with pytest.raises(PredictError, match="'z' is missing"):
        wrong.array("z", 3)


def test_code_is_imported_only_on_request(stored: Path) -> None:
    """A folder from elsewhere must not say what is imported here."""
    with pytest.raises(PredictError, match="'nets:space', which is code"):
        load_predictor(stored)
    with pytest.raises(PredictError, match="of the space 'nets:space', not 'nasbench201'"):
        load_predictor(stored, "nasbench201")


def test_a_kind_that_is_not_installed_is_named(tmp_path: Path) -> None:
    write(tmp_path / "one", "magic", PredictorState("nasbench201"))
    with pytest.raises(UsageError, match="'magic'"):
        load_predictor(tmp_path / "one")


def test_a_space_that_only_the_program_has_is_given_again(tmp_path, monkeypatch) -> None:
    """Told from another by its fingerprint; what stands in the file is never imported."""
    space, other = (FunctionSpace({"width": [1, n]}, lambda arch: nn.Identity()) for n in (2, 3))
    kinds = {"kept": SimpleNamespace(of_state=lambda state: state)}
    monkeypatch.setattr("hwnas._plugins.load", lambda family, name: kinds[name])
    write(tmp_path / "one", "kept", PredictorState(space))
    assert load_predictor(tmp_path / "one", space).space is space
    with pytest.raises(PredictError, match="another space"):
        load_predictor(tmp_path / "one", other)
    with pytest.raises(PredictError, match="give the space"):
        load_predictor(tmp_path / "one")
    write(tmp_path / "two", "kept", STATE)
    assert load_predictor(tmp_path / "two", other).space is other
    write(tmp_path / "three", "kept", PredictorState("nasbench201"))
    assert load_predictor(tmp_path / "three", space).space == "nasbench201"
