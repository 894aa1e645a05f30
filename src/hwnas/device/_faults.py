"""What an exception out of a runtime means for the model: the kind of its fault."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from hwnas.errors import DeviceError, HwnasError, ModelFault

# What the libraries say, lower case. The first kind that matches counts.
_SIGNS = (
    (
        "memory",
        r"out of ?memory|can't allocate memory|cannot allocate memory|not enough memory"
        r"|failed to allocate|bad_alloc|bad allocation|memoryallocationfailed|error code 33\b"
        r"|error: 0x21\b",
    ),
    (
        "dynamic shape",
        r"data.?dependent|guardondatadependent|unbacked|symint|symbolic shape|dynamic shape"
        r"|dynamicoutputshape|pendingunbackedsymbolnotfound",
    ),
    (
        "unsupported operator",
        r"no onnx function found|no decompositions|dispatch(ing)?error|not a registered function"
        r"|no op registered|not_implemented|could not find an implementation|no conversion rule"
        r"|not supported|unsupported|missing out variant|unrecognized operator|no opset import"
        r"|not registered|not in core aten",
    ),
)


@contextlib.contextmanager
def naming(what: str = "") -> Iterator[None]:
    """What is raised inside becomes a ModelFault: `what`, and the innermost reason.

    Whatever a library raises for a model is the model's fault here, so every exception counts.
    """
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:
        raise ModelFault(f"{what}{': ' * bool(what)}{_reason(error)}", _kind(error)) from error


def fault_of(error: Exception, where: str) -> ModelFault:
    """`error` as the fault of the model at `where`; one line, with the innermost reason."""
    if isinstance(error, ModelFault):
        return ModelFault(f"{where}: {error}", error.kind)
    return ModelFault(f"{where}: {_reason(error)}", _kind(error))


def _kind(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "memory"
    text = _chain(error).lower()
    return next((kind for kind, signs in _SIGNS if re.search(signs, text)), "failure")


def _reason(error: BaseException) -> str:
    """The innermost cause, on one line: exporters wrap it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, HwnasError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO begins with places in its own sources.
    told = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return f"{type(error).__name__}: {(told or lines or ['no message'])[0]}"


def _chain(error: BaseException | None) -> str:
    parts = []
    while error is not None:
        parts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__
    return "\n".join(parts)
