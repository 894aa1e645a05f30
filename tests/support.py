"""What tests of several packages share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HWNAS = str(Path(sys.executable).parent / "hwnas")
"""The command, as it is installed beside this Python."""


def data_path(name: str) -> Path:
    """A file of the measured data, or a skip that names it."""
    path = Path(os.environ.get("HWNAS_TEST_DATA", ROOT.parent / "shared" / "data")) / name
    if not path.exists():
        pytest.skip(f"{path} is not there (set HWNAS_TEST_DATA)")
    return path
