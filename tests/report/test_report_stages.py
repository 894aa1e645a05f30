"""Stage 1 against stage 2: pairs, ranks, and what is said where there are too few."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sample import complete, failed, job, trained
from rich.console import Console

from hwnas.jobs import JobView, TrialRecord
from hwnas.report import compare_stages, correlation_text, stages_table, to_json


def text(view: JobView) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(stages_table(view))
    return console.file.getvalue()  # type: ignore[attr-defined]


RANKS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=3, max_size=8)


@given(RANKS)
def test_rank_correlations_with_ties(ranks: list[tuple[int, int]]) -> None:
    """Kendall's tau-b and Spearman's rho by their definitions."""
    stages = compare_stages(trained([(a / 10, b / 10) for a, b in ranks]))
    assert stages is not None
    accuracy = stages.correlations[0]
    assert (accuracy.name, accuracy.n) == ("accuracy", len(ranks))
    signs = [((a > c) - (a < c), (b > d) - (b < d)) for (a, b), (c, d) in combinations(ranks, 2)]
    untied = [sum(bool(sign[k]) for sign in signs) for k in (0, 1)]
    if 0 in untied:
        assert accuracy.kendall is None
        assert accuracy.spearman is None
        assert "equal in a stage" in correlation_text(accuracy)
        return
    tau = sum(one * two for one, two in signs) / (untied[0] * untied[1]) ** 0.5
    assert accuracy.kendall == pytest.approx(tau)
    one, two = ([mean_rank(pair[k], [p[k] for p in ranks]) for pair in ranks] for k in (0, 1))
    assert accuracy.spearman == pytest.approx(pearson(one, two))


def mean_rank(value: int, values: list[int]) -> float:
    return sum(v < value for v in values) + (values.count(value) + 1) / 2


def pearson(one: list[float], two: list[float]) -> float:
    a, b = ([v - sum(values) / len(values) for v in values] for values in (one, two))
    return sum(x * y for x, y in zip(a, b, strict=True)) / (
        (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    )


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_to_tell(count: int) -> None:
    view = trained([(0.5, 0.6), (0.7, 0.9)][:count])
    assert f"not enough: {count} trial" in text(view)
    assert to_json(view)["stages"]["correlations"][0]["spearman"] is None


def test_what_is_shown_of_each_trial() -> None:
    """Best of stage 2 first; failed, running and waiting ones below; the winner has a star."""
    view = trained([(0.5, 0.91), (0.7, 0.95), (0.6, 0.93)])
    assert view.parent is not None
    more = tuple(complete(20 + k, 0.4, 1.0, 5e4) for k in range(3))
    others = (
        replace(failed(3, "error", "no room"), chosen=20),
        TrialRecord(4, "running", {"kernel": 3}, chosen=21),
    )
    view = replace(
        view,
        trials=(*view.trials, *others),
        parent=replace(view.parent, trials=(*more, *view.parent.trials)),
    )
    rows = [line.split() for line in text(view).splitlines()]
    body = [row for row in rows if row and row[0].isdigit()]
    assert [row[0] for row in body] == ["11", "12", "10", "20", "21", "22"]
    assert body[0][:3] == ["11", "1", "★"]
    assert [row[2] for row in body[3:5]] == ["failed", "running"]
    assert body[5][1] == "waiting"
    assert "(3 trials)" in text(view)
    pairs = to_json(view)["stages"]["pairs"]
    assert pairs[0] == {"search": 11, "train": 1}
    assert pairs[-1] == {"search": 22, "train": None}


def test_a_search_has_no_stages() -> None:
    view = job((complete(0, 0.9, 1.0, 5e4),))
    assert compare_stages(view) is None
    told = to_json(view)
    assert (told["kind"], told["parent"], told["stages"]) == ("search", None, None)
