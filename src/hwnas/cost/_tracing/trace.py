"""One forward without data: what it multiplies, and where it fails."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, UnsupportedOperatorException
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from hwnas.cost._counting import Counting
from hwnas.cost._tracing.inputs import Arguments, Inputs, arguments_of
from hwnas.cost._tracing.leaves import LeafCost, Leaves, whole
from hwnas.cost._tracing.operators import WHOLE, extra_operations
from hwnas.errors import CostError


@dataclass(frozen=True)
class Counts:
    """Multiply-accumulates, and the other operations that count."""

    macs: int
    extra: int


Watch: TypeAlias = Callable[[Sequence[Tensor], nn.Module], Sequence[Any]]


def unique_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters, each once; CostError if one has no shape before the first forward."""
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        if is_lazy(parameter):
            raise CostError(
                f"parameter '{name}' has no shape yet (a lazy module); run the model once first"
            )
    return list(parameters.values())


def count_operations(
    model: nn.Module,
    inputs: Inputs,
    counting: Counting,
    leaf_costs: Mapping[type[nn.Module], LeafCost] | None = None,
) -> Counts:
    """Run a copy of `model` without data, and count."""
    leaves = Leaves(leaf_costs, counting.per_mac)

    def watch(_: object, twin: nn.Module) -> tuple[FlopCounterMode, _LeafObserver]:
        flops = FlopCounterMode(display=False)
        observer = _LeafObserver(counting, flops, leaves)
        leaves.mark(twin, observer.counted)
        return flops, observer

    counts: Counts = observed(model, inputs, watch)[-1].counts
    return counts


def observed(
    model: nn.Module,
    inputs: Inputs,
    watch: Watch,
) -> Sequence[Any]:
    """Run a copy of `model` on meta tensors, or on fake ones if that fails, and watch.

    Args:
        watch: given the tensors of the inputs and the copy, the modes that are active during the
            forward; the last is an `Observer`.

    Returns:
        what `watch` has made for the run that succeeded.
    """
    unique_parameters(model)
    arguments = arguments_of(model, inputs)
    with plain_kernels():
        try:
            return _run(model, arguments, "meta", watch)
        except _ForwardError:
            pass  # a constant on the CPU, or a device asked for by name: fake tensors have both
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        with fake, _silent("torch._subclasses.fake_tensor"):  # what it logs is raised, too
            try:
                return _run(model, arguments, "cpu", watch)
            except _ForwardError as error:
                raise error.explained() from error.__cause__


def _run(
    model: nn.Module,
    arguments: Arguments,
    device: str,
    watch: Watch,
) -> Sequence[Any]:
    twin = _without_data(model, device).eval()
    path = _track(twin)
    given = arguments.each(lambda x: torch.empty_like(x, device=device))
    modes = watch(given.tensors, twin)
    # Under inference mode composite operators such as linear arrive whole, bias and all.
    with torch.inference_mode(), contextlib.ExitStack() as stack:
        for mode in modes:
            stack.enter_context(mode)
        try:
            twin(*given.args, **given.kwargs)
        except CostError:
            raise
        except Exception as error:
            raise _ForwardError(type(model).__name__, path, modes[-1].operator) from error
    return modes


class _ForwardError(Exception):
    def __init__(self, model: str, path: Sequence[str], operator: str) -> None:
        super().__init__(model)
        inner = path[-1] if path else ""
        self._where = f"module {inner} of {model}" if inner else model
        self._operator = operator

    def explained(self) -> CostError:
        cause = self.__cause__
        text = str(cause).strip().partition("\n")[0]
        if isinstance(cause, UnsupportedOperatorException) or "no fake impl" in text:
            return CostError(
                f"operator '{self._operator}' in {self._where} has no fake kernel, so costs cannot "
                f"be traced through it; give it one with torch.library.register_fake"
                f"('{self._operator}')"
            )
        return CostError(f"the forward fails in {self._where}: {type(cause).__name__}: {text}")


class Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what is no multiply-accumulate, and remembers the operator that runs."""

    supports_higher_order_operators = True

    def __init__(self, counting: Counting = Counting()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.extra = 0
        self.operator = ""
        self._counting = counting
        self._inside = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.observed(func, args, kwargs or {})

    def observed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operator, or those that it is made of, and count."""
        if not isinstance(func, torch._ops.OpOverload) or func is torch.ops.prim.device.default:
            return func(*args, **kwargs)
        result = self._decomposed(func, args, kwargs) if _composite(func) else NotImplemented
        if result is NotImplemented:
            self.operator = f"{func.namespace}::{func._overloadpacket.__name__}"
            result = func(*args, **kwargs)
            self.ran(func, args, kwargs, result)
        self.count_extra(func, args, kwargs, result)
        return result

    def _decomposed(self, func: Any, args: Any, kwargs: Any) -> Any:
        outer = self._inside
        self._inside = outer or func._overloadpacket in WHOLE
        try:
            with self:
                return func.decompose(*args, **kwargs)
        finally:
            self._inside = outer

    def count_extra(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Count what is no multiply-accumulate of one operator, unless it is part of another."""
        if not self._inside:
            operator = func._overloadpacket
            self.extra += extra_operations(self._counting, operator, args, kwargs, result)

    def ran(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """An operator that is not made of others has run; for those who count more."""


@cache
def _composite(func: Any) -> bool:
    """Whether an operator is made of others."""
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    made: bool = key in func.py_kernels or torch._C._dispatch_has_kernel_for_dispatch_key(
        func.name(), key
    )
    return made


class _LeafObserver(Observer):  # type: ignore[no-untyped-call]
    """Counts what the operators outside of leaves do, and what the leaves say."""

    def __init__(self, counting: Counting, flops: FlopCounterMode, leaves: Leaves) -> None:
        super().__init__(counting)
        self._flops = flops
        self._leaves = leaves
        self._said = 0  # Multiply-accumulates of leaves less those of the operators in them.

    @property
    def counts(self) -> Counts:
        """What was counted so far."""
        return Counts(self._flops.get_total_flops() // 2 + self._said, self.extra)

    def counted(
        self, cost: LeafCost, module: nn.Module, forward: Any, /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run a leaf: what its operators count is replaced by what its cost says."""
        before = self.counts
        output = forward(*args, **kwargs)
        amounts = self._leaves.amounts(cost, module, args, kwargs, output)
        macs, flops = (whole(amount, module) for amount in amounts)
        self._said += before.macs + macs - self.counts.macs
        self.extra = before.extra + flops - self._counting.per_mac * macs
        return output


def _without_data(model: nn.Module, device: str) -> nn.Module:
    """A copy of `model` with an empty tensor in every tensor's place.

    The weights are not copied on the way, and tensors that modules share stay shared.
    """
    memo: dict[int, Any] = {}
    for module in model.modules():
        held = (*module.parameters(recurse=False), *module.buffers(recurse=False))
        for value in (*held, *vars(module).values()):
            if isinstance(value, Tensor) and id(value) not in memo:
                tensor = torch.empty_like(value.detach(), device=device)
                if isinstance(value, nn.Parameter):
                    tensor = nn.Parameter(tensor, requires_grad=False)
                memo[id(value)] = tensor
    try:
        return copy.deepcopy(model, memo)
    except (TypeError, RuntimeError, AttributeError) as error:
        raise CostError(f"{type(model).__name__} cannot be copied: {error}") from error


def _track(model: nn.Module) -> list[str]:
    """Hook `model` (our own copy) so that the list returned names the modules being run."""
    path: list[str] = []

    def hook(module: nn.Module, name: str) -> None:
        def enter(module: nn.Module, inputs: object) -> None:
            path.append(name)

        def leave(module: nn.Module, inputs: object, output: object) -> None:
            path.pop()

        module.register_forward_pre_hook(enter, prepend=True)
        module.register_forward_hook(leave)

    for name, module in model.named_modules():
        hook(module, f"'{name}' ({type(module).__name__})" if name else "")
    return path


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Nothing below a critical error is logged under `name`."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def plain_kernels() -> Iterator[None]:
    """Have attention and recurrent layers run as matrix products, which are counted.

    The fused kernels (attention's fast path, scaled dot products, oneDNN's recurrent layers) are
    single operators that `torch.utils.flop_counter` has no formula for on the CPU.
    """
    attention, onednn = torch.backends.mha, cast("Any", torch.backends.mkldnn)
    before = attention.get_fastpath_enabled(), onednn.enabled
    try:
        attention.set_fastpath_enabled(False)
        onednn.enabled = False
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        attention.set_fastpath_enabled(before[0])
        onednn.enabled = before[1]
