"""`card.md`: what an exported network is and how to load it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hwnas._estimate import Estimate
from hwnas.budget import Budget
from hwnas.errors import BudgetError
from hwnas.report import write_card

FACTS: dict[str, Any] = {
    "job": "digits",
    "trial": 12,
    "arch": {"conv1.kernel": 3, "activation": "relu"},
    "space": "digits_cnn",
    "fingerprint": "9f2c4b7a",
    "metric": "accuracy",
    "metrics": {"accuracy": 0.98123, "loss": 0.07},
    "test": {"accuracy": 0.9777},
    "costs": {"latency@pixel6": Estimate(1.0, 0.05), "params": Estimate(48_000.0)},
    "budget": Budget.parse("latency@pixel6 <= 1.2 ms, params <= 40 k"),
    "versions": {"hwnas": "0.1.0", "torch": "2.13.0"},
    "seed": 7,
    "task": "digits",
    "input_shape": (1, 8, 8),
}


def _card(folder: Path, **changes: Any) -> str:
    path = folder / "out" / "card.md"
    write_card(path, **(FACTS | changes))
    return path.read_text(encoding="utf-8")


def _rows(text: str, section: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    part = text.split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_it_says_what_was_reached_on_which_split(tmp_path: Path) -> None:
    text = _card(tmp_path)
    assert text.startswith("# digits: trial 12\n")
    assert "accuracy 0.9777 on the test split" in text
    assert _rows(text, "Accuracy") == [["accuracy", "0.9812", "0.9777"], ["loss", "0.07", "-"]]


def test_without_a_test_split_it_says_so(tmp_path: Path) -> None:
    text = _card(tmp_path, test={})
    assert "accuracy 0.9812 on the validation split" in text
    assert "there is no figure on a test split" in text


def test_each_constraint_has_its_margin(tmp_path: Path) -> None:
    text = _card(tmp_path)
    latency, params = _rows(text, "Budget")
    assert latency == [
        r"latency@pixel6 \<= 1.2 ms",
        "1 ±0.05 ms (upper 95 % bound 1.08 ms)",
        "9.8 % left",
        "kept",
    ]
    assert params == [r"params \<= 40 k", "48 k", "20 % beyond the limit", "violated"]
    assert "**does not keep its budget**" in text
    assert "keeps its budget" in _card(tmp_path, budget=Budget.parse("params <= 50 k"))


def test_costs_come_with_intervals(tmp_path: Path) -> None:
    rows = _rows(_card(tmp_path), "Costs")
    assert rows == [["latency@pixel6", "1 ms", "0.902 to 1.1 ms"], ["params", "48 k", "-"]]


def test_a_lower_limit_on_a_metric_is_judged_too(tmp_path: Path) -> None:
    budget = Budget.parse("accuracy >= 0.9", metrics=["accuracy"])
    assert _rows(_card(tmp_path, budget=budget), "Budget") == [
        [r"accuracy \>= 0.9", "0.981", "9 % left", "kept"]
    ]


def test_without_a_budget_there_is_no_such_section(tmp_path: Path) -> None:
    assert "udget" not in _card(tmp_path, budget=Budget())


def test_a_missing_cost_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="no cost 'latency@pixel6'"):
        _card(tmp_path, costs={})
    assert not list(tmp_path.rglob("*.md"))


def test_it_tells_where_the_network_comes_from(tmp_path: Path) -> None:
    rows = dict(_rows(_card(tmp_path), "Where it comes from"))
    assert rows == {
        "space": r"digits\_cnn",
        "space fingerprint": "9f2c4b7a",
        "task": "digits",
        "seed": "7",
        "hwnas version": "0.1.0",
        "torch version": "2.13.0",
    }
    assert dict(_rows(_card(tmp_path), "Arch")) == {"conv1.kernel": "3", "activation": "relu"}


def test_it_shows_how_to_load_it(tmp_path: Path) -> None:
    text = _card(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "card.md", "exec")
    assert "np.zeros([1, 1, 8, 8], dtype=np.float32)" in blocks[1]
    assert "onnx" not in _card(tmp_path, input_shape=None)


def test_what_a_user_wrote_cannot_break_out_of_its_cell(tmp_path: Path) -> None:
    evil = "a|b\n# c <script>alert(1)</script> [x](y) `z` \x1b[2J"
    text = _card(tmp_path, arch={evil: evil}, job=evil, task=evil, versions={"x": evil})
    ((name, choice),) = _rows(text, "Arch")
    assert name == choice
    assert "<script>" not in re.sub(r"\\<", "", text)
    assert "\x1b" not in text
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
