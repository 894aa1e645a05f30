"""HELP: published weights, meta-training that may die at any moment, adaptation."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_devices as toy
from scipy.stats import spearmanr

from hwnas.errors import ArchError, PredictError, UsageError
from hwnas.predict import read_sources
from hwnas.predict._help import HELP, MAML, MetaProgress, MetaSchedule, MetaSgd
from hwnas.predict._help.meta import Meta, Tasks
from hwnas.predict._help.network import Network
from hwnas.predict._help.references import published_references
from support import data_path

QUICK = MetaSchedule(episodes=20, queries=20, every=5, rate=1e-3)
TABLE = toy.table()
FOLDERS = {"nasbench201": "nasbench201", "fbnet": "fbnet", "ofa_mobilenetv3": "ofa"}


def fitted(kind: type = HELP, **options: object) -> HELP:
    predictor = kind(seed=1, device="cpu", schedule=QUICK, width=16, **options)
    predictor.fit(TABLE)
    return predictor


def weights(predictor: HELP) -> dict[str, np.ndarray]:
    return dict(predictor.state().arrays)


def measured(predictor: HELP, extra: int, device: int = 9) -> tuple[list, np.ndarray]:
    archs = predictor.suggest(10 + extra, toy.archs(200, seed=3))
    return archs, toy.latencies(archs, device)


# Published weights


@pytest.mark.parametrize(
    ("space", "device", "floor"),
    [("nasbench201", "fpga", 0.96), ("fbnet", "eyeriss", 0.935), ("ofa_mobilenetv3", None, 0.975)],
)
def test_published_weights_rank_an_unseen_device(
    space: str, device: str | None, floor: float
) -> None:
    folder = data_path("help") / FOLDERS[space]
    predictor = HELP.from_checkpoint(folder / "checkpoint" / "help_max_corr.pt", space)
    table = read_sources(folder, space).table
    pool = {"nasbench201": 900}.get(space, 4000)
    known = table.latencies[device or "titan_rtx_64"]
    index = torch.load(folder / "hardware_embedding_index.pt", weights_only=True)
    assert predictor.references == tuple(table.archs[row] for row in index)
    order = np.argsort(known[:pool])[pool // 10 : -pool // 10]
    samples = [*index, *np.random.default_rng(0).choice(order, 10, replace=False)]
    adapted = predictor.adapt([table.archs[row] for row in samples], known[samples])
    rows = np.arange(pool, pool + 1000)
    rows = rows[np.argsort(known[rows])][100:-100]
    predicted = adapted.predict([table.archs[row] for row in rows])
    assert spearmanr(predicted.mean, known[rows]).statistic > floor
    assert np.median(np.abs(predicted.mean / known[rows] - 1)) < 0.15


def test_published_references_are_those_of_a_fit_when_the_table_has_them() -> None:
    references = published_references("fbnet")
    assert len(references) == len({str(arch) for arch in references}) == 10
    assert published_references("hat") == ()


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def _checkpoint(width: int = 100, space: str = "fbnet") -> dict[str, dict[str, torch.Tensor]]:
    """As published, of random weights."""
    network = Network({"fbnet": 132, "ofa_mobilenetv3": 145}[space], None, 10, width)
    meta = Meta.initial(network, True, torch.Generator().manual_seed(0), torch.device("cpu"))
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in meta.parameters().items():
        group, own = name.split(".", 1)
        prefix = "" if group == "inference_network" else "meta_learner."
        groups.setdefault(group, {})[prefix + own] = value.detach()
    return groups


def test_a_checkpoint_in_the_published_format_is_read(tmp_path: Path) -> None:
    groups = _checkpoint()
    torch.save({"epi": 7, **groups}, tmp_path / "help.pt")
    arrays = HELP.from_checkpoint(tmp_path / "help.pt", "fbnet").state().arrays
    np.testing.assert_array_equal(
        arrays["model.fc1.weight"], groups["model"]["meta_learner.fc1.weight"]
    )


def _without_a_layer() -> object:
    groups = _checkpoint()
    del groups["model"]["meta_learner.fc4.bias"]
    groups["model"]["meta_learner.fc9.bias"] = torch.zeros(1)
    return groups


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a file of PyTorch", "cannot be read"),
        (b"", "cannot be read"),
        (pickle.dumps(_Evil()), "cannot be read"),
        (_Evil(), "cannot be read"),
        ({"model": {}}, "it holds no tensors 'task_lr'"),
        ([1, 2], "it holds no tensors 'model'"),
        (_without_a_layer(), r"lacks model\.fc4\.bias; it has the unknown model\.fc9\.bias"),
        (_checkpoint(space="ofa_mobilenetv3"), r"fc1\.weight is \(100, 145\), not \(100, 132\)"),
    ],
    ids=["text", "empty", "code", "code in an archive", "part", "list", "names", "other space"],
)
def test_another_file_is_one_clear_error(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "help.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(PredictError, match=message) as caught:
        HELP.from_checkpoint(path, "fbnet")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_checkpoint_and_a_space_without_one(tmp_path: Path) -> None:
    with pytest.raises(PredictError, match="cannot be read"):
        HELP.from_checkpoint(tmp_path / "none.pt", "fbnet")
    with pytest.raises(PredictError, match="no published weights of HELP for 'hat'"):
        HELP.from_checkpoint(tmp_path / "none.pt", "hat")


# Meta-training


@pytest.mark.parametrize("kind", [HELP, MetaSgd, MAML])
def test_training_helps_on_a_device_that_is_not_among_the_sources(kind: type) -> None:
    def correlation(episodes: int) -> float:
        schedule = MetaSchedule(episodes=episodes, queries=30, rate=3e-3)
        predictor = kind(seed=0, device="cpu", schedule=schedule, width=16)
        predictor.fit(TABLE)
        archs, latencies = measured(predictor, extra=10)
        others = toy.archs(200, seed=4)
        predicted = predictor.adapt(archs, latencies).predict(others).mean
        return float(spearmanr(predicted, toy.latencies(others, 9)).statistic)

    assert correlation(100) > max(correlation(1), 0.75)


def test_tasks_of_a_batch_do_not_see_each_other() -> None:
    network = Network(5, None, 4, 8)
    generator = torch.Generator().manual_seed(0)
    meta = Meta.initial(network, True, generator, torch.device("cpu"))
    parts = [
        torch.rand(shape, generator=generator) for shape in ((3, 7, 5), (3, 7), (3, 4), (3, 3 * 17))
    ]

    def adapted(rows: slice) -> dict[str, torch.Tensor]:
        archs, scores, embeddings, noise = (part[rows] for part in parts)
        return meta.adapted(Tasks(archs, scores, embeddings), noise, 3, False)[0]

    together = adapted(slice(None))
    for task in range(3):
        for name, value in adapted(slice(task, task + 1)).items():
            torch.testing.assert_close(value[0], together[name][task])


def test_gradients_go_through_the_inner_steps() -> None:
    def gradient(second_order: bool) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        meta = Meta.initial(Network(3, None, 0, 16), True, generator, torch.device("cpu"))
        archs, scores = torch.rand(1, 5, 3, generator=generator), torch.ones(1, 5)
        tasks = Tasks(archs, scores, None)
        weights, _ = meta.adapted(tasks, None, 2, second_order)
        loss = (meta.predict(weights, tasks) - tasks.scores).square().mean()
        (found,) = torch.autograd.grad(loss, [meta.weights["fc3.weight"]])
        return found

    assert not torch.equal(gradient(False), gradient(True))


SCRIPT = """
import os, signal
from pathlib import Path
import toy_devices as toy
from hwnas.predict._help import HELP, MetaSchedule

def stop(progress):
    if progress.episode == 13:
        os.kill(os.getpid(), signal.SIGKILL)

schedule = MetaSchedule(episodes=20, queries=20, every=5, rate=1e-3)
predictor = HELP(seed=1, device="cpu", schedule=schedule, width=16)
predictor.fit(toy.table(), validation=["device0"], checkpoint=Path("training"), progress=stop)
"""


def test_a_training_that_was_killed_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    seen: list[MetaProgress] = []
    unbroken = HELP(seed=1, device="cpu", schedule=QUICK, width=16)
    unbroken.fit(TABLE, validation=["device0"], progress=seen.append)
    assert [progress.episode for progress in seen] == list(range(1, 21))
    assert seen[-1].correlation is not None

    tests = Path(__file__).resolve().parents[1]
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tests / 'predict'}:{tests.parent / 'src'}", "OMP_NUM_THREADS": "1"},
        check=False,
        timeout=120,
    )
    assert killed.returncode == -9
    assert [path.name for path in tmp_path.iterdir()] == ["training"]

    seen.clear()
    resumed = HELP(seed=1, device="cpu", schedule=QUICK, width=16)
    resumed.fit(
        toy.table(),
        validation=["device0"],
        checkpoint=tmp_path / "training",
        progress=seen.append,
    )
    assert [progress.episode for progress in seen] == list(range(11, 21))
    for name, value in weights(unbroken).items():
        np.testing.assert_array_equal(weights(resumed)[name], value)


def test_a_training_goes_on_for_more_episodes(tmp_path: Path) -> None:
    path = tmp_path / "training"
    half = HELP(seed=1, device="cpu", schedule=replace(QUICK, episodes=10), width=16)
    half.fit(TABLE, checkpoint=path)
    whole = HELP(seed=1, device="cpu", schedule=QUICK, width=16)
    whole.fit(TABLE, checkpoint=path)
    for name, value in weights(fitted()).items():
        np.testing.assert_array_equal(weights(whole)[name], value)


@pytest.mark.parametrize("change", ["seed", "table", "rate", "validation"])
def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "training"
    HELP(seed=1, device="cpu", schedule=QUICK, width=16).fit(TABLE, checkpoint=path)
    schedule = replace(QUICK, rate=1e-2) if change == "rate" else QUICK
    other = HELP(seed=2 if change == "seed" else 1, device="cpu", schedule=schedule, width=16)
    sources = toy.table(devices=5) if change == "table" else TABLE
    validation = ["device0"] if change == "validation" else []
    with pytest.raises(PredictError, match="another training"):
        other.fit(sources, validation=validation, checkpoint=path)


@pytest.mark.parametrize("content", [b"", b"torn" * 10])
def test_a_damaged_training_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "training"
    path.write_bytes(content)
    with pytest.raises(PredictError, match="no checkpoint of a training"):
        HELP(seed=1, device="cpu", schedule=QUICK, width=16).fit(TABLE, checkpoint=path)


def test_tables_that_cannot_be_learnt_from() -> None:
    predictor = HELP(seed=1, device="cpu", schedule=QUICK, width=16)
    with pytest.raises(PredictError, match="learns from source devices"):
        predictor.fit(replace(TABLE, latencies={}))
    with pytest.raises(PredictError, match="learns from source devices"):
        predictor.fit(TABLE, validation=TABLE.devices)
    with pytest.raises(PredictError, match="no device 'pixel'"):
        predictor.fit(TABLE, validation=["pixel"])
    with pytest.raises(PredictError, match="an episode needs more than 10"):
        predictor.fit(toy.table(n=12))
    with pytest.raises(PredictError, match="10 reference archs"):
        predictor.fit(toy.table(n=9))
    elsewhere = toy.archs(70)[60:]
    with pytest.raises(PredictError, match="10 of 10 reference archs are not in the table"):
        HELP(device="cpu", schedule=QUICK, references=elsewhere).fit(TABLE)


# Adaptation


def test_adaptation_rests_on_the_seed_alone() -> None:
    predictor = fitted()
    archs, latencies = measured(predictor, extra=5)
    others = toy.archs(50, seed=5)
    one = predictor.adapt(archs, latencies)
    assert np.array_equal(one.scores(others), predictor.adapt(archs, latencies).scores(others))
    assert len(one.scores(others)) == 10
    state = predictor.state()
    other = HELP.of_state(replace(state, settings={**state.settings, "seed": 2}))
    assert not np.array_equal(one.scores(others), other.adapt(archs, latencies).scores(others))


def test_a_stored_predictor_predicts_the_same(tmp_path: Path) -> None:
    for predictor in (fitted(), fitted(MAML), fitted(MetaSgd)):
        archs, latencies = measured(predictor, extra=3)
        again = type(predictor).of_state(predictor.state())
        expected = predictor.adapt(archs, latencies).predict(archs)
        found = again.adapt(archs, latencies).predict(archs)
        np.testing.assert_array_equal(found.mean, expected.mean)
        np.testing.assert_array_equal(found.std, expected.std)
        assert again.suggest(12, TABLE.archs) == predictor.suggest(12, TABLE.archs)


def test_an_arch_is_predicted_alike_in_whatever_company() -> None:
    adapted = fitted().adapt(*measured(fitted(), extra=5))
    archs = toy.archs(300, seed=6)
    whole = adapted.predict(archs)
    for part in (archs[:1], archs[250:], archs[::-7]):
        places = [archs.index(arch) for arch in part]
        np.testing.assert_array_equal(adapted.predict(part).mean, whole.mean[places])
        np.testing.assert_array_equal(adapted.predict(part).std, whole.std[places])
    assert adapted.predict([]).mean.shape == (0,)


def test_help_asks_for_its_reference_archs_first_and_needs_them() -> None:
    predictor = fitted()
    candidates = toy.archs(30, seed=7)
    suggested = predictor.suggest(14, candidates)
    assert suggested[:10] == list(predictor.references)
    assert predictor.suggest(12, candidates) == suggested[:12]
    assert all(arch in candidates for arch in suggested[10:])
    known = [(arch, 1.0) for arch in suggested[:3]]
    assert predictor.suggest(7, candidates, measured=known) == suggested[3:10]
    with pytest.raises(PredictError, match="1 are not measured"):
        predictor.adapt(suggested[1:], toy.latencies(suggested[1:], 9))


def test_latencies_without_spread_are_predicted_as_they_are() -> None:
    predictor = fitted()
    archs = predictor.suggest(12, TABLE.archs)
    predicted = predictor.adapt(archs, [3.0] * 12).predict(archs)
    np.testing.assert_allclose(predicted.mean, 3.0)


def test_wrong_use_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(PredictError, match="call fit first"):
        MAML().adapt([], [])
    with pytest.raises(PredictError, match="tasks must be a whole number from 1: 0"):
        MetaSchedule(tasks=0)
    with pytest.raises(PredictError, match="rate must be a number from 0: nan"):
        MetaSchedule(rate=float("nan"))
    with pytest.raises(UsageError, match="cannot compute on 'toaster'"):
        HELP(device="toaster")
    predictor = fitted(MAML)
    archs = list(TABLE.archs[:4])
    with pytest.raises(PredictError, match="row 2"):
        predictor.adapt(archs, [1.0, 1.0, -1.0, 1.0])
    for either in (predictor, fitted()):
        with pytest.raises(ArchError):
            either.adapt([{"layer0": "a"}] * 2, [1.0, 2.0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_learns_what_a_cpu_learns() -> None:
    gpu = HELP(seed=1, device="cuda", schedule=QUICK, width=16)
    gpu.fit(TABLE)
    for name, value in weights(fitted()).items():
        np.testing.assert_allclose(weights(gpu)[name], value, atol=1e-3)
