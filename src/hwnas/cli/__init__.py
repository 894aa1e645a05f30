"""The `hwnas` command: one module per sub-command."""

from __future__ import annotations

from hwnas.cli._app import main

__all__ = ["main"]
