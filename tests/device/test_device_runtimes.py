"""Conformance: what every member of `hwnas.runtimes` promises."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hwnas import _plugins
from hwnas.device import Runtime, export_onnx
from hwnas.device._agreement import eager_outputs
from hwnas.errors import DeviceError

NAMES = _plugins.names("runtimes")


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"sum": self.a(x) + self.b(y), "a": self.a(x)}


class RandomOutput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.9), nn.Flatten()
    )


def make(name: str) -> Runtime:
    runtime: Runtime = _plugins.load("runtimes", name)()
    return runtime


@pytest.mark.parametrize("name", NAMES)
class TestEveryRuntime:
    def test_has_a_name_and_a_version(self, name: str) -> None:
        assert make(name).name == name
        assert make(name).version[0].isdigit()

    def test_computes_what_the_eager_model_computes(self, name: str) -> None:
        model, inputs = small(), (torch.randn(2, 3, 8, 8),)
        runnable = make(name).load(model, inputs)
        (output,), (expected,) = runnable.outputs(), eager_outputs(model, inputs)
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)

    def test_takes_several_inputs_and_outputs(self, name: str) -> None:
        inputs = (torch.randn(2, 4), torch.randn(2, 5))
        assert len(make(name).load(TwoInputs(), inputs).outputs()) == 2

    def test_leaves_the_model_as_it_was(self, name: str) -> None:
        model = small()
        model[1].eval()
        state = copy.deepcopy(model.state_dict())
        make(name).load(model, (torch.randn(2, 3, 8, 8),)).block(3)
        assert [m.training for m in model.modules()] == [True, True, False, True, True, True]
        for key, tensor in model.state_dict().items():
            assert torch.equal(tensor, state[key])

    def test_times_a_block(self, name: str) -> None:
        runnable = make(name).load(small(), (torch.randn(1, 3, 8, 8),))
        assert 0 < runnable.block(3) < 60

    def test_notices_other_results_than_the_eager_ones(self, name: str) -> None:
        with pytest.raises(DeviceError, match="disagrees with the eager model"):
            make(name).load(RandomOutput(), (torch.randn(1, 8),))
        make(name).load(RandomOutput(), (torch.randn(1, 8),), check=False)

    def test_refuses_what_it_does_not_have(self, name: str) -> None:
        factory = _plugins.load("runtimes", name)
        with pytest.raises(DeviceError, match=r"precision 'fp7'.*fp32"):
            factory(precision="fp7")
        with pytest.raises(DeviceError, match=r"accelerator 'abacus'.*cpu"):
            factory(accelerator="abacus")

    def test_onnx_files_run_or_are_refused(self, name: str, tmp_path: Path) -> None:
        runtime = make(name)
        inputs = (torch.randn(1, 3, 8, 8),)
        path = export_onnx(small(), inputs, tmp_path / "m.onnx")
        if runtime.reads_onnx:
            assert runtime.load(path, inputs).outputs()[0].shape == (1, 144)
            with pytest.raises(DeviceError, match="takes 1 inputs"):
                runtime.load(path, inputs * 2)
            (tmp_path / "bad.onnx").write_bytes(b"nonsense")
            with pytest.raises(DeviceError, match=r"cannot load bad.onnx"):
                runtime.load(tmp_path / "bad.onnx", inputs)
            with pytest.raises(DeviceError, match="there is no ONNX file"):
                runtime.load(tmp_path / "none.onnx", inputs)
            with pytest.raises(DeviceError, match="cannot run"):
                runtime.load(path, (torch.randn(1, 4, 8, 8),))
        else:
            with pytest.raises(DeviceError, match="not files"):
                runtime.load(path, inputs)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_torch_runs_in_half_precision(precision: str) -> None:
    runtime = _plugins.load("runtimes", "torch")(precision=precision)
    (output,) = runtime.load(small(), (torch.randn(1, 3, 8, 8),)).outputs()
    assert output.dtype in (torch.float16, torch.bfloat16)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is present")
def test_cuda_without_a_gpu_is_an_error() -> None:
    with pytest.raises(DeviceError, match="no CUDA GPU"):
        _plugins.load("runtimes", "torch")(accelerator="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cuda_is_timed_by_events() -> None:
    runtime = _plugins.load("runtimes", "torch")(accelerator="cuda")
    runnable = runtime.load(small(), (torch.randn(1, 3, 8, 8),))
    assert runnable.clock == "cuda events"
    assert runnable.block(3) > 0
