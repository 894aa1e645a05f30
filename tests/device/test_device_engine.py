"""The timing loop on a simulated host: what it reports does not depend on the host's mood."""

from __future__ import annotations

import math
import random
from statistics import fmean, median, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hwnas.device import Environment, Measurement, Runnable, Timing
from hwnas.device._timing.engine import Samples, Usage, time_models
from hwnas.device._timing.environment import conditions
from hwnas.device._timing.stats import between_processes, trimmed_mean
from hwnas.device._timing.summary import Take, summarise
from hwnas.errors import DeviceError

CANARY = 2e-4
QUIET = Usage(wall=1.0, cpu=1.0, involuntary_switches=1, minor_faults=0, major_faults=0)


def host_of(usage: Usage) -> Environment:
    return Environment.from_dict(
        {
            **conditions(usage, 1),
            "accelerator": "cpu",
            "runtime": "simulated",
            "runtime_version": "1",
            "torch_version": None,
            "threads": 1,
            "batch_size": 1,
            "precision": "fp32",
            "clock": "wall",
        }
    )


WHERE = host_of(QUIET)


class Host:
    """A clock that runs fast and slow by half, in a random walk, with noise on top."""

    def __init__(self, noise: float = 0.01, factor: float = 1.0) -> None:
        self.random = random.Random(1)
        self.noise, self.factor, self.walk = noise, factor, 0.0

    def seconds(self, truth: float) -> float:
        self.walk = max(-0.4, min(0.4, self.walk + self.random.uniform(-0.01, 0.01)))
        jitter = 1 + abs(self.random.gauss(0, self.noise))
        return truth * self.factor * (1 + self.walk) * jitter


class Steady(Host):
    def seconds(self, truth: float) -> float:
        return truth


class Simulated(Runnable):
    def __init__(self, host: Host, truth: float) -> None:
        self.host, self.truth, self.blocks = host, truth, 0

    def run(self) -> None: ...

    def outputs(self) -> list[Tensor]:
        return []

    def block(self, calls: int) -> float:
        self.blocks += 1
        return calls * self.host.seconds(self.truth)


def measure(
    host: Host,
    *truths: float,
    timing: Timing | None = None,
    usage: Usage = QUIET,
    process_std: float = 0.0,
) -> list[Measurement]:
    timing = timing or Timing(width=0.01)
    models = [[Simulated(host, truth)] for truth in truths]
    series, canary, _ = time_models(models, [Simulated(host, CANARY)], timing.of_one(process_std))
    where = host_of(usage)
    return [
        summarise(
            [Take(Samples.of(one), canary, usage, where)],
            device="simulated",
            timing=timing,
            reference=1e3 * CANARY,
            process_std=process_std,
        )
        for one in series
    ]


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_canary_takes_the_drift_out(factor: float) -> None:
    truths = (1e-5, 3e-4, 2e-3, 5e-2)
    for truth, one in zip(truths, measure(Host(factor=factor), *truths), strict=True):
        assert one.converged
        assert one.median == pytest.approx(1e3 * truth, rel=0.02)
        steady = one.at(one.canary.median)
        assert (steady.high - steady.low) / 2 <= 0.01 * steady.median


def test_drift_from_the_reference_is_flagged() -> None:
    assert any(text.startswith("drift") for text in measure(Host(factor=3), 1e-3)[0].warnings)


@pytest.mark.parametrize(
    ("usage", "contended"),
    [
        (QUIET, False),
        (Usage(1.0, 0.6, 1, 0, 0), True),
        (Usage(1.0, 1.0, 500, 0, 0), True),
    ],
)
def test_contention_is_flagged(usage: Usage, contended: bool) -> None:
    (one,) = measure(Host(), 1e-3, usage=usage)
    assert one.contended == contended


def test_copies_take_turns() -> None:
    """Each lies elsewhere in memory and is a little faster or slower for it."""
    host = Host(noise=0.0)
    copies = [Simulated(host, 1e-3 * factor) for factor in (0.99, 1.0, 1.01)]
    canary = [Simulated(host, CANARY * factor) for factor in (0.98, 1.02)]
    timing = Timing(width=None, rounds=(60, 60), time_cap=60)
    (one,), _, _ = time_models([copies], canary, timing)
    assert [copy.blocks for copy in copies] == [copies[0].blocks] * 3
    assert min(copy.blocks for copy in canary) > 60
    assert sum(one.ratios) / 60 == pytest.approx(5.0, rel=0.005)


def noise_between_processes(copies: int) -> float:
    """Of the median, on a steady host where each copy is by 1 % faster or slower than another."""
    draws, medians = random.Random(0), []
    timing = Timing(width=None, rounds=(12, 12), time_cap=60)
    for _ in range(60):
        host = Steady()
        model, canary = (
            [Simulated(host, truth * draws.gauss(1, 0.01)) for _ in range(copies)]
            for truth in (1e-3, CANARY)
        )
        (one,), _, _ = time_models([model], canary, timing)
        medians.append(median(one.ratios))
    return stdev(medians) / fmean(medians)


def test_the_canary_adds_little_noise_of_its_own_where_the_host_is_steady() -> None:
    """One copy of each differs between processes by the luck of both, model and canary."""
    assert noise_between_processes(1) == pytest.approx(0.01 * 2**0.5, rel=0.2)
    assert noise_between_processes(3) < 0.01


@pytest.mark.parametrize("processes", [1, 3])
def test_intervals_hold_the_value_over_all_processes(processes: int) -> None:
    """Each process draws a factor of its own, which no number of samples in it can show."""
    draws, std, held, alone = random.Random(0), 0.01, 0, 0
    timing = Timing(processes=processes)
    for _ in range(200):
        takes = []
        for _ in range(processes):
            factor = draws.gauss(1, std)
            ratios = [5 * factor * draws.gauss(1, 0.03) for _ in range(60)]
            samples = Samples([1e-3] * 60, ratios, converged=True)
            takes.append(Take(samples, [CANARY], QUIET, WHERE))
        told = [
            summarise(takes, device="x", timing=timing, reference=None, process_std=known)
            for known in (0.0, std)
        ]
        alone += processes == 1 and told[0].low <= 1.0 <= told[0].high
        held += told[1].low <= 1.0 <= told[1].high
    assert held >= 184
    assert alone <= 150
    assert told[1].processes == processes


def test_processes_that_differ_by_more_than_is_known_widen_the_interval() -> None:
    alike = [(1.0, 0.99, 1.01), (1.001, 0.99, 1.01), (0.999, 0.99, 1.01)]
    apart = [(1.0, 0.99, 1.01), (1.1, 1.09, 1.11), (0.9, 0.89, 0.91)]
    narrow, wide = (between_processes(one, 0.95, 0.005) for one in (alike, apart))
    single = between_processes(alike[:1], 0.95, 0.005)
    assert narrow[2] - narrow[1] < single[2] - single[1]
    assert wide[2] - wide[1] > 0.2
    assert wide[0] == pytest.approx(1.0, rel=0.01)


@given(
    width=st.floats(1e-3, 0.2),
    process_std=st.floats(0, 0.05),
    processes=st.integers(1, 10),
)
def test_what_is_left_for_a_process_gives_the_width_asked_for(
    width: float, process_std: float, processes: int
) -> None:
    asked = Timing(width=width, processes=processes)
    one = asked.of_one(process_std)
    assert one.width is not None
    intervals = [(1.0, math.exp(-one.width), math.exp(one.width))] * processes
    _, low, high = between_processes(intervals, asked.confidence, process_std)
    half = math.log(high / low) / 2
    if 1.96 * process_std <= 0.85 * width * processes**0.5:
        assert half == pytest.approx(width, rel=1e-3)
    else:  # more rounds would hardly help
        assert one.width >= width / 2
    assert one.time_cap * processes == pytest.approx(asked.time_cap)


def test_a_wide_interval_between_processes_is_not_converged() -> None:
    (one,) = measure(Host(), 1e-3, timing=Timing(width=0.02), process_std=0.005)
    assert one.converged
    (one,) = measure(Host(), 1e-3, timing=Timing(width=0.02), process_std=0.03)
    assert not one.converged
    assert one.high / one.low > 1.05


def test_the_most_rounds_are_kept() -> None:
    (one,) = measure(Host(noise=1.0), 1e-3, timing=Timing(width=1e-6, rounds=(8, 20)))
    assert not one.converged
    assert one.n == 20


def test_without_a_width_every_round_is_made_unless_the_cap_comes_first() -> None:
    (one,) = measure(Host(noise=0), 1e-3, timing=Timing(width=None, rounds=(1, 37)))
    assert (one.n, one.converged) == (37, True)
    (one,) = measure(Host(), 1e-3, timing=Timing(width=None, time_cap=1e-9, rounds=(1, 37)))
    assert (one.n, one.converged) == (1, False)


def test_the_warm_up_is_as_long_as_asked() -> None:
    host = Host()
    for asked, made in ((0, 1), (1, 1), (5, 5)):
        model = Simulated(host, 1.0)
        timing = Timing(warm_up=asked, rounds=(1, 1), time_cap=60)
        time_models([[model]], [Simulated(host, CANARY)], timing)
        assert model.blocks == made + 1


def test_the_trimmed_mean_leaves_out_the_share_asked_for() -> None:
    assert trimmed_mean([*range(2, 20), -1e9, 1e9], 0.1)[0] == pytest.approx(10.5)
    assert trimmed_mean([1.0, 2.0, 6.0], 0.0)[0] == pytest.approx(3.0)
    assert trimmed_mean([1.0, 2.0, 9.0], 0.999)[0] == 2.0
    assert trimmed_mean([5.0], 0.5) == (5.0, 0.0)
    assert trimmed_mean([1.0, 2.0], 0.99)[0] == 1.5
    (one,) = measure(Host(), 1e-3, timing=Timing(outlier=0.2))
    assert one.trimmed is not None
    assert one.trimmed.outlier == 0.2
    assert one.trimmed.value == pytest.approx(1.0, rel=0.02)
    assert Measurement.from_dict(one.to_dict()) == one


def test_a_measurement_can_be_told_at_another_reference() -> None:
    (one,) = measure(Host(), 1e-3, timing=Timing(outlier=0.2))
    other = one.at(4e3 * CANARY)
    assert other.median == pytest.approx(4 * one.median)
    assert other.low < other.median < other.samples.p99
    assert other.canary is not None
    assert other.canary.drift == pytest.approx((1 + one.canary.drift) / 4 - 1)  # type: ignore
    assert other.trimmed is not None
    assert other.trimmed.value == pytest.approx(4 * one.trimmed.value)  # type: ignore
    assert one.raw_median == other.raw_median


def test_models_that_are_known_leave_the_loop() -> None:
    host = Host(noise=0.0)
    steady, wild = Simulated(host, 1e-3), Simulated(Host(noise=1.0), 1e-3)
    series, _, _ = time_models(
        [[steady], [wild]], [Simulated(host, CANARY)], Timing(rounds=(8, 200))
    )
    assert len(series[0].raw) < len(series[1].raw)


def test_short_models_run_in_blocks_of_a_millisecond() -> None:
    series, _, _ = time_models(
        [[Simulated(Host(), 1e-6)], [Simulated(Host(), 1.0)]],
        [Simulated(Host(), CANARY)],
        Timing(),
    )
    assert series[0].calls >= 500
    assert series[1].calls == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"width": 0.0},
        {"confidence": 1.0},
        {"rounds": (0, 5)},
        {"rounds": (9, 5)},
        {"warm_up": -1},
        {"outlier": 1.0},
        {"processes": 0},
    ],
)
def test_impossible_timings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(DeviceError, match="timing"):
        Timing(**bad)  # type: ignore[arg-type]
