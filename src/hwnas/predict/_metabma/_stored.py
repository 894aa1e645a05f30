"""A learnt prior as arrays, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.errors import PredictError
from hwnas.predict._metabma._bank import Bank
from hwnas.predict._metabma._calibration import Calibration
from hwnas.predict._metabma._features import Features, Standard
from hwnas.predict._metabma._learn import LOGS
from hwnas.predict._metabma._prior import Prior
from hwnas.predict._metabma._terms import FIXED, MODES, Terms
from hwnas.predict._source_models import SourceModels
from hwnas.predict._stored import PredictorState

_SCALES = {False: "linear", True: "log"}


def stored(prior: Prior) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Settings and arrays that `restored` takes. No latency of a source is among them."""
    arrays: dict[str, NDArray[Any]] = {
        "calibration": prior.calibration.coefficients.numpy(),
        "slopes": np.array([bank.slope for bank in prior.banks]),
    }
    for name, standard in prior.features.standards.items():
        arrays[f"features.{name}.mean"] = standard.mean.numpy()
        arrays[f"features.{name}.scale"] = standard.scale.numpy()
    if prior.models is not None:
        arrays |= {f"models.{name}": array for name, array in prior.models.state().items()}
    for terms, bank in zip(prior.terms, prior.banks, strict=True):
        scale = _SCALES[terms.log]
        parts = {
            "floor": terms.floor,
            "centre": terms.centre,
            "mean": terms.standard.mean,
            "scale": terms.standard.scale,
            "spread": terms.spread[None],
            "rotation": terms.rotation,
            "gain": terms.gain,
            "variances": bank.variances.float(),
            "noise": bank.noise.float(),
            "tails": bank.tails.float(),
            "weights": bank.weights.float(),
        }
        arrays |= {f"{scale}.{name}": value.numpy() for name, value in parts.items()}
    settings = {
        "groups": list(prior.features.standards),
        "devices": [] if prior.models is None else list(prior.models.devices),
    }
    return settings, arrays


def restored(state: PredictorState) -> Prior:
    """The prior of a state.

    Raises:
        PredictError: something is missing, or of a wrong type or shape.
    """
    groups = _names(state, "groups")
    devices = _names(state, "devices")
    standards = {}
    for name in groups:
        mean = _tensor(state, f"features.{name}.mean", None)
        standards[name] = Standard(mean, _tensor(state, f"features.{name}.scale", len(mean)))
    models = SourceModels.of_state(devices, state.part("models")) if devices else None
    slopes = state.array("slopes", len(LOGS)).tolist()
    k = max(1, len(devices))
    terms, banks = [], []
    for log, slope in zip(LOGS, slopes, strict=True):

        def part(name: str, *shape: int | None, scale: str = _SCALES[log]) -> Tensor:
            return _tensor(state, f"{scale}.{name}", *shape)

        terms.append(
            Terms(
                log,
                torch.arange(k),
                part("floor", k),
                part("centre", k),
                Standard(part("mean", k), part("scale", k)),
                part("spread", 1)[0],
                part("rotation", k, MODES),
                part("gain", MODES),
            )
        )
        variances = part("variances", None, FIXED + len(groups))
        settings = len(variances)
        banks.append(
            Bank(
                log,
                variances,
                part("noise", settings),
                part("tails", settings),
                slope,
                part("weights", settings),
            )
        )
    calibration = Calibration(_tensor(state, "calibration", 3))
    return Prior(Features(standards), models, tuple(terms), tuple(banks), calibration)


def _names(state: PredictorState, setting: str) -> list[str]:
    found = state.setting(setting, list)
    if not all(isinstance(name, str) for name in found):
        raise PredictError(f"the stored predictor is damaged: '{setting}' are no names")
    return found


def _tensor(state: PredictorState, name: str, *shape: int | None) -> Tensor:
    return torch.from_numpy(state.array(name, *shape))
