"""How a trainer tells its metrics: Vertex's module of the same name."""

from __future__ import annotations

import collections
import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hwnas._files import write_text
from hwnas.errors import TrialError

_DEFAULT_TAG = "training/hptuning/metric"
_ROWS = 100
_OTHERS = 5
_OWN = ("model_flops", "global_step")
_LONGEST_NAME = 64


class NasMetricsReporter:
    """Writes metrics to the file that the environment variable CLOUD_ML_HP_METRIC_FILE names.

    A row of JSON for each report, of the last hundred; the file is replaced as a whole.
    """

    def __init__(self) -> None:
        default = Path(tempfile.gettempdir(), "hypertune", "output.metrics")
        self.metric_path = os.environ.get("CLOUD_ML_HP_METRIC_FILE", str(default))
        self.trial_id = os.environ.get("CLOUD_ML_TRIAL_ID", 0)
        self.metrics_queue: collections.deque[dict[str, Any]] = collections.deque(maxlen=_ROWS)

    def report_metrics(
        self,
        hyperparameter_metric_tag: str,
        metric_value: float,
        global_step: int | None = None,
        checkpoint_path: str = "",
        model_flops: float = 0.0,
        other_metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Report the metric that the search maximises, and five others at most.

        Others are left out with a warning where they are not finite numbers, their name is longer
        than 64 characters or one of the row's own, or they are more than five.

        Raises:
            TrialError: the metric is not a finite number. Nothing is reported, so that the trial
                fails rather than win.
        """
        tag = hyperparameter_metric_tag or _DEFAULT_TAG
        value = _number(metric_value)
        if value is None:
            raise TrialError(f"metric '{tag}' is {metric_value!r}, not a finite number")
        flops = _number(model_flops)
        if flops is None:
            logging.warning("model_flops is %r, not a finite number: 0 is reported", model_flops)
        row: dict[str, Any] = {
            "timestamp": time.time(),
            "trial": str(self.trial_id),
            tag: str(value),
            "global_step": str(int(global_step or 0)),
            "checkpoint_path": checkpoint_path,
            "model_flops": str(flops or 0.0),
        }
        for index, (name, other) in enumerate(_others(other_metrics or {}, (tag, *_OWN))):
            row[f"key_{index}"] = name
            row[f"value_{index}"] = str(other)
        self.metrics_queue.append(row)
        rows = [json.dumps(one, sort_keys=True) + "\n" for one in self.metrics_queue]
        write_text(Path(self.metric_path), "".join(rows))


def _others(metrics: Mapping[str, float], taken: Collection[str]) -> list[tuple[str, float]]:
    kept: list[tuple[str, float]] = []
    for name, metric in metrics.items():
        value = _number(metric)
        if value is None:
            reason = f"{metric!r} is not a finite number"
        elif len(name) > _LONGEST_NAME:
            reason = f"its name is longer than {_LONGEST_NAME} characters"
        elif name in taken:
            reason = "the name has another meaning"
        elif len(kept) == _OTHERS:
            reason = f"there are {_OTHERS} already"
        else:
            kept.append((name, value))
            continue
        logging.warning("metric '%s' is not reported: %s", name, reason)
    return kept


def _number(value: Any) -> float | None:
    """A number, or a text of one, as a finite float."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
