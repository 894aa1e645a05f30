"""Search spaces: what can vary in a network, and the contract that every space keeps."""

from __future__ import annotations

from hwnas.space import nn as nn
from hwnas.space._base import SearchSpace
from hwnas.space._cell import Cell, CellNetwork
from hwnas.space._choice import Choice
from hwnas.space._code_hash import code_hash
from hwnas.space._decision import Decision
from hwnas.space._expr import (
    Arch,
    Expr,
    Value,
    ceil,
    floor,
    logical_not,
    make_divisible,
    maximum,
    minimum,
    round_to,
)
from hwnas.space._function import FunctionSpace
from hwnas.space._input_choice import ChosenInputs, InputChoice
from hwnas.space._layer_choice import LayerChoice
from hwnas.space._model import ModelSpace
from hwnas.space._pyglove import PygloveSpace, from_pyglove
from hwnas.space._repeat import Repeat
from hwnas.space._run import scope
from hwnas.space._sized import RESOLUTION, SizedSpace

__all__ = [
    "RESOLUTION",
    "Arch",
    "Cell",
    "CellNetwork",
    "Choice",
    "ChosenInputs",
    "Decision",
    "Expr",
    "FunctionSpace",
    "InputChoice",
    "LayerChoice",
    "ModelSpace",
    "PygloveSpace",
    "Repeat",
    "SearchSpace",
    "SizedSpace",
    "Value",
    "ceil",
    "code_hash",
    "floor",
    "from_pyglove",
    "logical_not",
    "make_divisible",
    "maximum",
    "minimum",
    "round_to",
    "scope",
]
