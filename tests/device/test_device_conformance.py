"""The contract of `Device`, for every kind of device and every runtime that is installed."""

from __future__ import annotations

import copy
import math
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hwnas import _plugins
from hwnas.device import (
    Device,
    LocalDevice,
    Measurement,
    Model,
    RemoteDevice,
    SimulatedDevice,
    Timing,
    WorkerDevice,
    export_onnx,
)
from hwnas.errors import DeviceError, ModelFault
from hwnas.jobs import DeviceEvaluator, QueueDevice, QueueWorker, Store

X = torch.linspace(-1, 1, 768).reshape(1, 3, 16, 16)
QUICK = Timing(time_cap=0.05)
COMPILES = {"torch-compile"}  # a minute for what follows; see test_device_runtimes.py
LOADS_SLOWLY = {"executorch"}
RUNTIMES = sorted(set(_plugins.names("runtimes")) - COMPILES)
ELSEWHERE = [name for name in RUNTIMES if _plugins.load("runtimes", name).session]
DEVICES = [
    *(f"local {name}" for name in RUNTIMES),
    *(f"remote {name}" for name in ELSEWHERE),
    "simulated",
    "queue",
]


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width))
        self.head = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.body(x).relu())
        return result


class Adds(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ZeroDivisionError("in the forward")


def simulated(model: object, inputs: tuple[Tensor, ...]) -> float:
    assert isinstance(model, nn.Module)
    if isinstance(model, Raises):
        raise ZeroDivisionError("in the forward")
    return 1.0 + sum(x.numel() for x in model.parameters())


@pytest.fixture(scope="module", params=DEVICES)
def device(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Device]:
    where, _, runtime = request.param.partition(" ")
    stack = ExitStack()
    made: Device
    try:
        if where == "local":
            made = LocalDevice("bench", runtime=runtime, timing=QUICK)
        elif where == "remote":
            made = RemoteDevice("bench", "sh", python=sys.executable, runtime=runtime, timing=QUICK)
        elif where == "queue":
            served = stack.enter_context(queue(tmp_path_factory.mktemp("store")))
            made = QueueDevice(served, "bench", poll=0.01)
        else:
            made = SimulatedDevice("bench", simulated)
    except DeviceError as error:  # its library is not installed
        pytest.skip(str(error))
    with stack, made:
        yield made


@contextmanager
def queue(folder: Path) -> Iterator[Store]:
    """A store whose requests a thread answers."""
    store = Store(folder)
    elsewhere = SimulatedDevice(
        "there", lambda model, inputs: 1.0 + Path(str(model)).stat().st_size
    )
    worker = QueueWorker(store, "bench", DeviceEvaluator(elsewhere))
    thread = threading.Thread(target=worker.run)
    thread.start()
    while not store.names("queue/bench/workers"):
        assert thread.is_alive()
    yield store
    worker.stop()
    thread.join()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(Net(2), X, tmp_path_factory.mktemp("onnx") / "net.onnx")


@pytest.fixture
def small(device: Device, file: Path) -> Model:
    """A model that is loaded soon: a file, where the device takes one."""
    reads = (
        isinstance(device, WorkerDevice) and _plugins.load("runtimes", device.runtime).reads_onnx
    )
    return file if reads else Net(2)


@pytest.fixture(scope="module")
def models() -> list[nn.Module]:
    """The second one cannot be measured."""
    return [Net(2), Raises(), Net(512)]


@pytest.fixture(scope="module")
def taken(device: Device, models: list[nn.Module]) -> list[Measurement | ModelFault]:
    before = copy.deepcopy(models)
    results = device.measure_each(models, X)
    for one, was in zip(models, before, strict=True):
        assert [m.training for m in one.modules()] == [m.training for m in was.modules()]
        assert all(
            torch.equal(value, was.state_dict()[key]) for key, value in one.state_dict().items()
        )
        assert not any(m._forward_hooks for m in one.modules())
    return results


class TestEveryDevice:
    def test_each_model_has_its_measurement_or_its_fault(
        self, device: Device, taken: list[Measurement | ModelFault]
    ) -> None:
        small, fault, large = taken
        assert isinstance(small, Measurement)
        assert isinstance(large, Measurement)
        assert small.median < large.median
        assert isinstance(fault, ModelFault)
        text = str(fault)
        assert text.startswith("device 'bench': ")
        assert "model 2 of 3 (Raises)" in text
        assert "ZeroDivisionError: in the forward" in text
        assert "\n" not in text

    def test_a_measurement_says_what_it_is(
        self, device: Device, taken: list[Measurement | ModelFault]
    ) -> None:
        one = taken[0]
        assert isinstance(one, Measurement)
        assert (one.device, one.metric, one.unit) == ("bench", "latency", "ms")
        assert 0 < one.low <= one.median <= one.high < math.inf
        assert one.samples.p10 <= one.samples.p90 <= one.samples.p99
        assert one.environment.batch_size == 1
        assert one.processes == 1
        assert one.estimate.std >= 0
        assert Measurement.from_dict(one.to_dict()) == one
        known = {**one.to_dict(), **one.to_dict()["environment"]}
        assert device.conditions["device"] == "bench"
        assert all(known[name] == value for name, value in device.conditions.items())

    def test_what_is_timed_against_a_canary_is_told_at_one_speed_of_the_host(
        self, device: Device, small: Model, taken: list[Measurement | ModelFault]
    ) -> None:
        told = [one for one in taken if isinstance(one, Measurement)]
        if not isinstance(device, WorkerDevice):
            assert device.reference is None
            assert all(one.canary is None for one in told)
            return
        (again,) = device.measure([small], X)
        for one in (*told, again):
            assert one.canary is not None
            assert one.canary.reference == device.reference
            assert one.n >= QUICK.rounds[0]

    def test_measuring_all_or_none_names_the_first_fault(
        self, device: Device, small: Model
    ) -> None:
        with pytest.raises(ModelFault, match=r"device 'bench': model 2 of 2 \(Raises\)"):
            device.measure([small, Raises()], X)

    def test_each_model_may_have_inputs_of_its_own(self, device: Device, small: Model) -> None:
        both = device.measure([small, Adds()], [(X,), (X, X)])
        assert len(both) == 2
        assert device.measure([], X) == []

    def test_what_makes_no_sense_is_refused(self, device: Device) -> None:
        with pytest.raises(DeviceError, match="a list of models"):
            device.measure(Net(2), X)  # type: ignore[arg-type]
        with pytest.raises(DeviceError, match="1 tuples of inputs for 2 models"):
            device.measure([Net(2), Net(2)], [(X,)])
        with pytest.raises(DeviceError, match="inputs are"):
            device.measure([Net(2)], [X])  # type: ignore[list-item]

    def test_threads_take_turns(self, device: Device, small: Model) -> None:
        found: list[Measurement] = []
        threads = [
            threading.Thread(target=lambda: found.extend(device.measure([small], X)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 2

    def test_a_closed_device_opens_again(self, device: Device, small: Model) -> None:
        if getattr(device, "runtime", None) in LOADS_SLOWLY:
            pytest.skip("its process starts slowly, and is ended and started as that of others")
        device.close()
        device.close()
        processes = 2 if isinstance(device, WorkerDevice) else 1
        timing = Timing(time_cap=0.02, processes=processes)
        (one,) = device.measure_each([small], X, timing=timing)
        assert isinstance(one, Measurement)
        assert one.processes == processes
