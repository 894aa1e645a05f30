"""What a job has found, for people: tables, `report.html`, the winner's files and its card.

Everything here reads what `hwnas.jobs` wrote and changes nothing of it.
"""

from __future__ import annotations

from hwnas.report._card import write_card
from hwnas.report._export import export
from hwnas.report._exported import read_classifier
from hwnas.report._html import write_report
from hwnas.report._json import to_json
from hwnas.report._remeasure import remeasure
from hwnas.report._stages import Correlation, Stages, compare_stages
from hwnas.report._stages_table import correlation_text, stages_table
from hwnas.report._table import rows_table, trial_rows, trials_table
from hwnas.report._text import duration, estimate_text, interval_text, one_line, percent

__all__ = [
    "Correlation",
    "Stages",
    "compare_stages",
    "correlation_text",
    "duration",
    "estimate_text",
    "export",
    "interval_text",
    "one_line",
    "percent",
    "read_classifier",
    "remeasure",
    "rows_table",
    "stages_table",
    "to_json",
    "trial_rows",
    "trials_table",
    "write_card",
    "write_report",
]
