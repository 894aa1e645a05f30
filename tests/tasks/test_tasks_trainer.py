"""The trainer contract: what goes in as text, and which metrics may come out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pytest
import torch

from hwnas.errors import TrialError, UsageError
from hwnas.tasks import (
    Data,
    Reporter,
    Trainer,
    check_metrics,
    check_trainer,
    classify,
    trainer_options,
)


def mine(  # type: ignore[no-untyped-def]
    model: torch.nn.Module,
    data: Data,
    report: Reporter,
    *,
    seed: int,
    steps: int = 10,
    rate: float = 0.1,
    warm: bool = False,
    kind: Literal["sgd", "adam"] = "sgd",
    tag: str = "",
    cap: int | None = None,
    bare=2.5,
) -> dict[str, float]:
    return {"accuracy": 1.0}


def needy(model: Any, data: Any, report: Any, *, seed: int, lr: float) -> dict[str, float]:
    return {}


def open_ended(model: Any, data: Any, report: Any, *, seed: int, **options: Any) -> dict[str, Any]:
    return options


def without_seed(model: Any, data: Any, report: Any) -> dict[str, float]:
    return {}


def unresolved(
    model: NotHere,  # type: ignore[name-defined]  # noqa: F821
    data: Data,
    report: Reporter,
    *,
    seed: int,
    epochs: int = 3,
    name: str = "x",
) -> dict[str, float]:
    return {}


class Callable:
    def __call__(
        self, model: Any, data: Any, report: Any, *, seed: int, rate: float = 1.0
    ) -> dict[str, float]:
        return {}


def test_text_becomes_what_the_annotations_say() -> None:
    given = {
        "steps": "20",
        "rate": "1e-3",
        "warm": "yes",
        "kind": "adam",
        "tag": "7",
        "cap": "none",
        "bare": "3",
    }
    assert trainer_options(mine, given) == {
        "steps": 20,
        "rate": 0.001,
        "warm": True,
        "kind": "adam",
        "tag": "7",
        "cap": None,
        "bare": 3.0,
    }
    assert trainer_options(mine, {"cap": "5"}) == {"cap": 5}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"step": "1"}, "unknown option 'step' of trainer 'mine'; known: bare, cap, kind"),
        ({"model": "x"}, "unknown option 'model'"),
        ({"seed": "1"}, "'seed' of trainer 'mine' is set by the search"),
        ({"steps": "1.5"}, "'steps' of trainer 'mine' is '1.5'; it is a whole number"),
        ({"rate": "fast"}, "'rate' of trainer 'mine' is 'fast'; it is a number"),
        ({"rate": "inf"}, "it is a finite number"),
        ({"warm": "maybe"}, "it is true or false"),
        ({"kind": "lion"}, "it is one of sgd, adam"),
    ],
)
def test_what_does_not_fit_is_refused(given: Mapping[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        trainer_options(mine, given)


def test_the_ready_trainer_takes_its_options_from_text() -> None:
    given = {"epochs": "3", "lr": "0.1", "device": "cpu"}
    assert trainer_options(classify, given) == {"epochs": 3, "lr": 0.1, "device": "cpu"}
    with pytest.raises(UsageError, match="unknown option 'epoch' of trainer 'classify'"):
        trainer_options(classify, {"epoch": "3"})


def test_a_missing_option_is_named() -> None:
    assert trainer_options(needy, {"lr": "1"}) == {"lr": 1.0}
    with pytest.raises(UsageError, match=r"trainer 'needy' does not fit .*'lr'"):
        trainer_options(needy, {})


def test_a_function_that_is_no_trainer_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'without_seed' does not fit train.*'seed'"):
        trainer_options(without_seed, {})


async def later(
    model: torch.nn.Module, data: Data, report: Reporter, *, seed: int
) -> dict[str, float]:
    return {"accuracy": 1.0}


def stepwise(model: torch.nn.Module, data: Data, report: Reporter, *, seed: int) -> Iterator[float]:
    yield 1.0


@pytest.mark.parametrize("trainer", [later, stepwise])
def test_functions_that_train_nothing_when_called_are_refused(trainer: Trainer) -> None:
    with pytest.raises(UsageError, match=r"is a \w+ function; write a plain function"):
        check_trainer(trainer, {})


def test_open_ended_options_become_what_they_read_as() -> None:
    given = {"a": "3", "b": "0.5", "c": "true", "d": "text"}
    assert trainer_options(open_ended, given) == {"a": 3, "b": 0.5, "c": True, "d": "text"}


def test_defaults_tell_the_type_where_annotations_cannot_be_resolved() -> None:
    assert trainer_options(unresolved, {"epochs": "5", "name": "7"}) == {"epochs": 5, "name": "7"}
    with pytest.raises(UsageError, match="it is a whole number"):
        trainer_options(unresolved, {"epochs": "few"})


def test_an_object_that_is_called_is_a_trainer() -> None:
    assert trainer_options(Callable(), {"rate": "2"}) == {"rate": 2.0}


def test_numbers_of_every_kind_become_floats() -> None:
    metrics = {
        "a": 1,
        "b": 0.5,
        "c": np.float32(0.25),
        "d": np.int64(7),
        "e": torch.tensor(2.0),
        "f": torch.tensor([3]),
    }
    checked = check_metrics(metrics, objective="a")
    assert checked == {"a": 1.0, "b": 0.5, "c": 0.25, "d": 7.0, "e": 2.0, "f": 3.0}
    assert {type(value) for value in checked.values()} == {float}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (None, "the trainer returned None .*must return a dict"),
        (0.97, r"the trainer returned 0\.97 \(float\)"),
        ("x" * 500, r"the trainer returned 'x+\.\.\. \(str\)"),
        ([("accuracy", 1.0)], "must return a dict"),
        ({}, "no metrics, an empty dict"),
        ({"accuracy": math.nan}, "metric 'accuracy' is nan, not a finite number"),
        ({"accuracy": np.float64("nan")}, "metric 'accuracy' is nan, not a finite number"),
        ({"accuracy": torch.tensor(math.inf)}, "metric 'accuracy' is inf"),
        ({"loss": -math.inf}, "metric 'loss' is -inf"),
        ({"loss": 10**400}, "metric 'loss' is inf"),
        ({"accuracy": "0.97"}, r"metric 'accuracy' is '0\.97' \(str\), not a number"),
        ({"accuracy": True}, r"metric 'accuracy' is True \(bool\), not a number"),
        ({"accuracy": np.bool_(True)}, "metric 'accuracy' is .*not a number"),
        ({"accuracy": torch.tensor(True)}, "metric 'accuracy' is True"),
        ({"accuracy": None}, "metric 'accuracy' is None"),
        ({"accuracy": 1 + 2j}, "metric 'accuracy' is .*complex"),
        ({"accuracy": torch.ones(2)}, "metric 'accuracy' is tensor.*not a number"),
        ({1: 0.5}, r"a metric is named 1 \(int\); names are text"),
        ({"": 0.5}, "a metric is named ''"),
        ({"loss": 0.5}, "returned no 'accuracy', only: loss"),
    ],
)
def test_metrics_that_cannot_be_used(metrics: object, message: str) -> None:
    with pytest.raises(TrialError, match=message):
        check_metrics(metrics, objective="accuracy")
