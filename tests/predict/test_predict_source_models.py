"""The regressions that stand for the source devices."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.errors import PredictError
from hwnas.predict._source_models import SourceModels


def described(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Six decisions of three choices each, their counts, and a size."""
    chosen = np.random.default_rng(seed).integers(3, size=(n, 6))
    onehot = (chosen[:, :, None] == np.arange(3)).astype(float)
    return {
        "counts": onehot.sum(axis=1),
        "decisions": onehot.reshape(n, -1),
        "physics": 1e8 * (1.0 + onehot[:, :, 1:] @ [1.0, 3.0]).prod(axis=1, keepdims=True),
    }


def devices(groups: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A sum of operators, a product of them, and two decisions that act together."""
    counts, onehot = groups["counts"], groups["decisions"]
    return {
        "sum": 3.0 + counts @ [0.0, 1.0, 5.0],
        "product": np.exp(0.3 * counts @ [0.0, 1.0, 2.0]),
        "joint": 5.0 + 2.0 * onehot[:, 1] * onehot[:, 4] + onehot[:, 8],
    }


def test_they_find_sums_products_and_pairs() -> None:
    groups, others = described(300), described(500, seed=1)
    models = SourceModels.fit(groups, devices(groups))
    truth = np.stack(list(devices(others).values()), axis=1)
    np.testing.assert_allclose(models.predict(others), truth, rtol=2e-3)
    assert models.devices == ("sum", "product", "joint")
    assert models.log.tolist() == [False, True, False]
    assert (models.error < 2e-3).all()


def test_rows_that_a_device_did_not_measure_do_not_count() -> None:
    groups = described(200)
    whole = devices(groups)
    part = {name: values.copy() for name, values in whole.items()}
    part["joint"][150:] = np.nan
    models = SourceModels.fit(groups, part)
    alone = SourceModels.fit(
        {name: matrix[:150] for name, matrix in groups.items()}, {"joint": whole["joint"][:150]}
    )
    close = models.predict(groups)[:, 2], alone.predict(groups)[:, 0]
    np.testing.assert_allclose(*close, rtol=1e-3)


@pytest.mark.parametrize("n", [3, 5, 20])
def test_few_rows_give_positive_latencies(n: int) -> None:
    """There are more columns than rows, and some are constant."""
    groups = described(n)
    found = SourceModels.fit(groups, devices(groups)).predict(described(400, seed=2))
    assert found.shape == (400, 3)
    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_noise_does_not_pass_through() -> None:
    groups = described(400)
    truth = devices(groups)["sum"]
    noisy = truth * np.exp(0.2 * np.random.default_rng(0).standard_normal(400))
    models = SourceModels.fit(groups, {"noisy": noisy})
    wrong = np.abs(models.predict(groups)[:, 0] / truth - 1.0)
    assert np.median(wrong) < np.median(np.abs(noisy / truth - 1.0)) / 2
    assert 0.1 < models.error[0] < 0.4


def test_the_state_says_everything() -> None:
    groups = described(100)
    models = SourceModels.fit(groups, devices(groups))
    again = SourceModels.of_state(models.devices, models.state())
    np.testing.assert_array_equal(models.predict(groups), again.predict(groups))


@pytest.mark.parametrize("name", ["weights", "pairs", "intercept", "error"])
def test_a_state_that_lacks_something_is_an_error(name: str) -> None:
    groups = described(100)
    models = SourceModels.fit(groups, devices(groups))
    for wrong in ({}, {name: np.zeros((2, 2))}):
        state = {key: value for key, value in models.state().items() if key != name}
        with pytest.raises(PredictError, match=name):
            SourceModels.of_state(models.devices, state | wrong)


def test_errors_say_what_is_wrong() -> None:
    groups = described(10)
    with pytest.raises(PredictError, match="'a' has 2 latencies"):
        SourceModels.fit(groups, {"a": np.array([1.0, 2.0] + [np.nan] * 8)})
    models = SourceModels.fit(groups, {"a": np.arange(1.0, 11.0)})
    with pytest.raises(PredictError, match="fit the sources again"):
        models.predict({"counts": groups["counts"]})


@pytest.mark.parametrize(("n", "p"), [(10, 3), (40, 30), (8, 60)])
@pytest.mark.parametrize("strength", [1e-7, 1e-3, 1.0])
def test_the_error_is_that_of_rows_left_out(
    n: int, p: int, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fitted again without each row, also where there are as many columns as rows."""
    monkeypatch.setattr("hwnas.predict._source_models._STRENGTHS", np.array([strength]))
    rng = np.random.default_rng(n)
    columns = rng.normal(size=(n, p))
    latencies = 20.0 + columns[:, :3].sum(axis=1) + rng.normal(size=n)
    errors = []
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0) / np.sqrt(p)
    for row in range(n):
        left = np.arange(n) != row
        x, y = scaled[left] - scaled[left].mean(axis=0), latencies[left] - latencies[left].mean()
        weights = np.linalg.solve(x.T @ x + strength * n * np.eye(p), x.T @ y)
        guess = latencies[left].mean() + (scaled[row] - scaled[left].mean(axis=0)) @ weights
        errors.append(latencies[row] - guess)
    models = SourceModels.fit({"columns": columns}, {"a": latencies}, log=False)
    told = np.sqrt(np.mean(np.square(errors))) / latencies.mean()
    assert models.error[0] == pytest.approx(told, rel=1e-4)
