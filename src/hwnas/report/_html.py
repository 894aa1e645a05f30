"""`report.html`: one file with everything in it, which asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from decimal import Decimal
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from hwnas import _files
from hwnas.budget import Constraint
from hwnas.report._columns import Column, columns, reward_decimals
from hwnas.report._json import to_json, trial_json
from hwnas.report._stages import both_stages, compare_stages
from hwnas.report._stages_table import correlation_text
from hwnas.report._text import clean, one_line

if TYPE_CHECKING:
    from hwnas.jobs import JobView


_SCRIPTS = ("_charts.js", "_stages.js", "_report.js")


def write_report(view: JobView, path: Path) -> None:
    """Write the report of a job: its facts, winner, trade-off, progress, both stages where some of
    its trials were trained in full, trials and failures.

    The page is one file with its style, its scripts and its data. Its content security policy
    forbids everything else, so nothing is loaded and no text of a trial can become a script.
    """
    style, script = _asset("_report.css"), "".join(map(_asset, _SCRIPTS))
    page = Template(_asset("_report.html")).substitute(
        title=html.escape(f"{one_line(view.name)}: hwnas report"),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=_embedded(_data(view)),
    )
    _files.write_text(Path(path), page)


def _data(view: JobView) -> dict[str, Any]:
    """What the page reads: `to_json`, and how to show it."""
    data = to_json(view)
    for name in ("folder", "parent", "train_jobs"):
        del data[name]  # a report is passed on, and a path of one's machine is nobody's business
    data["stages"] = [_stages(one) for one in (view, *view.train_jobs) if one.parent is not None]
    data["parent"] = view.parent.name if view.parent else None
    data["columns"] = [_column(column) for column in columns(view)]
    data["reward_decimals"] = reward_decimals(view)
    data["budget_texts"] = [str(constraint) for constraint in view.budget]
    data["size_text"] = f"{view.size:,}" if view.size < 10**12 else f"{Decimal(view.size):.2e}"
    data["created_text"] = str(view.created).replace("T", " ")[:16]
    cleaned: dict[str, Any] = _cleaned(data)
    return cleaned


def _stages(view: JobView) -> dict[str, Any]:
    """A train job beside its search."""
    stages, both = compare_stages(view), both_stages(view)
    assert stages is not None
    known = {column.name: column for column in columns(both) if column.kind != "decision"}
    return {
        "name": view.name,
        "winner": view.winner,
        "reward_decimals": reward_decimals(both),
        "columns": [
            {"id": "reward", "kind": "reward"} if name == "reward" else _column(known[name])
            for name in stages.names
            if name == "reward" or name in known
        ],
        "pairs": [
            {"search": trial_json(one), "train": trial_json(two) if two else None}
            for one, two in stages.pairs
        ],
        "correlations": [
            {"name": one.name, "text": correlation_text(one)} for one in stages.correlations
        ],
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "id": f"{column.kind} {column.name}",
        "name": column.name,
        "label": column.name,
        "kind": column.kind,
        "unit": column.unit,
        "size": column.size,
        "decimals": column.decimals,
        "better": column.better,
        "limits": [_limit(constraint) for constraint in column.constraints],
    }


def _limit(constraint: Constraint) -> dict[str, Any]:
    written = f"{constraint.written_limit} {constraint.unit}".rstrip()
    return {"op": constraint.op, "value": constraint.limit, "text": written}


def _cleaned(value: Any) -> Any:
    """JSON `value` without control characters in its texts; keys are cleaned too."""
    if isinstance(value, dict):
        return {clean(key): _cleaned(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_cleaned(entry) for entry in value]
    return clean(value) if isinstance(value, str) else value


def _embedded(data: dict[str, Any]) -> str:
    """JSON that can stand in a script element: no `<` ends it, and it is ASCII."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return resources.files("hwnas.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression that allows `text` in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
