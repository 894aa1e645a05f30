"""What archs of a space are by numbers; a space with published latencies has numbers of its own."""

from __future__ import annotations

from hwnas.predict._descriptors.load import load_descriptor

__all__ = ["load_descriptor"]
