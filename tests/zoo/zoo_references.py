"""Known networks as archs of the zoo's spaces, with figures that others published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hwnas import zoo
from hwnas.space import Arch, ModelSpace, SearchSpace
from hwnas.zoo._shufflenetv2 import ShuffleNetV2


@dataclass(frozen=True)
class Reference:
    """A published network.

    Attributes:
        macs, params: (figure, relative tolerance). Zero where the source gives every digit, else
            the rounding of the source, and a little more where papers count MACs their own way.
    """

    space: Callable[[], SearchSpace]
    arch: Callable[[], Arch]
    inputs: tuple[int, ...]
    macs: tuple[float, float] | None
    params: tuple[float, float]
    source: str


def mobilenetv3_large() -> Arch:
    """Howard et al., ICCV 2019, table 1."""
    blocks = (
        [(3, 4.0), (3, 3.0)],
        [(5, 3.0), (5, 3.0), (5, 3.0)],
        [(3, 6.0), (3, 2.5), (3, 2.3), (3, 2.3)],
        [(3, 6.0), (3, 6.0)],
        [(5, 6.0), (5, 6.0), (5, 6.0)],
    )
    arch: Arch = {"stem.kernel": 3, "stem.separable_kernel": 3}
    arch |= {f"{part}.width": 1.0 for part in ("stem", "head", "features")}
    for stage, settings in enumerate(blocks, start=1):
        arch |= {f"stage{stage}.width": 1.0, f"stage{stage}.depth": len(settings)}
        for block, (kernel, expand) in enumerate(settings, start=1):
            name = f"stage{stage}.block{block}"
            arch |= {f"{name}.kernel": kernel, f"{name}.expand": expand}
            if stage in (2, 4, 5):
                arch[f"{name}.squeeze"] = "se"
    return arch


def mobilenetv2_1() -> Arch:
    """Sandler et al., CVPR 2018, table 2: 2, 3, 4, 3, 3, 1 blocks of expansion 6, kernel 3."""
    return {
        f"stage{stage}.block{block}.op": "k3_e6" if block <= used else "skip"
        for stage, (used, there) in enumerate(
            zip((2, 3, 4, 3, 3, 1), (4, 4, 4, 4, 4, 1), strict=True), start=1
        )
        for block in range(1, there + 1)
    }


def proxyless_mobile() -> Arch:
    """Cai et al., ICLR 2019, figure 4 (mobile)."""
    stages = (
        ["k5_e3", "k3_e3"],
        ["k7_e3", "k3_e3", "k5_e3", "k5_e3"],
        ["k7_e6", "k5_e3", "k5_e3", "k5_e3"],
        ["k5_e6", "k5_e3", "k5_e3", "k5_e3"],
        ["k7_e6", "k7_e6", "k7_e3", "k7_e3"],
        ["k7_e6"],
    )
    arch: Arch = {f"stage{i}.depth": len(ops) for i, ops in enumerate(stages[:5], start=1)}
    for stage, ops in enumerate(stages, start=1):
        arch |= {f"stage{stage}.block{i}.op": op for i, op in enumerate(ops, start=1)}
    return arch


def fbnet_c() -> Arch:
    """Wu et al., CVPR 2019, figure 4 (FBNet-C)."""
    layers = [
        *["k3_e1"],
        *["k3_e6", "skip", "k3_e1", "k3_e1"],
        *["k5_e6", "k5_e3", "k5_e6", "k3_e6"],
        *["k5_e6", "k5_e3", "k5_e6", "k5_e6"],
        *["k5_e6", "k5_e6", "k5_e6", "k5_e3"],
        *["k5_e6", "k5_e6", "k5_e6", "k5_e6"],
        *["k3_e6"],
    ]
    return {f"layer{i}": op for i, op in enumerate(layers, start=1)}


def nb201(text: str) -> Callable[[], Arch]:
    return partial(zoo.read_nasbench201, text)


def shufflenetv2_1() -> SearchSpace:
    """ShuffleNetV2 1x: Ma et al., ECCV 2018, table 5."""
    stages = ((116, 4), (232, 8), (464, 4))
    return ModelSpace(ShuffleNetV2, (3, 224, 224), 1000, stages, stem=24, pooled=True)


def darts_v2() -> Arch:
    """Liu et al., ICLR 2019, figures 4 and 5 (second order), on CIFAR-10."""
    cells = {
        "normal": (
            *(("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
            *(("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)),
        ),
        "reduce": (
            *(("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1)),
            *(("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)),
        ),
    }
    arch: Arch = {}
    for cell, slots in cells.items():
        for i, (op, source) in enumerate(slots):
            node, k = 2 + i // 2, i % 2
            arch |= {f"{cell}/op_{node}_{k}": op, f"{cell}/input_{node}_{k}": source}
    return arch


def vision_transformer(width: int, heads: list[int], expand: list[float]) -> Arch:
    arch: Arch = {"width": width, "depth": len(heads)}
    for i, (h, e) in enumerate(zip(heads, expand, strict=True), start=1):
        arch |= {f"block{i}.heads": h, f"block{i}.expand": e}
    return arch


HAT_RASPBERRY_PI = """
encoder-embed-dim-subtransformer: 512
decoder-embed-dim-subtransformer: 512

encoder-ffn-embed-dim-all-subtransformer: [3072, 3072, 3072, 3072, 3072, 3072]
decoder-ffn-embed-dim-all-subtransformer: [2048, 2048, 3072, 3072, 2048]

encoder-layer-num-subtransformer: 6
decoder-layer-num-subtransformer: 5

encoder-self-attention-heads-all-subtransformer: [8, 4, 8, 8, 8, 8]
decoder-self-attention-heads-all-subtransformer: [8, 8, 8, 4, 8]
decoder-ende-attention-heads-all-subtransformer: [4, 8, 8, 8, 8]

# -1: the last encoder layer; 1: the last two; 2: the last three
decoder-arbitrary-ende-attn-all-subtransformer: [-1, 1, 1, 1, -1]
"""
"""The configuration of HAT's 6.9 s network for WMT'14 English-German on a Raspberry Pi."""

IMAGE = (1, 3, 224, 224)
CIFAR = (1, 3, 32, 32)

ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
ALL_3X3 += "|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
ALL_SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+"
ALL_SKIP += "|skip_connect~0|skip_connect~1|skip_connect~2|"
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"

REFERENCES: dict[str, Reference] = {
    "mobilenetv2-1.0": Reference(
        zoo.mobilenetv2,
        mobilenetv2_1,
        IMAGE,
        (300.774e6, 1e-5),
        (3_504_872, 0),
        "torchvision mobilenet_v2 (3,504,872 parameters, 0.301 GMACs); paper: 300 M, 3.4 M",
    ),
    "mobilenetv3-large": Reference(
        zoo.mobilenetv3,
        mobilenetv3_large,
        IMAGE,
        (219e6, 0.012),
        (5_483_032, 0),
        "torchvision mobilenet_v3_large (5,483,032 parameters, 0.217 GMACs); paper: 219 M, 5.4 M",
    ),
    "proxyless-mobile": Reference(
        zoo.proxylessnas,
        proxyless_mobile,
        IMAGE,
        (320e6, 0.01),
        (4.1e6, 0.0125),
        "ProxylessNAS repository's table: 320 M MACs, 4.1 M parameters",
    ),
    "shufflenetv2-1.0": Reference(
        shufflenetv2_1,
        lambda: {
            f"stage{s}.block{b}.op": "k3"
            for s, n in enumerate((4, 8, 4), start=1)
            for b in range(1, n + 1)
        },
        IMAGE,
        (146e6, 0.01),
        (2_278_604, 0),
        "torchvision shufflenet_v2_x1_0 (2,278,604 parameters); paper, table 5: 146 M",
    ),
    "fbnet-c": Reference(
        zoo.fbnet,
        fbnet_c,
        IMAGE,
        (375e6, 0.03),
        (5.57e6, 0.001),
        "paper, table 3: 375 M; timm fbnetc_100: 5.57 M parameters (paper: 5.5 M)",
    ),
    "ofa-largest": Reference(
        zoo.ofa_mobilenetv3,
        lambda: zoo.read_ofa({"ks": [7] * 20, "e": [6] * 20, "d": [4] * 5}),
        IMAGE,
        None,
        (7.66e6, 1e-3),
        "Once-for-All repository: the full network of width 1.0 has 7.66 M parameters",
    ),
    "darts-v2-cifar10": Reference(
        partial(zoo.darts, channels=36, cells=20),
        darts_v2,
        CIFAR,
        None,
        (3_349_342, 0),
        "DARTS repository, evaluation of DARTS (second order): param size = 3.349342MB",
    ),
    "darts-v2-imagenet": Reference(
        partial(zoo.darts, IMAGE[1:], 1000, channels=48, cells=14),
        darts_v2,
        IMAGE,
        None,
        (4.7e6, 0.01),
        "paper, table 3: 4.7 M parameters",
    ),
    "deit-tiny": Reference(
        partial(zoo.autoformer, relative=False),
        lambda: vision_transformer(192, [3] * 12, [4.0] * 12),
        IMAGE,
        (1.3e9, 0.04),
        (5_717_416, 0),
        "DeiT repository: deit_tiny_patch16_224, 5,717,416 parameters, 1.3 G",
    ),
    "autoformer-small": Reference(
        partial(zoo.autoformer, size="small"),
        lambda: vision_transformer(
            384,
            [6, 6, 5, 7, 5, 5, 5, 6, 6, 7, 7, 6, 7],
            [3.0, 3.5, 3.0, 3.5, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.5, 4.0],
        ),
        IMAGE,
        (5.1e9, 0.015),
        (22.9e6, 0.0025),
        "paper, table 4: 22.9 M parameters, 5.1 G; the arch is that of the authors' release",
    ),
    "hat-raspberry-pi": Reference(
        partial(zoo.hat, vocabulary=0),
        partial(zoo.read_hat, HAT_RASPBERRY_PI),
        (),
        None,
        (48e6, 0.01),
        "paper, table 2: 48 M parameters without the embeddings",
    ),
    "nasbench201-largest": Reference(
        zoo.nasbench201,
        nb201(ALL_3X3),
        CIFAR,
        (220.12e6, 2.5e-5),
        (1.531e6, 4e-4),
        "NAS-Bench-201 benchmark: FLOP=220.12 M, Params=1.531 MB",
    ),
    "nasbench201-smallest": Reference(
        zoo.nasbench201,
        nb201(ALL_SKIP),
        CIFAR,
        (7.78e6, 7e-4),
        (0.073e6, 7e-3),
        "NAS-Bench-201 benchmark: FLOP=7.78 M, Params=0.073 MB",
    ),
    "nasbench201-resnet": Reference(
        zoo.nasbench201,
        nb201(RESNET),
        CIFAR,
        (78.56e6, 7e-5),
        (0.559e6, 1e-3),
        "NAS-Bench-201 benchmark: FLOP=78.56 M, Params=0.559 MB",
    ),
}
