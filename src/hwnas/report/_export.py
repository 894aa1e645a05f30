"""The winner's files: what leaves a job."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas._files import write_json
from hwnas.errors import JobError
from hwnas.jobs import Job
from hwnas.report._card import write_card
from hwnas.report._card_data import CARD, Card

if TYPE_CHECKING:
    from hwnas.jobs import JobView, TrialRecord
    from hwnas.space import SearchSpace
    from hwnas.tasks import Task


def export(view: JobView, space: SearchSpace, task: Task | None, number: int, path: Path) -> None:
    """Write a trial's `arch.json`, `model.safetensors`, `model.onnx`, `card.md` and `card.json`.

    The test split of the task is read here, and nowhere else. The folder appears whole or not at
    all.

    Raises:
        JobError: the trial was not completed, or `path` is not empty.
        StoreError: its files are gone or damaged.
    """
    trial = _trial(view, number)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise JobError(f"{path} exists already; name a new folder")
    job = Job.open(view.where)
    (weights,) = job.trial(number).fetch(["model.safetensors"])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _fill(temporary, job, view, space, task, trial, weights)
        temporary.chmod(0o755)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(
    folder: Path,
    job: Job,
    view: JobView,
    space: SearchSpace,
    task: Task | None,
    trial: TrialRecord,
    weights: Path,
) -> None:
    import torch
    from safetensors.torch import load_model

    from hwnas.device import export_onnx
    from hwnas.jobs import at_hand
    from hwnas.tasks import evaluate

    spec = job.spec
    model = space.build(dict(trial.arch))
    load_model(model, str(weights))
    model.eval()
    test, pixels = {}, None
    if task is not None:
        test = evaluate(model, task.test(spec.seed))
        data = task.load(spec.seed)
        pixels = (data.mean, data.std)
    shutil.copyfile(weights, folder / "model.safetensors")
    if spec.input_shape is not None:
        export_onnx(model, (torch.zeros(1, *spec.input_shape),), folder / "model.onnx")
    arch = {"space": spec.space.model_dump(), "arch": dict(trial.arch)}
    write_json(folder / "arch.json", arch)
    measured = at_hand(spec.costs, spec)
    own = [name for name in spec.costs if name not in measured]
    card = Card(
        job=view.name,
        trial=trial.number,
        space=spec.space,
        arch=dict(trial.arch),
        input_shape=spec.input_shape,
        num_classes=task.num_classes if task is not None else None,
        task=spec.task,
        metric=spec.metric,
        declared=(spec.metric, *spec.metrics, *own),
        metrics=dict(trial.metrics),
        test=test,
        costs={name: (cost.value, cost.std) for name, cost in trial.costs.items()},
        budget=spec.budget,
        feasible=bool(trial.feasible),
        violations=dict(trial.violations),
        devices=spec.devices,
        references=job.read("devices.json", dict[str, float]) or {},
        pixels=pixels,
        versions=spec.versions,
        seed=spec.seed,
    )
    write_json(folder / CARD, card.model_dump(mode="json"))
    write_card(
        folder / "card.md",
        job=view.name,
        trial=trial.number,
        arch=dict(trial.arch),
        space=view.space,
        fingerprint=view.fingerprint,
        metric=view.metric,
        metrics=dict(trial.metrics),
        test=test,
        costs=dict(trial.costs),
        budget=view.budget,
        versions=dict(view.versions),
        seed=view.seed,
        task=view.task,
        input_shape=spec.input_shape,
        pixels=pixels,
        counting=spec.counting,
    )


def _trial(view: JobView, number: int) -> TrialRecord:
    for trial in view.trials:
        if trial.number == number and trial.state == "complete":
            return trial
    done = ", ".join(str(t.number) for t in view.complete) or "none"
    raise JobError(f"trial {number} of {view.where} is not complete; complete: {done}")
