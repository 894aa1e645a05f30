"""Energy comes from a meter, or there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from hwnas.device import Runnable
from hwnas.device._timing.energy import energy_of, find_meter

RANGE = 10_000_000


def zone(root: Path, number: str, name: str, energy: int = 0) -> Path:
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    for file, content in (
        ("name", name),
        ("energy_uj", str(energy)),
        ("max_energy_range_uj", str(RANGE)),
    ):
        (folder / file).write_text(f"{content}\n")
    return folder / "energy_uj"


class Spends(Runnable):
    """Takes 1500 uJ of a package for each call."""

    def __init__(self, counter: Path) -> None:
        self.counter = counter

    def run(self) -> None:
        used = int(self.counter.read_text()) + 1500
        self.counter.write_text(str(used % (RANGE + 1)))

    def outputs(self) -> list[Tensor]:
        return []


@pytest.mark.parametrize("start", [0, RANGE - 2000])
def test_energy_per_call_by_the_packages_also_when_a_counter_starts_again(
    tmp_path: Path, start: int
) -> None:
    first = zone(tmp_path, "0", "package-0", start)
    zone(tmp_path, "1", "package-1", 7)
    zone(tmp_path, "0:0", "core", 5)
    meter = find_meter("cpu", tmp_path)
    assert meter is not None
    assert len(meter.read()) == 2
    assert energy_of(Spends(first), meter, seconds=0.02) == pytest.approx(1.5e-3)


def test_without_a_meter_there_is_none(tmp_path: Path) -> None:
    assert find_meter("cpu", tmp_path / "nothing") is None
    zone(tmp_path, "0", "core")
    assert find_meter("cpu", tmp_path) is None
    (zone(tmp_path, "1", "package-0")).unlink()  # there, but not to be read
    assert find_meter("cpu", tmp_path) is None
