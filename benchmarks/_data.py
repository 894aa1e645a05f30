"""Where the published measurements are."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(
    os.environ.get("HWNAS_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
