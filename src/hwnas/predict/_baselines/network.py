"""The network of BRP-NAS, and its training on the latencies of one device."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hwnas.errors import PredictError


@dataclass(frozen=True)
class Training:
    """How a network is trained: AdamW, with the learning rate halved on plateaus.

    Layers, decay, dropout and patiences are those of the authors' configuration. Theirs has also
    600 hidden numbers, batches of one and a rate of 4e-4, which takes hours without a GPU.

    Attributes:
        layers, hidden: of the network.
        epochs: at most; it ends `patience` epochs after the last improvement.
        plateau: epochs without improvement until the learning rate is halved.
    """

    layers: int = 4
    hidden: int = 128
    epochs: int = 250
    batch: int = 32
    rate: float = 2e-3
    decay: float = 5e-4
    dropout: float = 2e-3
    plateau: int = 10
    patience: int = 35

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "epochs", "batch", "plateau", "patience"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise PredictError(f"brp-nas: {name} is {value!r}; it is a whole number above zero")
        if not (self.rate > 0 and self.decay >= 0 and 0 <= self.dropout < 1):
            raise PredictError("brp-nas: rate, decay or dropout is out of range")


class Network(nn.Module):
    """Graph convolutions (Kipf and Welling, ICLR 2017) with layer norm, read at the last node.

    Without edges it is a plain network of vectors, which are graphs of one node.

    Args:
        adjacency: (nodes, nodes), row i is what node i takes of each node; None for vectors.
    """

    adjacency: Tensor | None

    def __init__(self, features: int, training: Training, adjacency: Tensor | None) -> None:
        super().__init__()
        widths = [features] + [training.hidden] * training.layers
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for width in widths[1:])
        self.dropout = nn.Dropout(training.dropout)
        self.head = nn.Linear(training.hidden, 1)
        self.register_buffer("adjacency", adjacency)

    def forward(self, x: Tensor) -> Tensor:
        """Nodes (n, nodes, features), or vectors (n, features), to (n,)."""
        for linear, norm in zip(self.linear, self.norm, strict=True):
            x = linear(x)
            if self.adjacency is not None:
                x = self.adjacency @ x
            x = self.dropout(torch.relu(norm(x)))
        if self.adjacency is not None:
            x = x[:, -1]
        scores: Tensor = self.head(x)
        return scores[:, 0]


def trained(
    x: Tensor, y: Tensor, adjacency: Tensor | None, training: Training, seed: int
) -> tuple[Network, float]:
    """A network that predicts y (n,) from x (n, ...), both on one device, and its error.

    A tenth of the rows is held out: the epoch that predicts these best is kept. The error is the
    root mean square of its errors there.
    """
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.manual_seed(seed)
        network = Network(x.shape[-1], training, adjacency).to(x.device)
        order = torch.randperm(len(x), device="cpu").to(x.device)
        held = max(1, len(x) // 10)
        return _fitted(
            network,
            (x[order[held:]], y[order[held:]]),
            (x[order[:held]], y[order[:held]]),
            training,
        )


def _fitted(
    network: Network,
    seen: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    training: Training,
) -> tuple[Network, float]:
    x, y = seen
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=training.rate, weight_decay=training.decay
    )
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=training.plateau
    )
    best, kept, since = float("inf"), network.state_dict(), 0
    for _ in range(training.epochs):
        network.train()
        for rows in torch.split(torch.randperm(len(x)).to(x.device), training.batch):
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.mse_loss(network(x[rows]), y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        with torch.no_grad():
            error = float((network(held[0]) - held[1]).square().mean().sqrt())
        scheduler.step(error)
        since += 1
        if error < best:
            best, since = error, 0
            kept = {name: value.clone() for name, value in network.state_dict().items()}
        if since >= training.patience:
            break
    network.load_state_dict(kept)
    return network.eval().requires_grad_(False), best
