"""Archs as the networks of published predictors take them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hwnas import zoo
from hwnas.errors import ArchError, UsageError
from hwnas.predict import encode_graph, encode_ofa, encode_vector
from hwnas.space import Arch
from support import data_path

LARGEST = zoo.read_ofa({"ks": [7] * 20, "e": [6] * 20, "d": [4] * 5})
SMALLEST = zoo.read_ofa({"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5})


def test_a_cell_as_a_graph() -> None:
    text = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|nor_conv_1x1~0|skip_connect~1|none~2|"
    graph = encode_graph([zoo.read_nasbench201(text)])
    assert graph.nodes.shape == (1, 9, 8)
    assert graph.nodes.dtype == graph.adjacency.dtype == np.float32
    # Input, pool, 1x1, 3x3, none, skip, output, global.
    assert graph.nodes[0].argmax(1).tolist() == [0, 3, 4, 1, 2, 5, 4, 6, 7]
    assert (graph.nodes.sum(2) == 1).all()
    receives = [np.flatnonzero(row).tolist() for row in graph.adjacency]
    assert receives == [
        [0],
        [0, 1],
        [0, 2],
        [0, 3],
        [1, 4],
        [1, 5],
        [2, 4, 6],
        [3, 5, 6, 7],
        list(range(9)),
    ]


def test_fbnet_as_a_vector() -> None:
    archs = [zoo.read_fbnet([place] * 22) for place in range(9)]
    vectors = encode_vector("fbnet", archs)
    assert vectors.shape == (9, 132)
    assert vectors.dtype == np.float32
    pairs = [np.flatnonzero(one[:6]).tolist() for one in vectors]
    assert pairs == [[k, 2 + e] for k in range(2) for e in range(4)] + [[]]
    assert (vectors.reshape(9, 22, 6) == vectors[:, None, :6]).all()


def test_ofa_as_a_vector() -> None:
    archs: list[Arch] = [{**LARGEST, "resolution": 132}, SMALLEST]
    large, small = encode_vector("ofa_mobilenetv3", archs)
    assert np.flatnonzero(large).tolist() == [*range(2, 120, 3), 121]
    there = [60 * part + 12 * s + 3 * b for part in (0, 1) for s in range(5) for b in range(2)]
    assert np.flatnonzero(small).tolist() == [*there, 144]
    with pytest.raises(ArchError, match="'resolution' is 130"):
        encode_ofa([{**LARGEST, "resolution": 130}])


def test_other_spaces_have_no_vector() -> None:
    with pytest.raises(UsageError, match="no vector of 'darts'"):
        encode_vector("darts", [])


@pytest.mark.parametrize(("space", "width"), [("fbnet", 132), ("ofa_mobilenetv3", 145)])
def test_vectors_are_as_wide_as_released_weights(space: str, width: int) -> None:
    path = data_path(f"help/{space.split('_')[0]}/checkpoint/help_max_corr.pt")
    weights = torch.load(path, map_location="cpu", weights_only=True)["model"]
    assert weights["meta_learner.fc1.weight"].shape[1] == width
    assert encode_vector(space, []).shape == (0, width)


@pytest.mark.parametrize(
    ("arch", "side", "accuracy"), [(LARGEST, 224, 0.836), (SMALLEST, 160, 0.753)]
)
def test_once_for_all_s_accuracy_predictor_knows_the_vectors(
    arch: Arch, side: int, accuracy: float
) -> None:
    weights = torch.load(data_path("ofa/acc_predictor.pth"), map_location="cpu", weights_only=True)
    weights = weights.get("state_dict", weights)
    x = torch.from_numpy(encode_ofa([{**arch, "resolution": side}], range(112, 225, 16)))
    assert x.shape == (1, 128)
    network = nn.Sequential(
        *(nn.Linear(*weights[f"{i}.weight"].shape[::-1]) for i in range(0, 8, 2))
    )
    for place, layer in enumerate(network):
        layer.load_state_dict({k: weights[f"{2 * place}.{k}"] for k in ("weight", "bias")})
        x = layer(x) if place == 0 else layer(F.relu(x))
    assert float(x) == pytest.approx(accuracy, abs=5e-4)
