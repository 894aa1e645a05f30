"""The plain predictors: what each of them can know, and what it does with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.cost import Block, CostTable, FeasibleSet, LatencyTable, load_cost, static_costs
from hwnas.errors import ArchError, PredictError
from hwnas.predict import (
    AdditivePredictor,
    DevicePredictor,
    LatencyPredictor,
    SourceTable,
    load_predictor,
    make_predictor,
    read_sources,
    score,
)
from hwnas.predict._baselines.brp_nas import _adjacency
from hwnas.predict._design import spread
from hwnas.predict._lines import nonnegative, proportional
from hwnas.space import Arch
from hwnas.zoo import load_space
from support import data_path

COSTS = {
    "none": 0.0,
    "skip_connect": 0.1,
    "nor_conv_1x1": 0.7,
    "nor_conv_3x3": 2,
    "avg_pool_3x3": 1,
}


opened = cache(load_space)


def some(space: str, n: int, seed: int = 0) -> list[Arch]:
    rng = np.random.default_rng(seed)
    return [opened(space).sample(rng) for _ in range(n)]


def told(name: str, space: str, **options: object) -> LatencyPredictor:
    """A predictor that knows the space and no source."""
    predictor = make_predictor(name, **options)
    predictor.fit(SourceTable(space, (), {}))
    return predictor


def additive(archs: Sequence[Arch]) -> np.ndarray:
    """A sum over the edges of a cell, each at its own factor."""
    return np.array(
        [3 + sum(COSTS[str(v)] * (1 + i / 10) for i, v in enumerate(a.values())) for a in archs]
    )


def macs(arch: Arch) -> float:
    return static_costs(opened("nasbench201").build(arch), (1, 3, 32, 32), ["macs"])["macs"]


def test_flops_is_a_line_over_macs() -> None:
    archs, others = some("nasbench201", 5), some("nasbench201", 3, seed=1)
    counts = np.array([macs(arch) for arch in archs])
    found = told("flops", "nasbench201").adapt(archs, 2 + 3e-8 * counts).predict(others)
    np.testing.assert_allclose(found.mean, [2 + 3e-8 * macs(arch) for arch in others], rtol=1e-6)
    assert (found.std < 1e-6).all()


def test_flops_with_one_measurement_is_a_ratio() -> None:
    archs = some("nasbench201", 3)
    found = told("flops", "nasbench201").adapt(archs[:1], [5.0]).predict(archs)
    share = [macs(arch) / macs(archs[0]) for arch in archs]
    np.testing.assert_allclose(found.mean, np.maximum(5 * np.array(share), 0.005), rtol=1e-9)
    np.testing.assert_array_equal(found.std, found.mean)  # nothing tells the error


def test_flops_counts_at_the_resolution_of_the_arch() -> None:
    (arch,) = some("ofa_mobilenetv3", 1)
    sizes = [{**arch, "resolution": side} for side in (128, 224)]
    found = told("flops", "ofa_mobilenetv3").adapt(sizes[:1], [4.0]).predict([*sizes, arch])
    built = opened("ofa_mobilenetv3").build(arch)
    small, large = (
        static_costs(built, (1, 3, side, side), ["macs"])["macs"] for side in (128, 224)
    )
    np.testing.assert_allclose(found.mean, 4 * np.array([1, large / small, large / small]))
    with pytest.raises(ArchError, match="resolution"):
        told("flops", "ofa_mobilenetv3").adapt([{**arch, "resolution": 0.5}], [1.0])


@pytest.mark.parametrize(("name", "options"), [("lookup", {}), ("ridge", {"scale": "linear"})])
def test_a_sum_over_choices_is_found(name: str, options: dict[str, object]) -> None:
    archs, others = some("nasbench201", 150), some("nasbench201", 50, seed=1)
    options = {**options, **({"on": ["decisions"]} if name == "ridge" else {})}
    device = told(name, "nasbench201", **options).adapt(archs, additive(archs))
    np.testing.assert_allclose(device.predict(others).mean, additive(others), rtol=0.01)


def test_archs_under_a_predicted_latency_are_counted_and_drawn_exactly(tmp_path: Path) -> None:
    """The predictor as a cost table: as good as any other cost in a feasible set."""
    archs = some("nasbench201", 60)
    device = told("lookup", "nasbench201").adapt(archs, additive(archs))
    assert isinstance(device, AdditivePredictor)
    space = opened("nasbench201")
    table = device.to_table(space)
    predicted = device.predict(list(space.enumerate())).mean
    np.testing.assert_allclose(table.evaluate(space.encode(list(space.enumerate()))), predicted)
    limit = float(np.quantile(predicted, 0.01))
    feasible = FeasibleSet(space, [(table, "<=", limit)])
    drawn = feasible.draw(50, np.random.default_rng(0))
    assert (device.predict(drawn).mean <= limit + 1e-9).all()
    assert FeasibleSet(space, [(table, "<=", float(predicted.min()) * 0.99)]).is_empty()
    assert table.minimum()[0] == pytest.approx(predicted.min())
    table.save(tmp_path / "predicted.npz")
    cost = load_cost(f"latency@phone={tmp_path / 'predicted.npz'}", space)
    assert (cost.name, cost(drawn[0])) == ("latency@phone", table(drawn[0]))


def test_fbnet_is_searched_by_a_predicted_latency() -> None:
    """10^21 archs, none of them tried."""
    space = opened("fbnet")
    archs = some("fbnet", 100)
    latencies = [1 + 0.2 * sum(int(str(v)[1]) for v in a.values() if v != "skip") for a in archs]
    device = told("lookup", "fbnet").adapt(archs, latencies)
    assert isinstance(device, AdditivePredictor)
    table = device.to_table(space)
    assert table.relative_std > 0
    limit = table.minimum()[0] * 1.3
    drawn = FeasibleSet(space, [(table, "<=", limit)]).draw(20, np.random.default_rng(0))
    assert (device.predict(drawn).mean <= limit * (1 + 1e-9)).all()


def blocks(space: str) -> list[Block]:
    labels = [decision.label for decision in opened(space).decisions]
    return [Block((label,), lambda arch, label=label: str(arch[label])) for label in labels]  # type: ignore[misc]


def test_a_measured_table_is_scaled_to_the_device(tmp_path: Path) -> None:
    from hwnas._estimate import Estimate

    space = opened("nasbench201")
    entries = {name: Estimate(cost, 0.0) for name, cost in COSTS.items()}
    table = LatencyTable(entries).cost(space, blocks("nasbench201"))
    archs, others = some("nasbench201", 4), some("nasbench201", 30, seed=1)
    predictor = told("lookup", "nasbench201", table=table)
    device = predictor.adapt(archs, [2 + 1.5 * table(arch) for arch in archs])
    expected = [2 + 1.5 * table(arch) for arch in others]
    np.testing.assert_allclose(device.predict(others).mean, expected, rtol=1e-6)
    assert isinstance(device, AdditivePredictor)
    assert device.to_table(space)(others[0]) == pytest.approx(expected[0])
    one = predictor.adapt(archs[:1], [2 * table(archs[0])]).predict(others)
    np.testing.assert_allclose(one.mean, [2 * table(arch) for arch in others], rtol=1e-6)
    predictor.save(tmp_path / "one")
    again = load_predictor(tmp_path / "one").adapt(archs, [2 + table(arch) for arch in archs])
    np.testing.assert_allclose(
        again.predict(others).mean, [2 + table(arch) for arch in others], rtol=1e-6
    )


def test_a_table_of_another_space_is_refused() -> None:
    table = CostTable.of("latency", opened("digits_cnn"), [(["width"], lambda arch: 1.0)])
    with pytest.raises(PredictError, match="another space"):
        told("lookup", "nasbench201", table=table)


def test_ridge_takes_logarithms_where_they_fit_better() -> None:
    archs, others = some("nasbench201", 40), some("nasbench201", 40, seed=1)

    def product(archs: Sequence[Arch]) -> np.ndarray:
        return np.exp([sum(0.4 * COSTS[str(v)] for v in a.values()) for a in archs])

    errors = {}
    for scale in ("best", "linear", "log"):
        device = told("ridge", "nasbench201", scale=scale).adapt(archs, product(archs))
        errors[scale] = score(device.predict(others), product(others)).median_error
    assert errors["best"] == errors["log"] < 0.01 < errors["linear"]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("ridge", {"scale": "square"}, "none of best, linear, log"),
        ("ridge", {"on": "counts"}, "list"),
        ("brp-nas", {"hiden": 3}, "no option 'hiden'"),
        ("brp-nas", {"hidden": 0}, "hidden is 0"),
        ("brp-nas", {"dropout": 1.0}, "out of range"),
    ],
)
def test_wrong_options_are_told(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(PredictError, match=said):
        make_predictor(name, **options)


def test_few_measurements_are_told() -> None:
    archs = some("nasbench201", 9)
    for name, least in (("ridge", 3), ("brp-nas", 10)):
        with pytest.raises(PredictError, match=f"this predictor takes {least}"):
            told(name, "nasbench201").adapt(archs[: least - 1], [1.0] * (least - 1))


@pytest.mark.parametrize("name", ["flops", "lookup", "ridge", "source-mean", "brp-nas"])
def test_a_space_of_ones_own(name: str, tmp_path: Path) -> None:
    """The object itself, at an input size of its own; given again when it is loaded."""
    space = load_space("digits_cnn", (2, 16, 16), 3)
    archs = tuple(space.enumerate())
    latencies = np.array([1 + float(arch["width"]) * float(arch["depth"]) for arch in archs])
    table = SourceTable(space, archs, {"laptop": latencies}, input_shape=(2, 16, 16))
    options = {"hidden": 8, "epochs": 2, "device": "cpu"} if name == "brp-nas" else {}
    predictor = make_predictor(name, **options)
    predictor.fit(table)
    predictor.save(tmp_path / "one")
    loaded = load_predictor(tmp_path / "one", space)
    known = archs[::4], (2 * latencies[::4]).tolist()
    found = [one.adapt(*known).predict(archs).mean for one in (predictor, loaded)]
    np.testing.assert_allclose(*found, rtol=1e-4)
    with pytest.raises(PredictError, match="another space"):
        load_predictor(tmp_path / "one", opened("nasbench201"))


@pytest.fixture(scope="module")
def sources() -> SourceTable:
    archs = tuple({str(arch): arch for arch in some("nasbench201", 200)}.values())
    latencies = {
        "convolutions": np.array([1 + sum("conv" in str(v) for v in a.values()) for a in archs]),
        "everything": np.array([1 + sum(str(v) != "none" for v in a.values()) for a in archs]),
    }
    return SourceTable("nasbench201", archs, {k: v.astype(float) for k, v in latencies.items()})


def mixed(sources: SourceTable, *weights: float) -> np.ndarray:
    return np.array(weights) @ np.array(list(sources.latencies.values()))


def test_the_mean_of_the_sources_is_scaled_by_one_measurement(sources: SourceTable) -> None:
    predictor = make_predictor("source-mean")
    predictor.fit(sources)
    means = [values.mean() for values in sources.latencies.values()]
    truth = mixed(sources, 3 / means[0], 3 / means[1])
    device = predictor.adapt(sources.archs[:1], truth[:1].tolist())
    np.testing.assert_allclose(device.predict(sources.archs).mean, truth, rtol=0.02)


def test_a_mix_of_the_sources_is_found(sources: SourceTable) -> None:
    predictor = make_predictor("source-mix")
    predictor.fit(sources)
    truth = mixed(sources, 5.0, 0.5)
    device = predictor.adapt(sources.archs[:12], truth[:12].tolist())
    assert score(device.predict(sources.archs), truth).median_error < 0.02
    mean = make_predictor("source-mean")
    mean.fit(sources)
    plain = mean.adapt(sources.archs[:12], truth[:12].tolist())
    assert score(plain.predict(sources.archs), truth).median_error > 0.03


def test_the_graph_of_brp_nas_is_that_of_the_cell() -> None:
    """An operation reads those that end at the node it begins at; the last node reads all."""
    matrix = _adjacency() > 0
    reads = [np.flatnonzero(row).tolist() for row in matrix.numpy()]
    assert reads[:8] == [[0], [0, 1], [0, 2], [1, 3], [0, 4], [1, 5], [2, 3, 6], [4, 5, 6, 7]]
    assert reads[8] == list(range(9))


def test_brp_nas_learns_from_hundreds() -> None:
    archs, others = some("nasbench201", 300), some("nasbench201", 100, seed=1)
    predictor = told(
        "brp-nas", "nasbench201", hidden=32, epochs=40, batch=16, rate=3e-3, device="cpu"
    )
    device: DevicePredictor = predictor.adapt(archs, additive(archs))
    scores = score(device.predict(others), additive(others))
    assert scores.spearman > 0.95
    assert scores.coverage > 0.6


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 8))
def test_weights_are_never_negative_and_their_error_is_honest(seed: int, n: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    y = np.exp(rng.normal(size=n))
    line = nonnegative(x, y)
    assert (line.weights >= 0).all()
    assert line.intercept >= 0
    assert line.error > 0
    residual = np.sqrt(np.mean((y - x @ line.weights - line.intercept) ** 2))
    assert line.error >= 0.5 * residual


@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_a_ratio_does_not_depend_on_the_unit(seed: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.gamma(2.0, size=(2, 6)) + 0.1
    one, other = proportional(x, y), proportional(x, unit * y)
    np.testing.assert_allclose(other.weights, unit * one.weights)
    assert other.error == pytest.approx(one.error)


def test_a_design_covers_what_varies_and_not_what_is_known() -> None:
    """Three groups of equal rows: one of each comes first, and what was measured is left out."""
    rows = np.repeat(np.eye(3), [5, 4, 3], axis=0)
    assert sorted(np.repeat([0, 1, 2], [5, 4, 3])[spread(rows, 3)]) == [0, 1, 2]
    assert spread(rows, 12)[:3] == spread(rows, 3)
    assert sorted(spread(rows, 12)) == list(range(12))
    known = np.repeat([0, 1, 2], [5, 4, 3])[spread(rows, 2, taken=np.eye(3)[:1])]
    assert sorted(known) == [1, 2]


@pytest.mark.parametrize(
    ("name", "device", "least"),
    [
        ("ridge", "fpga", 0.99),
        ("source-mean", "gold_6226", 0.93),
        ("source-mix", "gold_6226", 0.93),
        ("flops", "titan_rtx_256", 0.94),
    ],
)
def test_published_devices_from_ten_measurements(name: str, device: str, least: float) -> None:
    """The sources are two devices on 900 archs, the queries all others of the first 3,000."""
    table = read_sources(data_path("help/nasbench201"), "nasbench201").table
    table = table.rows(np.arange(3000)).only(["1080ti_256", "silver_4210r", device])
    predictor = make_predictor(name)
    predictor.fit(table.only(["1080ti_256", "silver_4210r"]).rows(np.arange(900)))
    rows = np.random.default_rng(0).choice(900, 10, replace=False)
    truth = table.latencies[device]
    found = predictor.adapt([table.archs[row] for row in rows], truth[rows].tolist())
    assert score(found.predict(table.archs[900:]), truth[900:]).spearman > least
