"""A user's module: spaces and trainers, good and bad, for searches run from the command line."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from hwnas import Choice, FunctionSpace, InfeasibleTrial


def _mlp(arch: dict[str, object]) -> nn.Module:
    width = int(str(arch["width"]))
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


small = FunctionSpace({"width": [4, 8, 12, 16, 20, 24, 28, 32], "bias": [True, False]}, _mlp)
depth = Choice([1, 2, 3], label="depth")
conditional = FunctionSpace(
    [depth, Choice([4, 8], label="width"), Choice(["a", "b"], label="extra", when=depth >= 2)], _mlp
)
many = FunctionSpace({f"d{i:02}": [0, 1, 2, 3] for i in range(67)}, lambda arch: nn.Linear(4, 4))


def fake_accuracy(model: nn.Module) -> float:
    """Grows with the number of parameters, and is the same for the same network."""
    size = sum(p.numel() for p in model.parameters())
    return size / (size + 1000)


def quick(model, data, report, *, seed, steps: int = 2, pause: float = 0.0):
    """Reports a few steps; leaves a line in `trained.txt` for each time that it trains."""
    with open("trained.txt", "a") as file:
        file.write(f"{fake_accuracy(model):.6f}\n")
    for step in range(1, steps + 1):
        time.sleep(pause)
        if report(step, {"accuracy": fake_accuracy(model) * step / steps}):
            break
    return {"accuracy": fake_accuracy(model), "loss": 0.5}


quick.metrics = ("loss", "f1")


def learns(model, data, report, *, seed, steps: int = 3):
    """Trains on noise that the seed decides; says so."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(torch.randn(16, 64)), torch.arange(16) % 10)
        loss.backward()
        optimizer.step()
        report(step, {"accuracy": 1 / (1 + loss.item())})
        print(f"step {step} of {steps}")
    return {"accuracy": 1 / (1 + loss.item())}


def moody(model, data, report, *, seed):
    """Ends in another way for each width; where it hangs, so does a process that it started."""
    width = model[1].out_features
    print(f"width {width}", flush=True)
    if width == 4:
        raise OSError("no such disk")
    if width == 8:
        sys.exit(3)
    if width == 12:
        os._exit(5)
    if width == 16:
        os.kill(os.getpid(), signal.SIGKILL)
    if width == 20:
        return {"accuracy": float("nan")}
    if width == 24:
        raise InfeasibleTrial("too wide for this chip")
    if width == 28:
        hangs(model, data, report, seed=seed)
    return {"accuracy": 0.5}


def measured(model, data, report, *, seed, device: str = "local"):
    """Has its network measured while it trains, twice, and goes on training."""
    model.train()
    costs = report.measure(device)
    assert model.training
    again = report.measure(device)
    assert again == costs
    return {"accuracy": fake_accuracy(model), "seen": costs["latency"]}


measured.metrics = ("seen",)


def idle(model, data, report, *, seed):
    """Does nothing."""
    return {"accuracy": 0.5}


def stoppable(model, data, report, *, seed):
    """Goes on until it is told to stop."""
    step = 0
    while not report(step := step + 1, {"accuracy": 0.1}):
        time.sleep(0.01)
    return {"accuracy": 0.1}


def raises(model, data, report, *, seed):
    """Raises."""
    print("about to divide")
    return {"accuracy": 1 / 0}


def hangs(model, data, report, *, seed):
    """Never ends, and neither does the process it started."""
    print(f"child {os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '600')}", flush=True)
    time.sleep(600)


def flaky(model, data, report, *, seed, failures: int = 2):
    """Raises so many times; each attempt leaves a line in its checkpoint folder."""
    checkpoint = report.folder / "attempts.txt"
    earlier = checkpoint.read_text() if checkpoint.exists() else ""
    checkpoint.write_text(earlier + "x")
    if len(earlier) < failures:
        raise OSError(f"attempt {len(earlier) + 1} failed")
    return {"accuracy": fake_accuracy(model)}


def resumes(model, data, report, *, seed):
    """Dies at step 3 of 4, and goes on from the checkpoint of step 2; says where it began."""
    checkpoint = report.folder / "step.txt"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    print(f"goes on after step {done}", flush=True)
    for step in range(done + 1, 5):
        if step == 3 and not done:
            os._exit(7)
        report(step, {"accuracy": step / 10})
        checkpoint.write_text(str(step))
    return {"accuracy": 0.4}


def infeasible(model, data, report, *, seed):
    """Cannot be used."""
    raise InfeasibleTrial("too wide for this chip")


def nan(model, data, report, *, seed):
    """Returns NaN."""
    return {"accuracy": float("nan")}


def text(model, data, report, *, seed):
    """Returns a string."""
    return "0.97"


def nameless(model, data, report, *, seed):
    """Leaves out the accuracy."""
    return {"loss": 0.1}


def negative(model, data, report, *, seed):
    """An accuracy that a ratio reward cannot take."""
    return {"accuracy": -0.5}


def exits(model, data, report, *, seed):
    """Calls sys.exit."""
    sys.exit(1)


def leaves(model, data, report, *, seed):
    """Ends the process without a word."""
    os._exit(1)


def killed(model, data, report, *, seed):
    """Is killed as the kernel kills when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def crashes(model, data, report, *, seed):
    """Reads address zero."""
    ctypes.string_at(0)


def fails_once(model, data, report, *, seed):
    """Kills its process the first time it is called in this folder, later it works."""
    if not Path("failed-once").exists():
        Path("failed-once").touch()
        os._exit(3)
    return {"accuracy": 0.5}


def full_disk(model, data, report, *, seed):
    """Finds no room for its checkpoint until there is a file `room`."""
    if not Path("room").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return {"accuracy": 0.5}


def energy_guess(arch: dict[str, object]) -> float:
    """A user's cost: 3 for each unit of width."""
    return 3.0 * int(str(arch["width"]))


def accuracy_only(accuracy: float, costs: dict[str, float], budget: object) -> float:
    """A user's reward."""
    return accuracy * 2
