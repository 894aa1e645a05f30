"""Notations of benchmarks and releases are read and written without loss."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_data import published

from hwnas import zoo
from hwnas.errors import ArchError
from hwnas.space import Arch, SearchSpace
from support import data_path

SPACES: dict[str, SearchSpace] = {
    "nasbench201": zoo.nasbench201(),
    "fbnet": zoo.fbnet(),
    "ofa": zoo.ofa_mobilenetv3(),
    "hat": zoo.hat(vocabulary=10),
    "hat_iwslt": zoo.hat(vocabulary=10, size="iwslt"),
}
FORMATS: dict[str, tuple[Callable[..., Arch], Callable[..., object]]] = {
    "nasbench201": (zoo.read_nasbench201, zoo.write_nasbench201),
    "fbnet": (zoo.read_fbnet, zoo.write_fbnet),
    "ofa": (zoo.read_ofa, zoo.write_ofa),
    "hat": (zoo.read_hat, zoo.write_hat),
    "hat_iwslt": (zoo.read_hat, zoo.write_hat),
}


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_arch_survives_writing_and_reading(name: str, seed: int) -> None:
    read, write = FORMATS[name]
    arch = SPACES[name].sample(np.random.default_rng(seed))
    written = write(arch)
    assert read(written) == arch
    assert write(read(written)) == written


def test_nasbench201_strings_are_those_of_the_benchmark() -> None:
    with data_path("nasbench201/accuracy.csv").open() as file:
        strings = [row["ArchitectureString"] for row in csv.DictReader(file)]
    numbers = published("help/nasbench201/str_arch2idx.pt")
    assert [numbers[text] for text in strings] == list(range(15_625))
    archs = [zoo.read_nasbench201(text) for text in strings]
    assert [zoo.write_nasbench201(arch) for arch in archs] == strings
    assert {tuple(arch.values()) for arch in archs} == {
        tuple(arch.values()) for arch in SPACES["nasbench201"].enumerate()
    }
    assert list(archs[0]) == [d.label for d in SPACES["nasbench201"].decisions]


def test_nasbench201_edges_may_stand_in_any_order() -> None:
    text = "|none~0|+|none~1|skip_connect~0|+|none~2|nor_conv_1x1~0|none~1|"
    arch = zoo.read_nasbench201(text)
    assert arch["node2.from0"] == "skip_connect"
    assert arch["node3.from0"] == "nor_conv_1x1"


def test_fbnet_indices_are_those_of_the_benchmark() -> None:
    lists = published("help/fbnet/arch.pt")
    for indices in lists:
        assert zoo.write_fbnet(zoo.read_fbnet(indices)) == indices
    for entry in published("help/fbnet/metainfo.pt")["arch"]:
        arch = zoo.read_fbnet(entry["op_idx_list"])
        SPACES["fbnet"].validate(arch)
        assert list(arch.values()) == entry["arch_str"]


def test_published_ofa_dictionaries_belong_to_the_space() -> None:
    configs = list(published("help/ofa/ofa_archs.pt")["arch"])
    folder = data_path("help/ofa/architecture_config")
    configs += [json.loads(path.read_text()) for path in folder.rglob("*.json")]
    assert len(configs) > 5_000
    for config in configs:
        arch = zoo.read_ofa(config)
        SPACES["ofa"].validate(arch)
        again = zoo.write_ofa(arch, resolution=int(config["r"]))
        assert (again["d"], again["r"]) == (config["d"], config["r"])
        for stage, depth in enumerate(config["d"]):
            there = slice(4 * stage, 4 * stage + depth)
            assert again["ks"][there] == config["ks"][there]
            assert again["e"][there] == config["e"][there]


def test_published_hat_configurations_belong_to_the_space() -> None:
    files = sorted(data_path("help/hat").glob("*.yml"))
    assert files
    for file in files:
        arch = zoo.read_hat(file.read_text())
        SPACES["hat"].validate(arch)
        assert zoo.read_hat(zoo.write_hat(arch)) == arch


def test_hat_features_are_the_columns_of_the_latency_tables() -> None:
    with data_path("hat/wmt14ende_cpu_xeon_all.csv").open() as file:
        rows = csv.DictReader(file)
        columns = [name for name in rows.fieldnames if not name.startswith("latency")]
        seen = {name: set() for name in columns}
        for row in rows:
            for name in columns:
                seen[name].add(round(float(row[name]), 9))
    for seed in range(50):
        features = zoo.hat_features(SPACES["hat"].sample(np.random.default_rng(seed)))
        assert list(features) == columns
        for name in ("encoder_embed_dim", "decoder_layer_num", "decoder_arbitrary_ende_attn_avg"):
            assert round(features[name], 9) in seen[name]


HAT = zoo.write_hat(SPACES["hat"].default())
OFA = zoo.write_ofa(SPACES["ofa"].default())


@pytest.mark.parametrize(
    ("read", "value", "said"),
    [
        (zoo.read_nasbench201, "", "is no operation~node"),
        (zoo.read_nasbench201, "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "'conv~0'"),
        (zoo.read_nasbench201, "|none~0|+|none~0|none~1|", "node3.from0"),
        (zoo.read_nasbench201, "|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "node1.from0"),
        (zoo.read_fbnet, [0] * 21, "22 indices"),
        (zoo.read_fbnet, [0] * 21 + [9], "from 0 to 8"),
        (zoo.read_ofa, {"ks": [3] * 20, "e": [3] * 20}, "'d' must be a list of 5"),
        (zoo.read_ofa, {**OFA, "e": [3] * 19}, "'e' must be a list of 20"),
        (zoo.read_ofa, {**OFA, "ks": [9] * 20}, r"ks\[0\] is 9"),
        (zoo.read_ofa, {**OFA, "d": [5] * 5}, r"d\[0\] is 5"),
        (zoo.read_hat, HAT + "seed: 1\n", "unknown key 'seed'"),
        (zoo.read_hat, HAT.replace("[8, 8", "[8", 1), "must be a list of 6"),
        (zoo.read_hat, "a: [1", "this is no YAML"),
        (zoo.read_hat, "encoder-layer-num-subtransformer", "YAML mapping"),
        (zoo.read_hat, HAT.replace("layer-num-subtransformer: 6", "x: 6", 1), "whole number"),
        (zoo.read_hat, HAT.replace("[-1,", "[0,"), "none of -1, 1, 2"),
    ],
)
def test_what_cannot_be_read_is_named(read: Callable[..., Arch], value: object, said: str) -> None:
    with pytest.raises(ArchError, match=said):
        read(value)


@pytest.mark.parametrize("name", FORMATS)
def test_an_arch_of_another_space_is_not_written(name: str) -> None:
    other = SPACES["fbnet" if name == "nasbench201" else "nasbench201"].default()
    with pytest.raises(ArchError):
        FORMATS[name][1](other)
