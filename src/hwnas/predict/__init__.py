"""Latency of any arch on a device that measured a few: learnt from devices that measured many."""

from __future__ import annotations

from hwnas.predict._adapted import AdaptedPredictor, Sample, load_adapted
from hwnas.predict._base import AdditivePredictor, DevicePredictor, LatencyPredictor, Prediction
from hwnas.predict._cost import PredictedLatency
from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors import load_descriptor
from hwnas.predict._descriptors.encodings import Graph, encode_graph, encode_ofa, encode_vector
from hwnas.predict._held_out import Chosen, held_out
from hwnas.predict._help import HELP, MAML, MetaProgress, MetaSchedule, MetaSgd
from hwnas.predict._import import (
    DeviceReport,
    Imported,
    ScoredArchs,
    add_sources,
    load_sources,
    read_scored,
    read_sources,
    save_sources,
)
from hwnas.predict._known import DEFAULT, known_predictor
from hwnas.predict._metabma import MetaBMA
from hwnas.predict._ofa_accuracy import OFA_RESOLUTIONS, OfaAccuracy
from hwnas.predict._priors import PriorCard, load_prior, prior_card, prior_spaces
from hwnas.predict._registry import load_predictor, make_predictor
from hwnas.predict._scores import Scores, expected_error, score
from hwnas.predict._sources import RESOLUTION, Provenance, SourceTable
from hwnas.predict._stored import PredictorState

__all__ = [
    "DEFAULT",
    "HELP",
    "MAML",
    "OFA_RESOLUTIONS",
    "RESOLUTION",
    "AdaptedPredictor",
    "AdditivePredictor",
    "Chosen",
    "Descriptor",
    "DevicePredictor",
    "DeviceReport",
    "Graph",
    "Imported",
    "LatencyPredictor",
    "MetaBMA",
    "MetaProgress",
    "MetaSchedule",
    "MetaSgd",
    "OfaAccuracy",
    "PredictedLatency",
    "Prediction",
    "PredictorState",
    "PriorCard",
    "Provenance",
    "Sample",
    "ScoredArchs",
    "Scores",
    "SourceTable",
    "add_sources",
    "encode_graph",
    "encode_ofa",
    "encode_vector",
    "expected_error",
    "held_out",
    "known_predictor",
    "load_adapted",
    "load_descriptor",
    "load_predictor",
    "load_prior",
    "load_sources",
    "make_predictor",
    "prior_card",
    "prior_spaces",
    "read_scored",
    "read_sources",
    "save_sources",
    "score",
]
