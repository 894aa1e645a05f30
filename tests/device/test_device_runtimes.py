"""Conformance: what every member of `hwnas.runtimes` promises."""

from __future__ import annotations

import copy
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tests.device import faulty
from torch import Tensor, nn

from hwnas import _plugins
from hwnas.device import Runnable, Runtime, export_onnx
from hwnas.device._runtimes.agreement import eager_outputs, flatten
from hwnas.errors import DeviceError, ModelFault

NAMES = _plugins.names("runtimes")
COMPILES = {"torch-compile"}
"""Runtimes that need seconds for each network: what the base class does is tested on others."""


class TwoInputs(nn.Module):
    """Two inputs, several outputs, and layers that differ between training and evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.drop = nn.Dropout(0.9)
        self.a, self.b = nn.Linear(144, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        a = self.a(self.drop(self.image(x)).flatten(1))
        return {"sum": a + self.b(y), "a": a}


class Disagrees(nn.Module):
    """Exports another function than it computes, and computes another one each time."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return x * 2
        return x + torch.rand_like(x)


def small(width: int = 16) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(width * 256, 8)
    )


def make(name: str, **options: object) -> Runtime:
    """The runtime, or a skip where its library or its compiler is not installed."""
    factory: type[Runtime] = _plugins.load("runtimes", name)
    try:
        return factory(**options)  # type: ignore[arg-type]
    except DeviceError as error:
        if "install" in str(error) or "on this processor" in str(error):
            pytest.skip(str(error))
        raise


@dataclass
class Loaded:
    model: nn.Module
    before: dict[str, Tensor]
    training: list[bool]
    inputs: tuple[Tensor, ...]
    runtime: Runtime
    runnable: Runnable


@pytest.fixture(scope="module", params=NAMES)
def loaded(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    """One network in each runtime, looked at from several sides."""
    torch.manual_seed(0)
    runtime, model = make(request.param), TwoInputs()
    model.b.eval()
    inputs = (torch.randn(2, 3, 8, 8), torch.randn(2, 5))
    before = copy.deepcopy(model.state_dict())
    training = [module.training for module in model.modules()]
    yield Loaded(model, before, training, inputs, runtime, runtime.load(model, inputs))
    torch.set_num_threads(1)


class TestEveryRuntime:
    def test_has_a_name_and_a_version(self, loaded: Loaded) -> None:
        assert loaded.runtime.name in NAMES
        assert loaded.runtime.version[0].isdigit()

    def test_computes_what_the_eager_model_computes(self, loaded: Loaded) -> None:
        outputs, expected = loaded.runnable.outputs(), eager_outputs(loaded.model, loaded.inputs)
        assert len(outputs) == 2
        for have, want in zip(outputs, expected, strict=True):
            torch.testing.assert_close(have, want, rtol=1e-3, atol=1e-4)

    def test_leaves_the_model_as_it_was(self, loaded: Loaded) -> None:
        loaded.runnable.block(3)
        assert [module.training for module in loaded.model.modules()] == loaded.training
        for key, tensor in loaded.model.state_dict().items():
            assert torch.equal(tensor, loaded.before[key])

    def test_one_thread_is_the_calling_one_and_its_cpu_time_the_clock(self, loaded: Loaded) -> None:
        loaded.runnable.block(10)
        process, thread = time.process_time(), time.thread_time()
        clocked = loaded.runnable.block(300)
        thread, process = time.thread_time() - thread, time.process_time() - process
        assert loaded.runnable.clock == "cpu"
        assert 0.5 * thread <= clocked <= thread
        assert process <= 1.2 * thread + 2e-3

    def test_says_what_loading_took(self, loaded: Loaded) -> None:
        weights = sum(x.numel() * 4 for x in loaded.model.parameters())
        assert loaded.runnable.cold_start is not None
        assert loaded.runnable.cold_start > 0
        assert loaded.runnable.size is not None
        assert loaded.runnable.size >= weights
        if sys.platform == "linux":
            assert loaded.runnable.peak_memory is not None


@pytest.mark.parametrize("name", NAMES)
def test_refuses_what_it_does_not_have(name: str) -> None:
    factory = _plugins.load("runtimes", name)
    with pytest.raises(DeviceError, match=r"precision 'fp7' on 'cpu'.*fp32"):
        factory(precision="fp7")
    with pytest.raises(DeviceError, match=r"accelerator 'abacus'.*cpu"):
        factory(accelerator="abacus")


@pytest.mark.parametrize("name", sorted(set(NAMES) - COMPILES))
def test_notices_other_results_than_the_eager_ones(name: str) -> None:
    with pytest.raises(ModelFault, match="disagrees with the eager model") as caught:
        make(name).load(Disagrees(), (torch.randn(1, 8),))
    assert caught.value.kind == "disagreement"


def test_agreement_need_not_be_checked() -> None:
    make("torch").load(Disagrees(), (torch.randn(1, 8),), check=False)


@pytest.mark.parametrize("name", NAMES)
def test_onnx_files_run_or_are_refused(name: str, tmp_path: Path) -> None:
    runtime = make(name)
    inputs = (torch.randn(1, 3, 8, 8),)
    path = export_onnx(faulty.good(), inputs, tmp_path / "m.onnx")
    if runtime.reads_onnx:
        assert runtime.load(path, inputs).outputs()[0].shape == (1, 144)
        with pytest.raises(DeviceError, match="takes 1 inputs"):
            runtime.load(path, inputs * 2)
        (tmp_path / "bad.onnx").write_bytes(b"nonsense")
        with pytest.raises(DeviceError, match=r"cannot load bad.onnx"):
            runtime.load(tmp_path / "bad.onnx", inputs)
        with pytest.raises(DeviceError, match="there is no ONNX file"):
            runtime.load(tmp_path / "none.onnx", inputs)
        with pytest.raises(DeviceError, match=r"cannot (load|run)"):
            runtime.load(path, (torch.randn(1, 4, 8, 8),))
    else:
        with pytest.raises(DeviceError, match=r"files.*use runtime 'onnxruntime'"):
            runtime.load(path, inputs)


PRECISIONS = [
    (name, precision)
    for name in NAMES
    for precision in _plugins.load("runtimes", name).precisions["cpu"]
    if precision != "fp32" and (name not in COMPILES or precision == "bf16")
]


@pytest.mark.parametrize(("name", "precision"), PRECISIONS)
def test_every_precision_rounds_and_agrees(name: str, precision: str) -> None:
    runtime, model = make(name, precision=precision), small()
    inputs = (torch.randn(1, 3, 16, 16),)
    runnable = runtime.load(model, inputs)  # compares with the eager model
    (output,), (expected,) = runnable.outputs(), eager_outputs(model, inputs)
    assert not torch.equal(output.float(), expected)
    if precision.startswith("int8"):
        assert runnable.size is not None
        assert runnable.size < 0.6 * sum(x.numel() * 4 for x in model.parameters())


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one CPU")
@pytest.mark.parametrize("name", sorted(set(NAMES) - COMPILES))
def test_two_threads_share_the_work(name: str) -> None:
    # One operator of some 20 ms: on a busy host, a thread that is woken for a short one comes
    # when the calling thread has done it all.
    model = nn.Conv2d(64, 128, 3, padding=1)
    runnable = make(name, threads=2).load(model, (torch.randn(1, 64, 96, 96),))
    assert runnable.clock == "wall"
    process, thread = time.process_time(), time.thread_time()
    others = 0.0
    for _ in range(50):
        runnable.block(1)
        others = (time.process_time() - process) / (time.thread_time() - thread) - 1
        if others > 0.01:
            break
    torch.set_num_threads(1)
    assert others > 0.01


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Some gigabytes more than this process has now."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (12 << 30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, limits)


EXPORTING = {"onnxruntime", "openvino", "executorch"}


@pytest.mark.parametrize("name", sorted(set(NAMES) - COMPILES))
@pytest.mark.parametrize(
    ("model", "kind", "always"),
    [
        (faulty.NanOutput(), "not finite", set(NAMES)),
        (faulty.TooLarge(), "memory", set(NAMES)),
        (faulty.UnknownOperator(), "unsupported operator", EXPORTING),
        (faulty.DynamicShape(), "dynamic shape", {"executorch"}),
    ],
)
@pytest.mark.usefixtures("little_memory")
def test_what_cannot_be_measured_has_a_name(
    name: str, model: nn.Module, kind: str, always: set[str]
) -> None:
    runtime, inputs = make(name), (torch.linspace(-1, 1, 192).reshape(faulty.SHAPE),)
    if name in always:
        with pytest.raises(ModelFault) as caught:
            runtime.load(model, inputs)
        assert caught.value.kind == kind, str(caught.value)
        assert "\n" not in str(caught.value)
    else:
        assert runtime.load(model, inputs).block(1) > 0


def test_compiled_networks_share_no_code_object() -> None:
    """Dynamo keeps few variants of one code object; a ninth network would silently run eagerly."""
    runtime = make("torch-compile")
    codes = [runtime._callable(nn.Linear(2, 2)).__wrapped__.__code__ for _ in range(2)]  # type: ignore[attr-defined]
    assert codes[0] is not codes[1]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_torch_runs_in_half_precision(precision: str) -> None:
    runtime = make("torch", precision=precision)
    (output,) = runtime.load(small(), (torch.randn(1, 3, 16, 16),)).outputs()
    assert output.dtype in (torch.float16, torch.bfloat16)


def test_the_peak_holds_the_weights_and_the_activations() -> None:
    if sys.platform != "linux":
        pytest.skip("the platform does not tell")
    big = nn.Sequential(nn.Linear(2048, 2048, bias=False), nn.Linear(2048, 8, bias=False))
    weights = sum(x.numel() * 4 for x in big.parameters())
    first = make("torch").load(big, (torch.zeros(1, 2048),))
    second = make("torch").load(big, (torch.zeros(8192, 2048),))
    assert first.peak_memory is not None
    assert second.peak_memory is not None
    assert 0.9 * weights <= first.peak_memory <= 4 * weights
    assert second.peak_memory - first.peak_memory >= 0.5 * 8192 * 2048 * 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is present")
@pytest.mark.parametrize("name", ["torch", "torch-compile", "onnxruntime"])
def test_cuda_without_a_gpu_is_an_error(name: str) -> None:
    with pytest.raises(DeviceError, match="CUDA"):
        _plugins.load("runtimes", name)(accelerator="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", ["torch", "torch-compile", "onnxruntime"])
def test_on_a_gpu(name: str, precision: str) -> None:
    runtime = make(name, accelerator="cuda", precision=precision)
    runnable = runtime.load(small(), (torch.randn(1, 3, 16, 16),))
    assert runnable.clock == ("wall" if name == "onnxruntime" else "cuda events")
    assert runnable.block(3) > 0
    assert runtime.hardware != "cpu"
    assert len(list(flatten(runnable.outputs()))) == 1
