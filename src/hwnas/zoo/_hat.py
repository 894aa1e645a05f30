"""HAT: encoder-decoder transformers for translation that choose the shape of every layer."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnas.errors import SpaceError
from hwnas.space import Choice, LayerChoice, ModelSpace, Repeat
from hwnas.space import nn as snn

QKV = 512
"""Features of all queries, keys or values together, whatever the number of heads."""

WIDTHS = (640, 512)
ENCODER_LAYERS = 6
DECODER_LAYERS = (6, 5, 4, 3, 2, 1)
SIZES = {"wmt": ((3072, 2048, 1024), (8, 4)), "iwslt": ((2048, 1024, 512), (4, 2))}
"""Hidden features and heads of the two published spaces."""

MEMORIES = {"last1": 1, "last2": 2, "last3": 3}
"""How many of the encoder's last layers a decoder layer attends to."""

State = tuple[Tensor, list[Tensor]]


class _Attention(nn.Module):
    def __init__(self, width: int, source: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.query = snn.Linear(width, QKV)
        self.key = snn.Linear(source, QKV)
        self.value = snn.Linear(source, QKV)
        self.project = snn.Linear(QKV, width)
        self.heads = heads
        self.causal = causal

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """(N, T, width) and (N, S, source) to (N, T, width)."""
        q, k, v = (  # (N, heads, T or S, QKV / heads)
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(x), self.key(memory), self.value(memory))
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: Tensor = self.project(y.transpose(1, 2).flatten(2))
        return out


class _FeedForward(nn.Sequential):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(snn.Linear(width, hidden), nn.ReLU(), snn.Linear(hidden, width))


class _EncoderLayer(nn.Module):
    """Attention and feed-forward, each followed by sum and norm."""

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.attention = _Attention(width, width, heads)
        self.norm1 = snn.LayerNorm(width)
        self.feed = _FeedForward(width, hidden)
        self.norm2 = snn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.attention(x, x))
        y: Tensor = self.norm2(x + self.feed(x))
        return y


class _Memory(nn.Module):
    """The outputs of the last `count` encoder layers, one behind the other; (N, count S, C)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, outputs: list[Tensor]) -> Tensor:
        return torch.cat(outputs[: -self.count - 1 : -1], 1)


class _DecoderLayer(nn.Module):
    def __init__(self, index: int, width: int, source: int, size: str) -> None:
        super().__init__()
        name = f"decoder.layer{index + 1}"
        hidden, heads = SIZES[size]
        memories = {key: partial(_Memory, count) for key, count in MEMORIES.items()}
        self.attention = _Attention(width, width, Choice(heads, label=f"{name}.heads"), True)
        self.norm1 = snn.LayerNorm(width)
        self.memory = LayerChoice(memories, label=f"{name}.memory")
        self.cross = _Attention(width, source, Choice(heads, label=f"{name}.cross_heads"))
        self.norm2 = snn.LayerNorm(width)
        self.feed = _FeedForward(width, Choice(hidden, label=f"{name}.hidden"))
        self.norm3 = snn.LayerNorm(width)

    def forward(self, state: State) -> State:
        x, outputs = state
        x = self.norm1(x + self.attention(x, x))
        x = self.norm2(x + self.cross(x, self.memory(outputs)))
        return self.norm3(x + self.feed(x)), outputs


class _Embedding(nn.Module):
    """Token vectors plus sinusoids of the position; the table serves as output layer too."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.table = snn.parameter(vocabulary, width, init=_embedding)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L) to (N, L, width)."""
        vectors = F.embedding(tokens, self.table)
        length, width = vectors.shape[1:]
        return vectors * math.sqrt(width) + _sinusoids(length, width, vectors)

    def scores(self, x: Tensor) -> Tensor:
        """(N, L, width) to (N, L, vocabulary)."""
        return F.linear(x, self.table)


class HatTransformer(nn.Module):
    """Six encoder layers, one to six decoder layers, vocabulary scores by the decoder's table.

    The languages have a table each. There is no padding mask: sequences of a batch are of one
    length, as where latency is measured.
    """

    def __init__(self, vocabulary: int, size: str) -> None:
        super().__init__()
        if size not in SIZES:
            raise SpaceError(f"HAT: the size '{size}' is none of {', '.join(SIZES)}")
        hidden, heads = SIZES[size]
        source = Choice(WIDTHS, label="encoder.width")
        width = Choice(WIDTHS, label="decoder.width")
        self.source = _Embedding(vocabulary, source)
        self.target = _Embedding(vocabulary, width)
        self.encoder = nn.ModuleList(
            _EncoderLayer(
                source,
                Choice(hidden, label=f"encoder.layer{i}.hidden"),
                Choice(heads, label=f"encoder.layer{i}.heads"),
            )
            for i in range(1, ENCODER_LAYERS + 1)
        )
        self.decoder = Repeat(
            lambda i: _DecoderLayer(i, width, source, size),
            Choice(DECODER_LAYERS, label="decoder.depth"),
        )

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Token numbers (N, S) and (N, T) to scores (N, T, vocabulary) of each next token."""
        x = self.source(source)
        outputs = []
        for layer in self.encoder:
            x = layer(x)
            outputs.append(x)
        y, _ = self.decoder((self.target(target), outputs))
        return self.target.scores(y)


def _embedding(table: Tensor) -> None:
    nn.init.normal_(table, std=table.shape[1] ** -0.5)


def _sinusoids(length: int, width: int, like: Tensor) -> Tensor:
    """(length, width): Vaswani et al., NeurIPS 2017, section 3.5; sines first, then cosines."""
    place = torch.arange(length, device=like.device, dtype=like.dtype)
    step = torch.arange(width // 2, device=like.device, dtype=like.dtype)
    angle = place[:, None] * torch.exp(step * (-math.log(10_000) / (width // 2 - 1)))
    return torch.cat((angle.sin(), angle.cos()), 1)


def hat(vocabulary: int = 32_768, size: str = "wmt") -> ModelSpace:
    """About 4 x 10^14 transformers of HAT (Wang et al., ACL 2020, section 3 and appendix).

    `encoder.width`, `decoder.width`, `decoder.depth`; for each layer `.hidden` (of the
    feed-forward part) and `.heads`, such as `encoder.layer1.heads`; for each decoder layer also
    `.cross_heads` (attention to the encoder) and `.memory`: whether that is the encoder's last
    layer (`last1`) or its last two or three one behind the other.

    Args:
        vocabulary: the number of tokens.
        size: the published choices, `wmt` (WMT'14, WMT'19) or `iwslt` (IWSLT'14).
    """
    return ModelSpace(HatTransformer, vocabulary, size)
