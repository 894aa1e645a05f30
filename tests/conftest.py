"""Fixtures for tests that use hwnas as a user does."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from support import HWNAS, ROOT

# The same examples each time, and no failure because a host is busy.
settings.register_profile("hwnas", deadline=None, derandomize=True)
settings.load_profile("hwnas")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder that holds the module `nets` with spaces and trainers."""
    shutil.copy(ROOT / "tests" / "jobs" / "nets.py", tmp_path)
    return tmp_path


@pytest.fixture
def hwnas(folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the `hwnas` command in `folder`; by default it must end with exit code 0."""

    def run(*arguments: str, check: bool = True, **options: object) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [HWNAS, *arguments],
            cwd=folder,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            **options,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run
