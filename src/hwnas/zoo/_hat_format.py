"""HAT's files: sub-transformer configurations in YAML, and the columns of its latency tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.errors import ArchError
from hwnas.space import Arch, Value
from hwnas.zoo._hat import ENCODER_LAYERS

_MEMORY = {-1: "last1", 1: "last2", 2: "last3"}
"""HAT's numbers for the encoder layers that a decoder layer attends to."""

_LISTS = {
    "encoder": {"ffn-embed-dim": "hidden", "self-attention-heads": "heads"},
    "decoder": {
        "ffn-embed-dim": "hidden",
        "self-attention-heads": "heads",
        "ende-attention-heads": "cross_heads",
        "arbitrary-ende-attn": "memory",
    },
}
"""HAT's names of the lists with an entry for each layer, and the last part of our labels."""


def read_hat(text: str) -> Arch:
    """The arch of a HAT configuration (`configs/*/subtransformer/*.yml`).

    Whether its numbers are among the choices of a space, `space.validate(arch)` tells.

    Raises:
        ArchError: the text is no YAML, a key is missing or unknown, or a list has another length
            than its number of layers.
    """
    config = _parsed(text)
    arch: Arch = {}
    for part, lists in _LISTS.items():
        depth = _taken(config, f"{part}-layer-num-subtransformer", int)
        arch[f"{part}.width"] = _taken(config, f"{part}-embed-dim-subtransformer", int)
        if part == "decoder":
            arch["decoder.depth"] = depth
        elif depth != ENCODER_LAYERS:
            raise ArchError(f"HAT: the encoder has {ENCODER_LAYERS} layers, not {depth}")
        for name, field in lists.items():
            key = f"{part}-{name}-all-subtransformer"
            values = _taken(config, key, list)
            if len(values) != depth or any(type(value) is not int for value in values):
                raise ArchError(f"HAT: '{key}' must be a list of {depth} whole numbers")
            for i, value in enumerate(values, start=1):
                if field == "memory" and value not in _MEMORY:
                    raise ArchError(f"HAT: '{key}' holds {value}, none of -1, 1, 2")
                arch[f"{part}.layer{i}.{field}"] = _MEMORY[value] if field == "memory" else value
    if config:
        raise ArchError(f"HAT: unknown key '{min(config)}'")
    return arch


def write_hat(arch: Mapping[str, Value]) -> str:
    """The HAT configuration of an arch, as YAML.

    Raises:
        ArchError: the arch is none of the space `hat`.
    """
    lines = []
    for part, lists in _LISTS.items():
        depth = _depth(arch, part)
        lines.append(f"{part}-embed-dim-subtransformer: {_number(arch, f'{part}.width')}")
        lines.append(f"{part}-layer-num-subtransformer: {depth}")
        for name, field in lists.items():
            values = [_number(arch, f"{part}.layer{i}.{field}") for i in range(1, depth + 1)]
            lines.append(f"{part}-{name}-all-subtransformer: {values}")
    return "\n".join(lines) + "\n"


def hat_features(arch: Mapping[str, Value]) -> dict[str, float]:
    """The ten columns by which HAT's latency tables describe an arch.

    Lists are averaged over the layers; a decoder layer counts the encoder layers it attends to
    (Wang et al., ACL 2020, section 3.3, and the released `*_all.csv`).

    Raises:
        ArchError: the arch is none of the space `hat`.
    """
    features: dict[str, float] = {}
    for part, lists in _LISTS.items():
        depth = _depth(arch, part)
        features[f"{part}_embed_dim"] = _number(arch, f"{part}.width")
        features[f"{part}_layer_num"] = depth
        for name, field in lists.items():
            values = [_number(arch, f"{part}.layer{i}.{field}") for i in range(1, depth + 1)]
            if field == "memory":
                values = [1 if value == -1 else value + 1 for value in values]
            features[f"{part}_{name.replace('-', '_')}_avg"] = sum(values) / depth
    return features


def _parsed(text: str) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ArchError(f"HAT: this is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise ArchError("HAT: a configuration is a YAML mapping of HAT's keys to numbers")
    return {str(key): value for key, value in config.items()}


def _taken(config: dict[str, Any], key: str, kind: type) -> Any:
    value = config.pop(key, None)
    if type(value) is not kind:
        raise ArchError(f"HAT: '{key}' must be {'a list' if kind is list else 'a whole number'}")
    return value


def _depth(arch: Mapping[str, Value], part: str) -> int:
    return ENCODER_LAYERS if part == "encoder" else _number(arch, "decoder.depth")


def _number(arch: Mapping[str, Value], label: str) -> int:
    """The value of a decision as HAT writes it."""
    value = arch.get(label)
    for code, memory in _MEMORY.items():
        if value == memory:
            return code
    if type(value) is not int:
        raise ArchError(f"HAT: the arch has {value!r} for '{label}'")
    return value
