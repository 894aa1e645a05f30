"""The names that users import."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import hwnas

PACKAGES = (
    "budget",
    "cost",
    "device",
    "jobs",
    "report",
    "space",
    "strategy",
    "tasks",
    "vertex",
    "zoo",
)


@pytest.mark.parametrize("name", ["", *PACKAGES])
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    """Each name of each `__all__`, with a docstring where it is a class or function."""
    package = importlib.import_module(f"hwnas.{name}" if name else "hwnas")
    assert package.__doc__
    for public in package.__all__:
        value = getattr(package, public)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert value.__doc__, f"{package.__name__}.{public}"


@pytest.mark.parametrize("heavy", ["torch", "optuna", "onnx", "onnxruntime", "sklearn", "numpy"])
def test_import_is_lean(heavy: str) -> None:
    """`import hwnas` loads nothing large; names load what they need when they are used."""
    program = f"import sys, hwnas; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_package_is_reached_as_an_attribute() -> None:
    program = "import hwnas; hwnas.space.nn.Linear; hwnas.search; hwnas.errors.HwnasError"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'seach'"):
        _ = hwnas.seach


@pytest.mark.parametrize("family", ["runtimes", "spaces", "strategies", "tasks"])
def test_every_entry_point_loads(family: str) -> None:
    points = [p for p in entry_points(group=f"hwnas.{family}") if p.value.startswith("hwnas")]
    assert points
    for point in points:
        assert callable(point.load())
