"""`python -m hwnas`."""

from __future__ import annotations

from hwnas.cli import main

main()
