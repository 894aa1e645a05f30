"""Trials as Vertex's client lists them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from hwnas.errors import StoreError
from hwnas.jobs import JobView, Store, TrialRecord
from hwnas.vertex._ids import JobIndex, NasJob
from hwnas.vertex._layout import PARAMS


def trial_rows(
    index: JobIndex, job: NasJob, view: JobView, max_trials: int = 20
) -> list[dict[str, Any]]:
    """The trials that succeeded, the best first, as the API of Vertex AI has them.

    Args:
        max_trials: at most so many; 0 for all.
    """
    best = view.complete[: max_trials or None]
    files = index.store.within(f"{job.folder}/nas/{job.kind}")
    return [_row(job, trial, view.metric, files) for trial in best]


def trial_id(job: NasJob, trial: TrialRecord) -> int:
    """A trial's number as its trainer was told it."""
    if job.kind == "train":
        return job.trials.index(int(trial.arch["search_trial"])) + 1
    return trial.number + 1


def _row(job: NasJob, trial: TrialRecord, metric: str, files: Store) -> dict[str, Any]:
    number = trial_id(job, trial)
    others = {name: value for name, value in trial.metrics.items() if name != metric}
    metrics = {metric: trial.metrics[metric], **others}
    row: dict[str, Any] = {
        "name": f"nasJobs/{job.id}/nasTrialDetails/{number}",
        "parameters": _parameters(number, trial, files),
        f"{job.kind}Trial": {
            "id": str(number),
            "state": "SUCCEEDED",
            "finalMeasurement": {
                "stepCount": str(trial.step or 0),
                "metrics": [{"metricId": key, "value": value} for key, value in metrics.items()],
            },
        },
    }
    if trial.started is not None:
        times = {"startTime": _time(trial.started)}
        if trial.elapsed is not None:
            times["endTime"] = _time(trial.started + timedelta(seconds=trial.elapsed))
        row[f"{job.kind}Trial"].update(times)
    return row


def _parameters(number: int, trial: TrialRecord, files: Store) -> str:
    """As the trainer got them; else the arch, where it did not keep them."""
    kept = files.get(f"{number}/{PARAMS}")
    if kept is None:
        return json.dumps(dict(trial.arch))
    try:
        return json.dumps(json.loads(kept))
    except ValueError as error:
        raise StoreError(f"{files.url}/{number}/{PARAMS} is damaged: {error}") from error


def _time(moment: datetime) -> str:
    return moment.astimezone().isoformat(timespec="seconds")
