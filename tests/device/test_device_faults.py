"""A model that spoils its measurement is named, and the rest of its batch is measured."""

from __future__ import annotations

import pytest
import torch
from tests.device import faulty
from torch import nn

from hwnas.device import LocalDevice, Measurement, Timing
from hwnas.errors import DeviceError, ModelFault

X = torch.linspace(-1, 1, 192).reshape(faulty.SHAPE)
QUICK = Timing(time_cap=0.1)
QUICK_TO_LOAD = ["onnxruntime", "openvino", "torch"]


def device(runtime: str, time_limit: float | None = None) -> LocalDevice:
    try:
        return LocalDevice(
            runtime=runtime, timing=QUICK, memory_limit=8 << 30, time_limit=time_limit
        )
    except DeviceError as error:
        if "install" not in str(error):
            raise
        pytest.skip(str(error))


def kinds(results: list[Measurement | ModelFault]) -> list[str]:
    return [one.kind if isinstance(one, ModelFault) else "measured" for one in results]


@pytest.mark.parametrize("runtime", QUICK_TO_LOAD)
def test_every_fault_is_named_and_the_rest_is_measured(runtime: str) -> None:
    models: list[nn.Module] = [
        faulty.SegmentationFault(),
        faulty.good(),
        faulty.NanOutput(),
        faulty.UnknownOperator(),
        faulty.TooLarge(),
        faulty.good(8),
    ]
    operator = "measured" if runtime == "torch" else "unsupported operator"
    with device(runtime) as local:
        results = local.measure_each(models, X)
    expected = ["crash", "measured", "not finite", operator, "memory", "measured"]
    assert kinds(results) == expected, [str(one) for one in results]
    assert "device 'local': model 1 of 6 (SegmentationFault)" in str(results[0])
    assert "SIGSEGV" in str(results[0])
    assert str(results[2]).startswith("device 'local': model 3 of 6 (NanOutput): ")
    good = results[5]
    assert isinstance(good, Measurement)
    assert good.size_bytes is not None
    assert good.size_bytes >= 8 * 28 * 4
    assert good.cold_start_ms is not None
    assert good.throughput == pytest.approx(1e3 / good.median)


def test_what_compiles_works_in_the_measuring_process() -> None:
    with device("torch-compile") as local:
        assert kinds(local.measure_each([faulty.NanOutput(), faulty.good()], X)) == [
            "not finite",
            "measured",
        ]


def test_a_model_that_hangs_is_killed_and_the_rest_measured() -> None:
    with device("torch", time_limit=8) as local:
        results = local.measure_each([faulty.good(), faulty.Hangs(), faulty.good(8)], X)
    assert kinds(results) == ["measured", "timeout", "measured"]
    assert "time limit of 8 s" in str(results[1])


def test_a_model_that_fails_while_it_is_timed_is_found() -> None:
    models = [faulty.good(), faulty.RaisesLater(), faulty.FailsLater(), faulty.good(8)]
    with device("torch") as local:
        results = local.measure_each(models, X)
    assert kinds(results) == ["measured", "failure", "crash", "measured"]
    assert "at the fifth call" in str(results[1])
    assert "model 3 of 4 (FailsLater)" in str(results[2])


def test_measuring_all_or_none_raises_the_first_fault() -> None:
    with device("torch") as local, pytest.raises(ModelFault, match="model 2 of 3") as caught:
        local.measure([faulty.good(), faulty.NanOutput(), faulty.RaisesLater()], X)
    assert caught.value.kind == "not finite"
