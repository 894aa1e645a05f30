"""The process that trains trials, one after another: `python -m hwnas.jobs._executors.process`."""

from __future__ import annotations

import errno
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hwnas._process import Channel, Message
from hwnas.errors import DeviceError, InfeasibleTrial, StoreError, TrialError, describe
from hwnas.jobs._executors.base import NOT_KEPT
from hwnas.jobs._executors.references import References
from hwnas.jobs._folder.trial_folder import CHECKPOINTS, WEIGHTS, TrialFolder

_KEEP_EVERY = 30.0  # seconds between two times that checkpoints go to the store


def main() -> None:
    """Set up once, then train whatever the coordinator sends until it closes the pipe."""
    os.nice(19)  # measuring processes must not wait for training
    channel = Channel()
    setup, (payload,) = channel.receive()
    try:
        trainer = _Trainer(setup, payload, channel)
        channel.send({"type": "ready"})
    except Exception as error:  # noqa: BLE001 - anything in the user's modules
        traceback.print_exc()
        channel.send({"type": "broken", "reason": describe(error)})
        return
    while True:
        order, _ = channel.receive()
        channel.send(trainer.run(order))


def _print_traceback(error: BaseException) -> None:
    """The traceback from the user's code on; our own frames above it tell nothing."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename == __file__:
        frame = frame.tb_next
    traceback.print_exception(error.with_traceback(frame or error.__traceback__))


def _failed(number: int, kind: str, reason: str) -> Message:
    return {"type": "failed", "trial": number, "kind": kind, "reason": reason}


class _Trainer:
    """The user's space, data and trainer, loaded once and used for every trial."""

    def __init__(self, setup: Message, payload: bytes, channel: Channel) -> None:
        sys.path[:] = setup["path"]
        import cloudpickle
        import torch

        torch.set_num_threads(setup["threads"])
        # Our own parent wrote these bytes a moment ago: functions of a script or notebook, which
        # no import can reach, arrive this way.
        parts = cloudpickle.loads(payload)
        if isinstance(parts, References):
            parts = parts.load()
        self._space, self._train, self._options, self._task, self._shape, self._counting = parts
        self._seed: int = setup["seed"]
        self._metric: str = setup["metric"]
        self._exports: dict[str, list[int]] = setup["exports"]
        self._channel = channel
        self._data = self._task.load(self._seed) if self._task else None

    def run(self, order: Message) -> Message:
        """Train one arch; the answer says how it ended."""
        number, files = order["trial"], TrialFolder.from_dict(order["folder"])
        self._channel.stop_requested.clear()
        try:
            files.begin()
            told = self._attempt(number, order["arch"], files)
            if told["type"] == "done":
                # The manifest is written last: a trial that has it is trained, and never again.
                files.publish()
            else:
                files.leave()
        except (StoreError, OSError) as error:
            told = _failed(number, NOT_KEPT, describe(error))
        return told

    def _attempt(self, number: int, arch: Message, files: TrialFolder) -> Message:
        with _logging_to(files.log):
            try:
                return {"type": "done", "trial": number, **self._train_one(number, arch, files)}
            except InfeasibleTrial as error:
                kind, reason = "infeasible", str(error) or "the trainer gave no reason"
            except TrialError as error:
                kind, reason = "metrics", str(error)
            except DeviceError as error:
                kind, reason = "measure", f"measuring failed: {error}"
            except SystemExit as error:
                kind, reason = "exit", f"the trainer called sys.exit({error.code!r})"
            except Exception as error:  # noqa: BLE001 - a trainer may raise anything
                _print_traceback(error)
                kind, reason = "error", describe(error)
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    kind, reason = NOT_KEPT, f"{files.folder}: {error.strerror}"
        return _failed(number, kind, reason)

    def _train_one(self, number: int, arch: Message, files: TrialFolder) -> Message:
        from hwnas.tasks import check_metrics

        folder = files.folder

        started = time.monotonic()
        _seed_everything(self._seed)
        model = self._space.build(arch)
        report = _Report(self._channel, number, files, model, arch)
        try:
            returned = self._train(model, self._data, report, seed=self._seed, **self._options)
        finally:
            report.close()
        metrics = check_metrics(returned, self._metric)
        model.eval()
        result: Message = {
            "metrics": metrics,
            "costs": self._costs(model),
            "step": report.step,
            "elapsed": time.monotonic() - started,
        }
        _save(model, folder)
        for name, shape in self._exports.items():
            import torch

            from hwnas.device import export_onnx

            export_onnx(model, (torch.zeros(*shape),), folder / name)
        files.keep_result(result)
        return result

    def _costs(self, model: Any) -> dict[str, float]:
        from hwnas.cost import STATIC_METRICS, static_costs

        if self._shape is None:
            return static_costs(model, (), metrics=("params", "weight_bytes"))
        return static_costs(model, (1, *self._shape), STATIC_METRICS, counting=self._counting)


class _Report:
    """The `report` that trainers call: to the trial's `metrics.jsonl` and to the coordinator."""

    def __init__(
        self, channel: Channel, number: int, files: TrialFolder, model: Any, arch: Message
    ) -> None:
        self._channel = channel
        self._number = number
        self._files = files
        self._model, self._arch = model, arch
        path = files.metrics
        self._earlier = _lines(path)
        self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - closed by close()
        self._started = self._kept = time.monotonic()
        self._folder = files.folder / CHECKPOINTS
        self.step: int | None = None

    @property
    def folder(self) -> Path:
        self._folder.mkdir(exist_ok=True)
        return self._folder

    def __call__(self, step: int, metrics: dict[str, float]) -> bool:
        from hwnas.tasks import check_metrics

        checked = check_metrics(metrics)
        elapsed = round(time.monotonic() - self._started, 3)
        row = {"step": int(step), "elapsed": elapsed, "metrics": checked}
        # A trainer that goes on from a checkpoint has its first steps in the file already.
        kept, self._earlier = [one for one in self._earlier if one["step"] < row["step"]], []
        for one in (*kept, row):
            self._file.write(json.dumps(one) + "\n")
        self._file.flush()
        self.step = int(step)
        self._channel.send({"type": "report", "trial": self._number, **row})
        if time.monotonic() - self._kept >= _KEEP_EVERY:
            with suppress(StoreError):  # the next time it may be within reach again
                self._files.keep_checkpoints()
            self._kept = time.monotonic()
        return self._channel.stop_requested.is_set()

    def measure(self, device: str | None = None) -> dict[str, float]:
        from hwnas.jobs._measuring.trial_measuring import measure_trial

        return measure_trial(self._files, self._number, self._model, self._arch, device)

    def close(self) -> None:
        self._file.close()


def _lines(path: Path) -> list[Message]:
    """What an earlier attempt at the trial reported; a torn line is none."""
    found: list[Message] = []
    with suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


def _save(model: Any, folder: Path) -> None:
    from safetensors.torch import save_model

    from hwnas._files import replacing

    with replacing(folder / WEIGHTS) as path:
        save_model(model, str(path))


def _seed_everything(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send everything printed, from C code too, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with open(path, "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for handle, target in zip(kept, (1, 2), strict=True):
            os.dup2(handle, target)
            os.close(handle)


if __name__ == "__main__":
    main()
