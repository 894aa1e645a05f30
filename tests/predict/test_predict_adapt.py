"""Adapting to a device: what is measured, what is kept, and what a folder tells again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from hwnas import FunctionSpace
from hwnas.device import MeasurementStore, SimulatedDevice
from hwnas.errors import DeviceError, PredictError, UsageError
from hwnas.jobs import adapt, candidates_for, device_named, measure_archs, random_archs
from hwnas.predict import (
    AdaptedPredictor,
    LatencyPredictor,
    Sample,
    SourceTable,
    expected_error,
    held_out,
    known_predictor,
    load_adapted,
)

SHAPE = (1, 8, 8)


def build(arch: dict[str, int]) -> nn.Module:
    if arch["width"] == 13:
        raise ValueError("an unlucky width")
    inner = [nn.Linear(arch["width"], arch["width"]) for _ in range(arch["depth"])]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, arch["width"]), *inner)


space = FunctionSpace({"width": list(range(8, 24)), "depth": [1, 2, 3]}, build)


def milliseconds(model: nn.Module, inputs: object) -> float:
    size = sum(p.numel() for p in model.parameters())
    if model[1].out_features == 10:
        raise RuntimeError("an operator that it lacks")
    return 1.0 + size / 1000


@pytest.fixture
def board() -> SimulatedDevice:
    return SimulatedDevice("board", milliseconds, noise=0.01)


@pytest.fixture
def known(plain) -> LatencyPredictor:
    return known_predictor(space, method="plain", input_shape=SHAPE)


def test_what_cannot_be_measured_is_replaced_and_told(known, board, store) -> None:
    told = []
    adapted = adapt(known, space, board, 30, store=store, progress=lambda *what: told.append(what))
    assert len(adapted.samples) == 30
    assert {10, 13}.isdisjoint(sample.arch["width"] for sample in adapted.samples)
    faults = [str(result) for _, result, _ in told if isinstance(result, DeviceError)]
    assert any("unlucky width" in text for text in faults)
    assert any("an operator that it lacks" in text for text in faults)
    assert len(told) == 30 + len(faults)
    wanted = known.suggest(30 + len(faults), candidates_for(space))
    assert [arch for arch, _, _ in told] == wanted, "in the order of the suggestions"
    assert len(store) == 30, "what failed is not stored"


def test_what_was_measured_is_not_measured_again(known, board, store) -> None:
    first = adapt(known, space, board, 6, store=store)
    told = []
    more = adapt(known, space, board, 9, store=store, progress=lambda *what: told.append(what))
    assert more.samples[:6] == first.samples
    assert [before for _, _, before in told if _ is not None].count(True) == 6
    assert len(store) == 9


@pytest.mark.parametrize("left", ["code", "shape", "device"])
def test_a_measurement_counts_for_its_own_conditions_alone(known, store, left) -> None:
    adapt(known, space, SimulatedDevice("board", milliseconds), 4, store=store)
    shape, name, other = SHAPE, "board", space
    if left == "shape":
        shape = (1, 4, 16)
    if left == "device":
        name = "other"
    if left == "code":
        other = FunctionSpace(
            {"width": list(range(8, 24)), "depth": [1, 2, 3]}, lambda arch: build(arch)
        )
    adapt(known, other, SimulatedDevice(name, milliseconds), 4, store=store, input_shape=shape)
    assert len(store) == 8


def test_it_goes_on_until_the_expected_error_is_reached(known, board, store) -> None:
    adapted = adapt(known, space, board, 4, until=0.05, store=store)
    left = [a for a in candidates_for(space) if a not in [s.arch for s in adapted.samples]]
    assert expected_error(adapted.predict(left)) <= 0.05
    assert 4 < len(adapted.samples) < 20
    capped = adapt(known, space, board, 4, until=0.001, at_most=8, store=store)
    assert len(capped.samples) == 8


def test_a_small_space_is_measured_whole(plain, store) -> None:
    tiny = FunctionSpace({"width": [8, 9], "depth": [1]}, build)
    known = known_predictor(tiny, method="plain", input_shape=SHAPE)
    device = SimulatedDevice("board", milliseconds)
    assert len(adapt(known, tiny, device, 10, until=0.01, store=store).samples) == 2


def test_a_device_that_measures_nothing_is_an_error(known, store) -> None:
    broken = SimulatedDevice("broken", lambda model, inputs: float("nan"))
    with pytest.raises(
        DeviceError, match=r"0 of 10 archs .* 'broken', 6 could not; the last: .*nan"
    ):
        adapt(known, space, broken, 10, store=store)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n": 0}, "from 1 to 100"),
        ({"n": 101}, "from 1 to 100"),
        ({"until": 1.5}, "between 0 and 1"),
        ({"n": 1}, "two measurements are the least"),
    ],
)
def test_mistakes(known, board, store, options, text) -> None:
    with pytest.raises(PredictError, match=text):
        adapt(known, space, board, store=store, **options)
    shapeless = known_predictor(space, method="plain")
    with pytest.raises(PredictError, match="depend on the input"):
        adapt(shapeless, space, board, store=store)


def test_sources_of_ones_own(plain, board, store) -> None:
    """Devices measure the same archs for the same seed, and the table says who measured what."""
    other = SimulatedDevice("other", lambda model, inputs: 2 * milliseconds(model, inputs))
    first = measure_archs(space, random_archs(space), board, 12, input_shape=SHAPE, store=store)
    second = measure_archs(space, random_archs(space), other, 9, input_shape=SHAPE, store=store)
    table = SourceTable.of(space, {"board": first, "other": second}, input_shape=SHAPE)
    assert table.archs == tuple(arch for arch, _ in first)
    np.testing.assert_array_equal(np.isnan(table.latencies["other"]), [False] * 9 + [True] * 3)
    predictor = known_predictor(space, table, method="plain", input_shape=SHAPE)
    assert predictor.input_shape == SHAPE
    for chosen in ("random", "design", "active"):
        scores = held_out(predictor, table, "board", 8, chosen=chosen)
        assert scores.n == 4
        assert 0 <= scores.median_error < 0.5
    with pytest.raises(PredictError, match="n must be from 1 to 10"):
        held_out(predictor, table, "board", 11)
    with pytest.raises(UsageError, match="no way to choose"):
        held_out(predictor, table, "board", 8, chosen="best")
    with pytest.raises(PredictError, match="inputs of shape"):
        known_predictor(space, table, method="plain", input_shape=(3, 8, 8))
    with pytest.raises(PredictError, match="twice"):
        SourceTable.of(space, {"board": first + first[:1]})


def test_a_device_by_reference(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("boards.py").write_text(
        "from hwnas.device import SimulatedDevice\n"
        "def make():\n    return SimulatedDevice('made', lambda model, inputs: 1.0)\n"
        "board = make()\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert device_named("boards:board").name == "made"
    assert device_named("boards:make").name == "made"
    assert device_named("here=torch?threads=2").threads == 2
    with pytest.raises(UsageError, match="'boards:number' is int, not a device"):
        device_named("boards:number")


@pytest.fixture
def adapted(known, board, store) -> AdaptedPredictor:
    return adapt(known, space, board, 6, store=store)


def test_a_folder_predicts_the_same(adapted, tmp_path: Path) -> None:
    archs = candidates_for(space)
    for _ in range(2):  # replaced the second time
        adapted.save(str(tmp_path / "board"))
    again = load_adapted(tmp_path / "board", space)
    np.testing.assert_array_equal(again.predict(archs).mean, adapted.predict(archs).mean)
    np.testing.assert_array_equal(again.predict(archs).std, adapted.predict(archs).std)
    assert again.samples == adapted.samples
    assert again.conditions == {"device": "board"}
    assert again.input_shape == SHAPE
    assert again.samples[0].measurement["environment"]["runtime"] == "simulated"
    assert len(list((tmp_path / "board").iterdir())) == 2, "nothing is left of the first"


def test_a_writer_that_is_cut_off_leaves_the_old(adapted, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "board"
    adapted.save(folder)
    before = (folder / "adapted.json").read_text()

    def cut_off(path: Path, value: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hwnas.predict._adapted.write_json", cut_off)
        with pytest.raises(KeyboardInterrupt):
            adapted.save(folder)
    assert (folder / "adapted.json").read_text() == before
    assert load_adapted(folder, space).samples == adapted.samples
    adapted.save(folder)
    assert len(list(folder.iterdir())) == 2


def test_other_folders_are_not_overwritten(adapted, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(PredictError, match="something else"):
            adapted.save(path)
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (None, "holds no adapted predictor"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ({"format": 2}, "has format 2"),
        ({"predictor": "../predictor-x"}, "outside of the folder"),
        ({"predictor": "predictor-../../x"}, "outside of the folder"),
        ({"predictor": "predictor-x"}, "no stored predictor"),
        ({"samples": [{"arch": {}}]}, "cannot be read"),
        ({"samples": [{"arch": {}, "latency": -1, "low": -1, "high": 1}]}, "makes no sense"),
        ({"samples": []}, "two measurements"),
        ({"fingerprint": "0"}, "another space"),
    ],
)
def test_a_broken_folder_is_one_clear_error(adapted, tmp_path: Path, change, text) -> None:
    adapted.save(tmp_path / "board")
    path = tmp_path / "board" / "adapted.json"
    if isinstance(change, dict):
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    elif change is None:
        path.unlink()
    else:
        path.write_text(change)
    with pytest.raises(PredictError, match=text) as caught:
        load_adapted(tmp_path / "board", space)
    assert "\n" not in str(caught.value)


def test_an_expected_error_is_that_of_the_deviations() -> None:
    """Against draws of the errors that the deviations describe."""
    from hwnas.predict import Prediction

    rng = np.random.default_rng(0)
    mean, share = rng.uniform(1, 9, 200), rng.uniform(0.01, 0.2, 200)
    errors = np.abs(rng.standard_normal((500, 200)) * share)
    for q in (0.5, 0.9):
        told = expected_error(Prediction(mean, share * mean), q)
        assert told == pytest.approx(np.quantile(errors, q), rel=0.02)
    assert expected_error(Prediction(mean, 0 * mean)) is None
    with pytest.raises(PredictError, match="makes no sense"):
        Sample({}, 1.0, 2.0, 3.0)


def test_measurements_outlive_the_folder(adapted, known, board, store, tmp_path: Path) -> None:
    adapted.save(tmp_path / "board")
    shutil.rmtree(tmp_path / "board")
    assert adapt(known, space, board, 6, store=store).samples == adapted.samples
    with MeasurementStore(store.path) as other:
        assert adapt(known, space, board, 6, store=other).samples == adapted.samples
