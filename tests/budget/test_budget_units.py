"""How costs are printed for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.budget import format_number, format_value, unit_for, unit_size
from hwnas.cost import METRICS


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("latency@pixel6", 1.2, "1.2 ms"),
        ("latency", 0.0123, "12.3 us"),
        ("latency", 0.00000456, "4.56 ns"),
        ("latency", 12_345.0, "12.3 s"),
        ("flops", 780_000, "0.78 M"),
        ("params", 61_706, "61.7 k"),
        ("params", 0, "0"),
        ("macs", 12, "12"),
        ("macs", 7.5e10, "75 G"),
        ("weight_bytes", 5_300_000, "5.3 MB"),
        ("weight_bytes", 999, "999 B"),
        ("throughput@gpu", 12_345.6, "12346 items/s"),
        ("energy", 4.2, "4.2 mJ"),
        ("recall", 0.98765, "0.988"),
    ],
)
def test_values_read_well(key: str, value: float, text: str) -> None:
    assert format_value(key, value) == text


def test_a_column_shares_the_unit_of_its_median() -> None:
    assert unit_for("flops", [90_000, 780_000, 2_300_000]) == "M"
    assert format_value("flops", 90_000, "M") == "0.09 M"
    assert unit_for("flops", []) == ""


@given(st.sampled_from(sorted(METRICS)), st.floats(min_value=1e-9, max_value=1e14))
def test_what_is_printed_is_the_value_to_three_digits(key: str, value: float) -> None:
    number, _, unit = format_value(key, value).partition(" ")
    size = unit_size(key, unit)
    assert float(number) * size == pytest.approx(value, rel=0.00501)


@given(st.floats(min_value=1e-4, max_value=1e14))
def test_digits_before_the_point_are_never_dropped(value: float) -> None:
    text = format_number(value)
    assert "e" not in text
    assert abs(float(text) - value) <= max(0.5, abs(value) * 0.00501)


def test_every_metric_is_kept_in_its_canonical_unit() -> None:
    for metric in METRICS.values():
        assert unit_size(metric.name, metric.unit) == 1
