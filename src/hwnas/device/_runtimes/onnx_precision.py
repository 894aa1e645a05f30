"""ONNX files in other precisions: quantised to 8 bits, or converted to fp16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas.device._base import Inputs
from hwnas.device._faults import naming
from hwnas.device._runtimes.quiet import quiet


def convert(path: Path, precision: str, inputs: Inputs, folder: Path) -> Path:
    """The fp32 file `path` in `precision`, as a file in `folder`; inputs and outputs stay fp32.

    `int8`: static quantisation by ONNX Runtime's tool (QDQ format, weights per channel in int8,
    activations in uint8 with the ranges that `inputs` give). `int8-dynamic`: weights in uint8,
    ranges of activations taken anew at each call. `fp16`: weights and arithmetic.

    Raises:
        ModelFault: the file cannot be converted.
    """
    import onnxruntime.quantization as quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    target = folder / f"{path.stem}-{precision}.onnx"
    with naming(f"{path.name} cannot be converted to {precision}"), quiet():
        if precision == "fp16":
            _halve(path, target)
            return target
        ready = folder / f"{path.stem}-ready.onnx"
        quant_pre_process(str(path), str(ready))
        if precision == "int8-dynamic":
            weights = quantization.QuantType.QUInt8  # the only one that ConvInteger takes
            quantization.quantize_dynamic(str(ready), str(target), weight_type=weights)
        else:
            quantization.quantize_static(
                str(ready),
                str(target),
                _reader(ready, inputs),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
    return target


def _halve(path: Path, target: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), target)


def _reader(path: Path, inputs: Inputs) -> Any:
    """The inputs as the one batch that the ranges of activations are taken from."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

    model = onnx.load(path, load_external_data=False)
    constant = {tensor.name for tensor in model.graph.initializer}
    names = [node.name for node in model.graph.input if node.name not in constant]
    batches = iter([dict(zip(names, [x.detach().cpu().numpy() for x in inputs], strict=True))])

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
        def get_next(self) -> dict[str, Any] | None:
            return next(batches, None)

    return Reader()
