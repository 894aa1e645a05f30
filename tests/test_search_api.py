"""`hwnas.search` as a program uses it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from torch import nn

import hwnas
from hwnas.cost import Counting
from hwnas.errors import BudgetError, DeviceError, HwnasError, JobError, UsageError

SIZES = [4, 8, 12, 16, 20, 24]


def build(arch: dict[str, int]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, arch["width"]), nn.Linear(arch["width"], 10))


def space(sizes: list[int] = SIZES) -> hwnas.FunctionSpace:
    return hwnas.FunctionSpace({"width": sizes, "depth": [1, 2, 3]}, build)


def train(model, data, report, *, seed: int, gain: float = 1.0):
    size = sum(p.numel() for p in model.parameters())
    report(1, {"accuracy": 0.1})
    return {"accuracy": gain * size / (size + 1000), "size": size}


train.metrics = ("size",)


def run(folder: Path, **options):
    settings = {"trials": 6, "strategy": "random", "folder": folder / "job", **options}
    return hwnas.search(settings.pop("space", space()), settings.pop("train", train), **settings)


def test_ten_lines_in_a_script(tmp_path: Path) -> None:
    """Everything in `__main__`: space, trainer, search, result; no import guard is needed."""
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            """
            from torch import nn
            import hwnas

            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    width = hwnas.Choice([4, 8, 16], label="width")
                    self.body = hwnas.LayerChoice({
                        "linear": lambda: nn.Flatten(), "pool": lambda: nn.Sequential(
                            nn.AvgPool2d(1), nn.Flatten())}, label="body")
                    self.hidden = hwnas.space.nn.Linear(64, width)
                    self.head = hwnas.space.nn.Linear(width, 10)

                def forward(self, x):
                    return self.head(self.hidden(self.body(x)))

            def train(model, data, report, *, seed):
                from hwnas.tasks import classify
                return classify(model, data, report, seed=seed, epochs=1)

            result = hwnas.search(hwnas.ModelSpace(Net), train, task="digits", trials=3,
                                  budget="params <= 1000", folder="job")
            print(result.best.arch, len(result.pareto()))
            result.report("report.html")
            result.export("winner")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names = {p.name for p in (tmp_path / "winner").iterdir()}
    assert names == {"arch.json", "card.md", "card.json", "model.onnx", "model.safetensors"}
    assert "job" in (tmp_path / "report.html").read_text()
    arch = json.loads((tmp_path / "winner" / "arch.json").read_text())["arch"]
    assert arch["width"] in (4, 8)


def test_same_seed_same_search(tmp_path: Path) -> None:
    """One worker and one seed: same archs, same accuracies; real training."""
    options = {"task": "digits", "train": None, "trials": 3, "options": {"epochs": 2}, "seed": 4}
    one, two = (run(tmp_path / name, **options) for name in ("a", "b"))
    facts = [[(t.arch, t.metrics) for t in r.trials] for r in (one, two)]
    assert facts[0] == facts[1]
    assert len({t.metrics["accuracy"] for t in one.trials}) > 1


def test_constraints_reach_the_study(tmp_path: Path) -> None:
    """Named constraints and values as any Optuna tool reads them."""
    result = run(tmp_path, budget="params <= 1 k, size >= 500")
    study = result_study(result)
    for trial, record in zip(study.trials, result.trials, strict=True):
        assert set(trial.constraints) == {"params", "size"}
        assert trial.constraints["params"] == pytest.approx(record.costs["params"].value / 1000 - 1)
        assert trial.value == record.reward
        assert trial.intermediate_values == {1: 0.1}
    assert all(t.costs["params"].value <= 1000 for t in result.pareto())
    assert result.best.feasible


def result_study(result: hwnas.Result):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(result.folder / "study.journal")))
    return optuna.load_study(storage=storage, study_name=result.view.name)


def test_nothing_feasible_gives_the_nearest(tmp_path: Path) -> None:
    """A limit on what only training tells: the network that is least over it."""
    result = run(tmp_path, budget="size <= 10")
    assert not result.feasible
    least = min(result.trials, key=lambda t: t.costs["params"].value)
    assert result.best.costs["params"].value == least.costs["params"].value
    assert result.best.violations["size"] > 0


def test_flops_count_what_was_asked(tmp_path: Path) -> None:
    """The job keeps it; a job of the version that only knew `count_bias` goes on."""
    options = {"input_shape": (1, 8, 8), "trials": 1}
    flops = {}
    for name, counting in (
        ("plain", Counting()),
        ("nni", Counting.nni()),
        ("bias", Counting(1, True)),
    ):
        result = run(tmp_path / name, counting=counting, **options)
        assert hwnas.Result.open(tmp_path / name / "job", space()).view.counting == counting
        flops[name] = result.best.costs["flops"].value
    assert flops["plain"] == 2 * result.best.costs["macs"].value
    width = result.best.arch["width"]
    assert flops["nni"] == flops["bias"] == flops["plain"] / 2 + width + 10

    job = tmp_path / "bias/job/job.json"
    fields = json.loads(job.read_text())
    del fields["counting"]
    job.write_text(json.dumps({**fields, "schema_version": 1, "count_bias": True}))
    result = run(tmp_path / "bias", resume=True, trials=2)
    assert result.view.counting == Counting(bias=True)
    assert result.trials[1].costs["flops"].value > 2 * result.trials[1].costs["macs"].value
    job.write_text(json.dumps({**fields, "counting": {"per_mac": 3}}))
    with pytest.raises(JobError, match=r"counting.per_mac: it should be 1 or 2"):
        hwnas.Result.open(tmp_path / "bias/job", space())


def test_several_objectives(tmp_path: Path) -> None:
    result = run(tmp_path, objective="max accuracy, min params", strategy="nsga2")
    assert len(result_study(result).best_trials) > 1
    with pytest.raises(JobError, match="one objective"):
        run(tmp_path / "b", objective="max accuracy, min params", strategy="evolution")


def test_any_optuna_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database by its URL, or by the name of a variable that holds it."""
    monkeypatch.setenv("STUDY_URL", f"sqlite:///{tmp_path}/studies.db")
    result = run(tmp_path, storage="env:STUDY_URL", trials=3)
    assert len(result.trials) == 3
    assert not (tmp_path / "job/study.journal").exists()
    assert "sqlite" not in (tmp_path / "job/job.json").read_text()
    with pytest.raises(UsageError, match=r"has a password in it.*env:NAME"):
        run(tmp_path / "b", storage="postgresql://me:secret@host/db")
    assert not (tmp_path / "b").exists()


def test_a_reward_of_ones_own(tmp_path: Path) -> None:
    result = run(tmp_path, reward=lambda accuracy, costs, budget: -costs["params"])
    assert result.best.costs["params"].value == min(t.costs["params"].value for t in result.trials)

    def broken(accuracy, costs, budget):
        return costs["nothing"]

    with pytest.raises(JobError, match=r"trials failed.*KeyError: 'nothing'"):
        run(tmp_path / "b", reward=broken)


def test_a_space_smaller_than_the_trials(tmp_path: Path) -> None:
    """Every arch once, then the search is done."""
    small = hwnas.FunctionSpace({"width": [4, 8]}, build)
    result = run(tmp_path, space=small, trials=10)
    assert sorted(t.arch["width"] for t in result.trials) == [4, 8]


def test_resume_adds_trials(tmp_path: Path) -> None:
    first = run(tmp_path, trials=3)
    more = run(tmp_path, trials=5, resume=True)
    assert [t.arch for t in more.trials[:3]] == [t.arch for t in first.trials]
    assert len(more.trials) == 5


def test_resume_checks_the_space(tmp_path: Path) -> None:
    run(tmp_path, trials=2)
    with pytest.raises(JobError, match="not the one"):
        run(tmp_path, space=space([4, 8]), resume=True, accept_code_change=True)


def test_resume_checks_the_code(tmp_path: Path) -> None:
    """Another function that builds the networks is refused unless it is accepted."""

    def other(arch: dict[str, int]) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, arch["width"]), nn.ReLU())

    run(tmp_path, trials=2)
    changed = hwnas.FunctionSpace({"width": SIZES, "depth": [1, 2, 3]}, other)
    with pytest.raises(JobError, match="accept-code-change"):
        run(tmp_path, space=changed, resume=True)
    result = run(tmp_path, space=changed, resume=True, trials=3, accept_code_change=True)
    assert len(result.trials) == 3


def test_a_job_is_not_overwritten(tmp_path: Path) -> None:
    run(tmp_path, trials=1)
    with pytest.raises(JobError, match="add --resume"):
        run(tmp_path, trials=1)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"budget": "latenzy <= 3 ms"}, BudgetError, "latency"),
        ({"budget": "latency <= 3 ms"}, JobError, "input_shape"),
        ({"budget": "latency@pixel6 <= 3 ms", "input_shape": (1, 8, 8)}, BudgetError, "pixel6"),
        ({"budget": "energy <= 3 mJ", "input_shape": (1, 8, 8)}, DeviceError, "energy"),
        ({"strategy": "annealing"}, UsageError, "evolution"),
        ({"trials": 0}, UsageError, "trials"),
        ({"parallel": -1}, UsageError, "parallel"),
        ({"objective": "accuracy"}, HwnasError, "max NAME"),
        ({"objective": "max reward, max reward"}, HwnasError, "twice"),
        ({"devices": ["a=onnxruntime?treads=2"]}, HwnasError, "treads"),
        ({"devices": ["a=nothing"], "budget": "latency <= 1 s", "input_shape": (1, 8, 8)},
         UsageError, "onnxruntime"),
        ({"devices": ["a", "a"]}, HwnasError, "twice"),
        ({"train": None}, UsageError, "task"),
        ({"options": {"nothing": 3}}, UsageError, "nothing"),
        ({"task": "digit"}, UsageError, "digits"),
        ({"reward": "gentle"}, UsageError, "soft"),
        ({"storage": "env:NO_SUCH_VARIABLE"}, UsageError, "NO_SUCH_VARIABLE"),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_anything_is_written(tmp_path, options, error, text) -> None:
    """One line that says what is wrong; no folder is left behind."""
    with pytest.raises(error, match=text) as caught:
        run(tmp_path, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "job").exists()
