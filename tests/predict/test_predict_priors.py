"""The predictors that come with hwnas: of this code, with cards, made again from the same data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import PredictError
from hwnas.predict import load_predictor, load_prior, prior_card, prior_spaces
from support import ROOT, data_path

CHECKS = json.loads((Path(__file__).parent / "priors.json").read_text())
REMEDY = "make priors, with the data that tests/support.py names"


def test_there_is_a_prior_for_each_published_space() -> None:
    assert prior_spaces() == ("fbnet", "nasbench201", "ofa_mobilenetv3") == tuple(sorted(CHECKS))


@pytest.mark.parametrize("space", sorted(CHECKS))
def test_the_files_are_of_this_code(space: str) -> None:
    """Where this fails the predictor has changed: the priors must be made anew."""
    check, prior = CHECKS[space], load_prior(space)
    n = len(check["latencies"])
    device = prior.adapt(check["archs"][:n], check["latencies"])
    found = device.predict(check["archs"][n:])
    np.testing.assert_allclose(found.mean, check["mean"], rtol=1e-6, err_msg=REMEDY)
    np.testing.assert_allclose(found.std, check["std"], rtol=1e-5, err_msg=REMEDY)


@pytest.mark.parametrize("space", sorted(CHECKS))
def test_a_prior_suggests_and_is_saved_again(space: str, tmp_path: Path) -> None:
    prior, archs = load_prior(space), CHECKS[space]["archs"]
    chosen = prior.suggest(5, archs)
    assert len(chosen) == 5
    assert all(arch in archs for arch in chosen)
    prior.save(tmp_path / "again")
    again = load_predictor(tmp_path / "again", space)
    assert again.suggest(5, archs) == chosen


@pytest.mark.parametrize("space", sorted(CHECKS))
def test_the_card_says_where_it_comes_from(space: str) -> None:
    card = prior_card(space).text
    for words in ("MIT licence, Copyright (c) 2024 HayeonLee", "What it does not know", "| all |"):
        assert words in card
    sources = card.partition("measured on ")[2].partition(".\n")[0]
    figures = card.partition("## How good")[2]
    targets = [line.split("`")[1] for line in figures.splitlines() if line.startswith("| `")]
    assert targets
    assert not any(f"`{device}`" in sources for device in targets)


def test_the_command_shows_cards(hwnas: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    told = hwnas("predict", "cards").stdout
    assert [line.split()[0] for line in told.splitlines()[1:]] == list(prior_spaces())
    assert hwnas("predict", "cards", "fbnet").stdout.strip() == prior_card("fbnet").text.strip()


def test_a_prior_is_about_its_own_inputs() -> None:
    assert load_prior("fbnet", (3, 32, 32)).input_shape == (3, 32, 32)
    with pytest.raises(PredictError, match=r"is about inputs \(3, 32, 32\), not \(3, 224, 224\)"):
        load_prior("fbnet", (3, 224, 224))
    for space in ("digits_cnn", "../priors/fbnet", "", "."):
        with pytest.raises(PredictError, match="no prior comes with hwnas"):
            load_prior(space)


@pytest.mark.parametrize("space", sorted(CHECKS))
def test_the_same_data_make_the_same_prior(space: str, tmp_path: Path) -> None:
    data = data_path("help").parent
    command = [sys.executable, "-m", "benchmarks.priors", space, "--to", str(tmp_path)]
    environment = {"HWNAS_TEST_DATA": str(data), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)
    made, shipped = load_predictor(tmp_path / space, space), load_prior(space)
    archs, n = CHECKS[space]["archs"], len(CHECKS[space]["latencies"])
    one, other = (
        predictor.adapt(archs[:n], CHECKS[space]["latencies"]).predict(archs[n:])
        for predictor in (made, shipped)
    )
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-6)
    np.testing.assert_allclose(one.std, other.std, rtol=1e-6)
