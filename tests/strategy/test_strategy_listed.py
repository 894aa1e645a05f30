"""Archs that are given: each once, in order, whatever was killed in between."""

from __future__ import annotations

import optuna
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from torch import nn

from hwnas import Choice, FunctionSpace
from hwnas.strategy import ListedSampler, places, suggest

DEPTH = Choice([1, 2], label="depth")
SPACE = FunctionSpace(
    [DEPTH, Choice(["a", "b"], label="op"), Choice([0.5, 1.0], label="extra", when=DEPTH > 1)],
    lambda arch: nn.Identity(),
)
ARCHS = list(SPACE.enumerate())
optuna.logging.set_verbosity(optuna.logging.ERROR)


def study_of(listed: list[int]) -> optuna.Study:
    return optuna.create_study(sampler=ListedSampler(SPACE, [ARCHS[k] for k in listed]))


@given(st.lists(st.integers(0, len(ARCHS) - 1), min_size=1, max_size=8), st.data())
def test_each_once_in_order(listed: list[int], data) -> None:
    """Archs may repeat; a trial that died before it had one, or half of one, takes no place."""
    study = study_of(listed)
    archs: dict[int, dict[str, object]] = {}
    while not study.sampler.exhausted(study):
        trial = study.ask()
        died = data.draw(st.sampled_from(["no", "no", "before", "half"]))
        if died == "no":
            archs[trial.number] = suggest(trial, SPACE)
        elif died == "half" and ARCHS[listed[len(archs)]]["depth"] == 2:
            trial.suggest_categorical("depth", [1, 2])
        if died != "no":
            study.tell(trial, state=TrialState.FAIL)
    assert list(archs.values()) == [ARCHS[k] for k in listed]
    found = places(study.trials, [ARCHS[k] for k in listed])
    assert [found[number] for number in sorted(archs)] == list(range(len(listed)))
    assert found.keys() == archs.keys()


def test_a_longer_list_goes_on_where_a_shorter_one_ended() -> None:
    study = study_of([3, 1])
    for _ in range(2):
        suggest(study.ask(), SPACE)
    study.sampler = ListedSampler(SPACE, [ARCHS[k] for k in (3, 1, 0)])
    assert not study.sampler.exhausted(study)
    assert suggest(study.ask(), SPACE) == ARCHS[0]
    assert study.sampler.exhausted(study)
