"""Latency tables of HAT (Wang et al., ACL 2020): transformers told by ten averages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from hwnas.errors import ArchError, PredictError
from hwnas.predict._import.cells import Cells
from hwnas.predict._import.raw import RawTable
from hwnas.predict._import.tables import Rows
from hwnas.space import Arch, Value

PARTS = {"encoder": "latency_mean_encoder", "decoder": "latency_mean_decoder"}
COLUMNS = {"encoder_embed_dim", "decoder_layer_num", *PARTS.values()}
"""What tells such a table from others."""

_HIDDEN, _HEADS = (3072, 2048, 1024, 512), (8, 4, 2)
_FIELDS: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {
    "encoder": {
        "hidden": ("ffn_embed_dim_avg", _HIDDEN),
        "heads": ("self_attention_heads_avg", _HEADS),
    },
    "decoder": {
        "hidden": ("ffn_embed_dim_avg", _HIDDEN),
        "heads": ("self_attention_heads_avg", _HEADS),
        "cross_heads": ("ende_attention_heads_avg", _HEADS),
        "memory": ("arbitrary_ende_attn_avg", (3, 2, 1)),
    },
}
"""For each last part of our labels HAT's column, and the values of the networks it measured."""


def read_hat_table(path: Path, cells: Cells, devices: Sequence[str]) -> RawTable:
    """One device, named as the file: the latency of encoder and decoder together.

    The table has averages over layers, so its networks are not known layer by layer. Each row
    stands for an arch with the same ten averages (`hwnas.zoo.hat_features`), as even as there is.

    Raises:
        PredictError: a column is missing, or the file is not of one of `devices`.
    """
    needed = {*PARTS.values(), *(f"{part}_embed_dim" for part in _FIELDS)}
    needed |= {f"{part}_layer_num" for part in _FIELDS}
    needed |= {f"{part}_{name}" for part, of in _FIELDS.items() for name, _ in of.values()}
    if missing := sorted(needed - set(cells.names)):
        raise PredictError(f"{path} is a table of HAT without the column '{missing[0]}'")
    device = path.stem.removesuffix("_all")
    rows = Rows(path, cells)
    for number, row in zip(cells.numbers, cells.rows, strict=True):
        place = rows.place(number, _arch, row)
        if place is not None:
            rows.put(device, number, place, _total(row))
    rows.table.notes.append(
        "the table tells averages over layers; each arch is one that has the same averages"
    )
    rows.keep(devices)
    return rows.table


def _total(row: dict[str, Any]) -> object:
    """Both parts together; what is no number is left to be told as such."""
    total = 0.0
    for name in PARTS.values():
        try:
            total += float(row[name])
        except (TypeError, ValueError):
            return row[name]
    return total


def _arch(row: dict[str, Any]) -> Arch:
    arch: Arch = {}
    for part, fields in _FIELDS.items():
        depth = _whole(row, f"{part}_layer_num")
        if not 1 <= depth <= 6 or (part == "encoder" and depth != 6):
            raise ArchError(f"{depth} layers of the {part}")
        arch[f"{part}.width"] = _whole(row, f"{part}_embed_dim")
        if part == "decoder":
            arch["decoder.depth"] = depth
        for field, (column, choices) in fields.items():
            name = f"{part}_{column}"
            values = _spread(round(_number(row, name) * depth, 6), depth, choices)
            if values is None:
                raise ArchError(f"'{name}' is no average of {depth} of {choices}")
            for layer, value in enumerate(values, start=1):
                told: Value = f"last{value}" if field == "memory" else value
                arch[f"{part}.layer{layer}.{field}"] = told
    return arch


@cache
def _spread(total: float, depth: int, choices: tuple[int, ...]) -> tuple[int, ...] | None:
    """`depth` of the choices that sum to `total`, as even as there is; the largest first."""
    sums = (some for some in combinations_with_replacement(choices, depth) if sum(some) == total)
    return min(sums, key=lambda some: sum(one * one for one in some), default=None)


def _number(row: dict[str, Any], name: str) -> float:
    try:
        return float(row[name])
    except (TypeError, ValueError) as error:
        raise ArchError(f"'{name}' is {str(row[name])[:20]!r}, no number") from error


def _whole(row: dict[str, Any], name: str) -> int:
    number = _number(row, name)
    if not number.is_integer():
        raise ArchError(f"'{name}' is {number:g}, no whole number")
    return int(number)
