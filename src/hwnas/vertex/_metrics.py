"""What a trainer has reported, read back from the file of CLOUD_ML_HP_METRIC_FILE."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from hwnas.errors import TrialError


@dataclass(frozen=True)
class Reported:
    """One report: the metric that the search maximises under its tag, and the others."""

    step: int
    metrics: Mapping[str, float]


def reports(file: Path, tag: str) -> list[Reported]:
    """The reports in a file, oldest first; none where there is no file.

    A trainer may be writing the file: a last line that is cut off counts as not there. Metrics
    other than the tag's are left out where they are not finite numbers.

    Raises:
        TrialError: the metric of a report is missing, NaN or infinite, or a line is no report.
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break
            raise TrialError(f"line {number} of its metrics is no JSON: {line[:80]}") from error
        if not isinstance(row, dict):
            raise TrialError(f"line {number} of its metrics is no report: {line[:80]}")
        found.append(_report(row, tag))
    return found


def _report(row: Mapping[str, Any], tag: str) -> Reported:
    if tag not in row:
        own = {"timestamp", "trial", "global_step", "checkpoint_path", "model_flops"}
        others = sorted(key for key in row.keys() - own if not key.startswith(("key_", "value_")))
        told = f"'{others[0]}'" if others else "nothing else"
        raise TrialError(f"it reported no metric '{tag}', but {told}")
    value = _number(row[tag])
    if value is None:
        raise TrialError(f"it reported {tag} = {row[tag]}, not a finite number")
    metrics = {name: other for name, other in _others(row) if name != tag}
    flops = _number(row.get("model_flops"))
    if flops:
        metrics["model_flops"] = flops
    return Reported(int(_number(row.get("global_step")) or 0), {tag: value, **metrics})


def _others(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for index in count():
        name, value = row.get(f"key_{index}"), _number(row.get(f"value_{index}"))
        if not isinstance(name, str):
            return
        if value is not None:
            yield name, value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
