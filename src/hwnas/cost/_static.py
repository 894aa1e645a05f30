"""Static costs of a built model: exact, from its structure and one forward without arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hwnas.cost._counting import Counting
from hwnas.errors import CostError

if TYPE_CHECKING:
    from torch import nn

    from hwnas.cost._tracing.inputs import Inputs
    from hwnas.cost._tracing.leaves import LeafCost

SUMS = ("macs", "flops", "params", "weight_bytes")
"""The static costs that are computed unless others are asked for."""

STATIC_METRICS = (*SUMS, "peak_activation_bytes")
"""The metrics that `static_costs` computes."""


def static_costs(
    model: nn.Module,
    inputs: Inputs = (),
    metrics: Iterable[str] | None = None,
    *,
    counting: Counting = Counting(),
    leaf_costs: Mapping[type[nn.Module], LeafCost] | None = None,
) -> dict[str, float]:
    """Costs of one forward of `model`, in evaluation mode, on the whole batch given.

    - `macs`: multiply-accumulates of convolutions, matrix products and attention. Equal to half of
      what `torch.utils.flop_counter.FlopCounterMode` counts on the graph that is run, with fused
      attention and recurrent kernels taken apart. An operator of your own counts once it has a
      formula: `torch.utils.flop_counter.register_flop_formula`.
    - `flops`: 2 x `macs`, or what else `counting` says.
    - `params`: elements of the parameters, each one once however often it is used.
    - `weight_bytes`: bytes of the same parameters. Buffers are in neither.
    - `peak_activation_bytes`: the largest number of bytes of activations that are held at once:
      the inputs, and what each operator puts out for as long as Python still holds it, as eager
      PyTorch runs the forward without gradients. A module's arguments live until it returns, a
      local variable until it is bound anew. Views and results in place share the storage of their
      tensor. Parameters, buffers, and what a kernel takes and gives back within itself (layout
      conversions, fused attention's scratch) do not count.

    The forward runs on a copy whose tensors have shapes but no data (the `meta` device, or fake
    tensors where `meta` does not do), so it costs no memory and `model` is not touched. While it
    runs, process-wide switches of PyTorch (attention fast path, oneDNN) are set and put back, so
    call this from one thread at a time.

    Args:
        inputs: a tensor, or the shape of one, or a sequence of tensors and shapes for a forward
            with several arguments; batch dimension included. The last of the sequence may be a
            dict of keyword arguments: tensors, shapes (tuples and lists of whole numbers) or any
            other values, which are passed as they are. A shape stands for a tensor of the
            parameters' type. `params` and `weight_bytes` need no input.
        metrics: which of `STATIC_METRICS`; by default all but `peak_activation_bytes`.
        counting: what `flops` counts.
        leaf_costs: classes of modules that cost what a function says, subclasses included. The
            function is given the module, the positional and the keyword arguments of its forward
            and what the forward gave, and returns `macs` and `flops` of this call, all that is
            inside included: `{"macs": 4096}`. Left out, `macs` are 0 and `flops` as many as
            `macs` make. The forward runs nonetheless, for the shapes. The other metrics are
            not changed.

    Returns:
        The metrics asked for, in that order; whole numbers.

    Raises:
        CostError: an unknown metric, a model whose parameters have no shape yet, a forward that
            fails (the message names the module), or an operator without a fake kernel.
    """
    wanted = SUMS if metrics is None else tuple(metrics)
    if unknown := [name for name in wanted if name not in STATIC_METRICS]:
        raise CostError(
            f"'{unknown[0]}' is not a static cost; the static costs are {', '.join(STATIC_METRICS)}"
        )
    from hwnas.cost._tracing.trace import count_operations, unique_parameters

    parameters = unique_parameters(model)
    costs: dict[str, float] = {
        "params": sum(p.numel() for p in parameters),
        "weight_bytes": sum(p.numel() * p.element_size() for p in parameters),
    }
    if "macs" in wanted or "flops" in wanted:
        counts = count_operations(model, inputs, counting, leaf_costs)
        costs["macs"] = counts.macs
        costs["flops"] = counting.per_mac * counts.macs + counts.extra
    if "peak_activation_bytes" in wanted:
        from hwnas.cost._tracing.liveness import peak_bytes

        costs["peak_activation_bytes"] = peak_bytes(model, inputs)
    return {name: costs[name] for name in wanted}
