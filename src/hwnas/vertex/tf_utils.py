"""Vertex's module of the same name: what a trainer does first about TensorFlow's log."""

from __future__ import annotations

import logging
import os


def suppress_tf_logging() -> None:
    """Show TensorFlow's errors alone."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
