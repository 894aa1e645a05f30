"""The reference archs of HELP's published weights: its hardware embedding is their latencies."""

from __future__ import annotations

from hwnas.space import Arch, SearchSpace
from hwnas.zoo import read_fbnet, read_nasbench201, read_ofa

_NASBENCH201 = """
|avg_pool_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|
|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|
|skip_connect~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|skip_connect~1|none~2|
|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|
|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|nor_conv_1x1~1|nor_conv_1x1~2|
|skip_connect~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|
|nor_conv_3x3~0|+|avg_pool_3x3~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|
|skip_connect~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|
|avg_pool_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|
|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|
"""

_FBNET = """
1866803437874325730137 5485168530480245066005 7275468066512407560332 8161627168752018032254
1707434661105677676312 2245725722123146363201 4455311042242050562525 8844681803128858228148
0767336174377084856851 1240730564570143233306
"""
"""A digit for each layer, as `read_fbnet` has them."""

_OFA = """
77557733775335333533 36366433466334433333 43342 196
73335333573337533533 43636633363363336333 32232 172
75333333773355337773 44334433633336333643 22223 204
37573353335375377553 43363343664636664446 43444 200
57337733733377737733 46334633433364434633 22232 136
77573733377333773577 64366633646366434663 42344 224
55733333733573333333 63443333334433333663 42423 132
73333757733333377737 36336434643363434336 24244 152
73333735555355355537 44336364444334646333 24344 152
33777777573335533733 33466643633333636633 44342 200
"""
"""Kernels, expansions, depths, resolution."""


def published_references(space: str | SearchSpace) -> tuple[Arch, ...]:
    """The ten archs, in order; none for a space without published weights."""
    if space == "nasbench201":
        return tuple(map(read_nasbench201, _NASBENCH201.split()))
    if space == "fbnet":
        return tuple(read_fbnet([int(digit) for digit in text]) for text in _FBNET.split())
    if space == "ofa_mobilenetv3":
        return tuple(map(_ofa, _OFA.strip().splitlines()))
    return ()


def _ofa(line: str) -> Arch:
    *lists, resolution = line.split()
    digits = ([int(digit) for digit in text] for text in lists)
    arch = read_ofa(dict(zip(("ks", "e", "d"), digits, strict=True)))
    return {**arch, "resolution": int(resolution)}
