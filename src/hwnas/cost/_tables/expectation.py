"""The mean of a cost under independent choice probabilities, with its gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.cost._tables.assembly import Tables
from hwnas.cost._tables.domain import Domain, TooLargeError
from hwnas.cost._tables.varying import spread
from hwnas.errors import CostError


@dataclass(frozen=True)
class Products:
    """A mean as a sum of products of probabilities: `values[i] * prod(q[index[:, i]])`.

    q is the probabilities of all choices in one row, decision by decision, and a last 1.
    """

    index: NDArray[np.intp]
    values: NDArray[np.float64]
    starts: tuple[int, ...]


def products(domain: Domain, tables: Tables) -> Products:
    """The cells that count, each with the choices that lead to it.

    Raises:
        CostError: conditions make a table too large.
    """
    starts = tuple(np.cumsum([0, *domain.choices]).tolist())
    one = starts[-1]
    indices, values = [], []
    for axes, table in tables.items():
        # The conditions of all decisions must be inside, so that its choices alone make a cell.
        closed = domain.closure(axes)
        try:
            wide = np.broadcast_to(spread(np.nan_to_num(table), axes, closed), domain.shape(closed))
        except TooLargeError as error:
            raise CostError(f"no exact expectation: {error}") from error
        mask = domain.possible(closed) & (wide != 0)
        cells = np.argwhere(mask)
        index = np.full((len(cells), len(closed)), one, np.intp)
        for column, axis in enumerate(closed):
            taken = cells[:, column] < domain.choices[axis]
            index[taken, column] = starts[axis] + cells[taken, column]
        indices.append(index)
        values.append(wide[mask])
    width = max((index.shape[1] for index in indices), default=0)
    padded = [np.pad(i, ((0, 0), (0, width - i.shape[1])), constant_values=one) for i in indices]
    joint = np.concatenate(padded) if padded else np.zeros((0, 0), np.intp)
    # Equal products are added; columns are sorted so that equal sets look alike.
    joint.sort(axis=1)
    unique, place = np.unique(joint, axis=0, return_inverse=True)
    every = np.concatenate([np.zeros(0), *values])
    sums = np.bincount(place.reshape(-1), every, len(unique)).astype(np.float64)
    return Products(np.ascontiguousarray(unique.T), sums, starts)


class _Mean(torch.autograd.Function):
    """Of all rows at once: a node of autograd for each decision would take longer than the sum."""

    @staticmethod
    def forward(ctx: Any, parts: Products, *rows: Tensor) -> Tensor:
        joint = torch.cat(rows) if rows else torch.empty(0)
        row = np.ones(len(joint) + 1)
        row[:-1] = joint.detach().cpu().numpy()
        factors = row[parts.index]
        width, count = factors.shape
        before, after = np.ones((width + 1, count)), np.ones((width + 1, count))
        for i in range(width):
            np.multiply(before[i], factors[i], out=before[i + 1])
            np.multiply(after[width - i], factors[width - 1 - i], out=after[width - 1 - i])
        if any(ctx.needs_input_grad):
            weights = before[:-1] * after[1:] * parts.values
            gradient = np.bincount(parts.index.ravel(), weights.ravel(), len(row))[:-1]
            ctx.save_for_backward(torch.from_numpy(gradient).to(joint.device))
            ctx.sizes, ctx.dtype = np.diff(parts.starts).tolist(), joint.dtype
        return torch.tensor(before[width] @ parts.values, dtype=torch.float64, device=joint.device)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return None, *(outer * gradient).to(ctx.dtype).split(ctx.sizes)


def expectation(
    domain: Domain, parts: Products, probabilities: Mapping[str, Tensor | Sequence[float]]
) -> Tensor:
    """See `CostTable.expectation`."""
    for label in probabilities:
        if label not in domain.column:
            raise CostError(f"probabilities are given for '{label}', which is no decision")
    rows: list[Tensor] = []
    for decision, count in zip(domain.decisions, domain.choices, strict=True):
        given = probabilities.get(decision.label)
        if given is None:
            row = torch.full((count,), 1 / count, dtype=torch.float64)
        else:
            row = given if isinstance(given, Tensor) else torch.tensor(given, dtype=torch.float64)
        if row.shape != (count,):
            raise CostError(
                f"'{decision.label}' has {count} choices; its probabilities have shape "
                f"{tuple(row.shape)}"
            )
        rows.append(row)
    device = next((row.device for row in rows if not row.is_cpu), None)
    if device is not None:
        rows = [row.to(device) for row in rows]
    result: Tensor = _Mean.apply(parts, *rows)  # type: ignore[no-untyped-call]
    return result
