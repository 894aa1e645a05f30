"""HELP: a latency network meta-learnt over devices, adapted to a new one by a few samples."""

from __future__ import annotations

from hwnas.predict._help.predictor import HELP, MAML, MetaSgd
from hwnas.predict._help.training import MetaProgress, MetaSchedule

__all__ = ["HELP", "MAML", "MetaProgress", "MetaSchedule", "MetaSgd"]
