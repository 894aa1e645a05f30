"""Candidates with scores, and the published accuracy predictor of Once-for-All."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.errors import ArchError, HwnasError, PredictError, UsageError
from hwnas.predict import OFA_RESOLUTIONS, OfaAccuracy, read_scored
from hwnas.space import SizedSpace
from hwnas.zoo import ofa_mobilenetv3, read_nasbench201, read_ofa
from support import data_path

CELL = "|none~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"
OTHER = "|none~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|"


def test_the_candidates_of_metad2a() -> None:
    """All 500, with the accuracies of the benchmark."""
    found = read_scored(data_path("help/nasbench201/arch_generated_by_metad2a.txt"), "nasbench201")
    assert len(found.archs) == len(found.scores) == 500
    assert found.scores[0] == pytest.approx(72.42, abs=1e-4)
    assert found.archs[1]["node3.from2"] == "nor_conv_3x3"
    assert 0.9 < found.scores.min() < found.scores.max() < 74


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", f"12.5\n{CELL}, 70.5, 0.001\n\n{OTHER}, 1e1\n"),
        ("a.csv", f"arch,accuracy,seconds\n{CELL},70.5,1\n{OTHER},10,2\n"),
        ("b.csv", f"score,arch\n70.5,{CELL}\n10,{OTHER}\n"),
        (
            "a.jsonl",
            f'{{"arch": "{CELL}", "accuracy": 70.5}}\n'
            + json.dumps({"arch": read_nasbench201(OTHER), "score": 10}),
        ),
        ("json.txt", f"{json.dumps(read_nasbench201(CELL))}, 70.5\n{OTHER},10,3,4"),
    ],
)
def test_each_format(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_scored(tmp_path / name, "nasbench201")
    assert found.archs == (read_nasbench201(CELL), read_nasbench201(OTHER))
    assert found.scores.tolist() == [70.5, 10.0]


@pytest.mark.parametrize(
    ("name", "text", "error", "part"),
    [
        ("a.txt", "", PredictError, "holds no candidates"),
        ("a.txt", f"{CELL}\n", PredictError, "line 1: it is not 'ARCH, SCORE'"),
        ("a.txt", f"{CELL}, 3\nnonsense, 3\n", PredictError, "line 2: "),
        ("a.txt", f"{CELL}, nan\n", PredictError, "line 1: the score is nan"),
        ("a.csv", "arch,latency\n", PredictError, "needs the columns 'arch' and 'accuracy'"),
        ("a.csv", f"arch,accuracy\n{CELL},good\n", PredictError, "line 2: the score 'good'"),
        ("a.csv", f"arch,accuracy\n{CELL}\n", PredictError, "line 2 has 1 cells"),
        ("a.jsonl", '{"arch": 3}', PredictError, "line 1: it has no 'arch' with"),
        ("a.jsonl", "[1", PredictError, "line 1: "),
        ("a.yml", "a: 1", UsageError, "give a .txt"),
    ],
)
def test_faults_are_named_by_their_line(
    tmp_path: Path, name: str, text: str, error: type[HwnasError], part: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=part):
        read_scored(tmp_path / name, "nasbench201")


def ofa(kernel: int, expand: int, depth: int, size: int) -> dict:
    config = {"ks": [kernel] * 20, "e": [expand] * 20, "d": [depth] * 5}
    return {**read_ofa(config), "resolution": size}


def test_the_accuracies_of_once_for_all() -> None:
    """The figures that come with the published file; archs of the sized space are understood."""
    accuracy = OfaAccuracy(data_path("ofa/acc_predictor.pth"))
    told = accuracy([ofa(7, 6, 4, 224), ofa(3, 3, 2, 160)])
    assert told == pytest.approx([0.836, 0.753], abs=5e-4)
    space = SizedSpace(ofa_mobilenetv3(), OFA_RESOLUTIONS)
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(20)]
    several = accuracy(archs)
    assert several == pytest.approx([accuracy([arch])[0] for arch in archs])
    assert ((several > 0.7) & (several < 0.84)).all()
    for untrained in (128, 144, 180):
        with pytest.raises(ArchError, match=f"'resolution' is {untrained}"):
            accuracy([ofa(3, 3, 2, untrained)])


def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    for content in ({"0.weight": torch.zeros(400, 128)}, [1, 2], {"0.weight": "x"}):
        torch.save(content, path)
        with pytest.raises(PredictError, match=r"x\.pth is no accuracy predictor"):
            OfaAccuracy(path)
    torch.save({"code": print}, path)
    with pytest.raises(PredictError, match="other things than plain values"):
        OfaAccuracy(path)
