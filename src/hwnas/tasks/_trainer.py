"""The trainer contract, and the checks of what goes into a trainer and what comes out.

A trainer is any function

    train(model, data, report, *, seed, **options) -> dict[str, float]

- `model` is a fresh `torch.nn.Module`; the trainer changes it in place and leaves it in eval
  mode, on the device it came on, with the weights that belong to the returned metrics.
- `data` is a `Data`: train and validation splits. There is no test split to look at.
- `report(step, metrics)` streams intermediate metrics (for example after each epoch, steps count
  up from 1) and answers whether to stop: on True, return the metrics reached so far.
- `report.folder` is a folder of the trial's own for checkpoints. It is kept when the trial is cut
  off or fails and is run again: a trainer that finds its checkpoint there may go on from it.
- `report.measure("pixel6")` measures the network as it is, on a device of the search (by default
  the first), and returns its costs by name, such as `{"latency": 4.2}` in ms. It waits for its
  turn. A network that the device can never run makes the trial infeasible (`InfeasibleTrial`).
- `seed` decides every random draw of the trainer: the same seed, model and options give the same
  metrics, on one machine with one thread.
- `options` are keyword parameters of the trainer's own, with annotations or defaults, so that
  text from a command line can be converted (`trainer_options`).
- The returned metrics are finite numbers by name. They name the objective of the search;
  `accuracy` is the validation accuracy, 0 to 1. Other metrics may be constrained or optimised.
- Metrics beyond `accuracy` that a budget is to limit are declared on the function:
  `train.metrics = ("f1",)`.
- A trainer that fails raises; the trial is recorded as failed with the message. One that finds
  that a network can never be used raises `hwnas.InfeasibleTrial`, which no retry follows.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor

from hwnas import _refs
from hwnas.errors import TrialError, UsageError
from hwnas.tasks._options import convert, signature

_NOT_CALLED = (
    ("a coroutine function", inspect.iscoroutinefunction),
    ("an async generator function", inspect.isasyncgenfunction),
    ("a generator function", inspect.isgeneratorfunction),
)
"""Functions whose call trains nothing yet."""


class Reporter(Protocol):
    """Takes intermediate metrics and answers whether the trainer is to stop."""

    @property
    def folder(self) -> Path:
        """For checkpoints; kept until the trial has ended well."""

    def measure(self, device: str | None = None, /) -> dict[str, float]:
        """Costs of the network as it is, on a device of the search; by default on the first.

        Raises:
            InfeasibleTrial: the device can never run this network.
            DeviceError: no number could be had; the message says why.
        """

    def __call__(self, step: int, metrics: Mapping[str, float], /) -> bool:
        """Report `metrics` reached after `step`; True asks the trainer to return now."""


Trainer = Callable[..., Mapping[str, float]]
"""`train(model, data, report, *, seed, **options)`; the contract is in this module's docstring."""


def check_metrics(metrics: object, objective: str | None = None) -> dict[str, float]:
    """The metrics of a trainer as plain floats, each of them a finite number.

    NumPy numbers and tensors of one element count as numbers; booleans and text do not.

    Args:
        metrics: What a trainer returned or reported.
        objective: A metric that must be among them.

    Raises:
        TrialError: no dict, an empty one, or a metric that is no finite number.
    """
    if not isinstance(metrics, Mapping):
        raise TrialError(
            f"the trainer returned {_show(metrics)}; it must return a dict of metrics,"
            " such as {'accuracy': 0.97}"
        )
    if not metrics:
        raise TrialError("the trainer returned no metrics, an empty dict")
    checked = {_name(name): _number(name, value) for name, value in metrics.items()}
    if objective is not None and objective not in checked:
        raise TrialError(f"the trainer returned no '{objective}', only: {', '.join(checked)}")
    return checked


def trainer_options(
    trainer: Trainer, given: Mapping[str, str], beside: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Keyword arguments for `trainer` from text, converted by its annotations, else its defaults.

    `beside` are options that it has already.

    Raises:
        UsageError: an unknown option, text that does not read as the option's type, an option
            that is missing, or a function that does not keep the trainer contract.
    """
    name = f"trainer '{getattr(trainer, '__name__', type(trainer).__name__)}'"
    if "seed" in given:
        raise UsageError(f"option 'seed' of {name} is set by the search; leave it out")
    options = convert(trainer, given, reserved=3, hidden=("seed",), of=name)
    check_trainer(trainer, {**(beside or {}), **options})
    return options


def load_trainer(reference: str) -> Trainer:
    """The trainer that `module:name` names.

    Raises:
        UsageError: there is no such name, or it is no function.
    """
    trainer: Any = _refs.load(reference)
    if not callable(trainer):
        raise UsageError(f"the trainer '{reference}' is {type(trainer).__name__}, not a function")
    return cast("Trainer", trainer)


def check_trainer(trainer: Trainer, options: Mapping[str, Any]) -> None:
    """Check that `trainer` can be called as the contract says, with these options.

    Raises:
        UsageError: an option that it does not have, one that is missing, another signature, or a
            coroutine or generator function.
    """
    name = f"trainer '{getattr(trainer, '__name__', type(trainer).__name__)}'"
    for kind, test in _NOT_CALLED:
        if test(trainer):
            raise UsageError(f"{name} is {kind}; write a plain function that returns its metrics")
    try:
        signature(trainer).bind(None, None, None, seed=0, **options)
    except TypeError as error:
        raise UsageError(
            f"{name} does not fit train(model, data, report, *, seed, ...): {error}"
        ) from None


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise TrialError(f"a metric is named {_show(name)}; names are text")
    return name


def _number(name: str, value: object) -> float:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TrialError(f"metric '{name}' is {_show(value)}, not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise TrialError(f"metric '{name}' is {number}, not a finite number")
    return number


def _show(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"
