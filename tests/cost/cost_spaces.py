"""Large spaces for the tests and benchmarks of costs."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from hwnas.space import Choice, Expr, LayerChoice, ModelSpace, Repeat, make_divisible
from hwnas.space import nn as snn

Int = int | Expr


class SqueezeExcite(nn.Module):
    def __init__(self, channels: Int) -> None:
        super().__init__()
        squeezed = make_divisible(channels * 0.25, 8)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = snn.Conv2d(channels, squeezed, 1)
        self.act = nn.ReLU()
        self.expand = snn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.act(self.reduce(self.pool(x)))))


class InvertedResidual(nn.Module):
    def __init__(self, c_in: Int, c_out: Int, stride: int, skip: bool, name: str) -> None:
        super().__init__()
        expand = Choice([2, 3, 4, 6], label=f"{name}.expand")
        kernel = Choice([3, 5, 7], label=f"{name}.kernel")
        hidden = make_divisible(c_in * expand, 8)
        self.expand = nn.Sequential(
            snn.Conv2d(c_in, hidden, 1, bias=False), snn.BatchNorm2d(hidden), nn.Hardswish()
        )
        self.depthwise = nn.Sequential(
            snn.Conv2d(
                hidden, hidden, kernel, stride, padding=kernel // 2, groups=hidden, bias=False
            ),
            snn.BatchNorm2d(hidden),
            nn.Hardswish(),
        )
        self.se = LayerChoice(
            {"none": nn.Identity, "se": lambda: SqueezeExcite(hidden)}, label=f"{name}.se"
        )
        self.project = nn.Sequential(
            snn.Conv2d(hidden, c_out, 1, bias=False), snn.BatchNorm2d(c_out)
        )
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.se(self.depthwise(self.expand(x))))
        return x + y if self.skip else y


class MobileNetV3Like(nn.Module):
    """Stages that choose width and depth, blocks that choose expansion, kernel, squeeze-excite."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        stem = 16
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.Hardswish()
        )
        plan = [(24, 2, 4), (40, 2, 4), (80, 2, 4), (112, 1, 4), (160, 2, 4)]
        stages = []
        before: Int = stem
        for i, (base, stride, deepest) in enumerate(plan):
            widths = sorted({make_divisible(base * m, 8) for m in (0.75, 1.0, 1.25)})
            width = Choice(widths, label=f"s{i}.width")
            depth = Choice(range(2, deepest + 1), label=f"s{i}.depth")
            stages.append(self.stage(before, width, stride, depth, f"s{i}"))
            before = width
        self.stages = nn.Sequential(*stages)
        self.last = nn.Sequential(snn.Conv2d(before, 960, 1, bias=False), nn.BatchNorm2d(960))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(960, 1280), nn.Hardswish(), nn.Linear(1280, classes)
        )

    def stage(self, c_in: Int, c_out: Int, stride: int, depth: Expr, name: str) -> nn.Module:
        return Repeat(
            lambda i: InvertedResidual(
                c_out if i else c_in, c_out, 1 if i else stride, i > 0, f"{name}.b{i}"
            ),
            depth,
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.last(self.stages(self.stem(x)))).flatten(1)
        return self.classifier(x)


def mobilenetv3_like() -> ModelSpace:
    """70 decisions, about 10^38 archs."""
    return ModelSpace(MobileNetV3Like)


def _mobile(c_in: int, c_out: int, stride: int, expand: int, kernel: int) -> nn.Module:
    hidden = c_in * expand
    return nn.Sequential(
        nn.Conv2d(c_in, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU6(),
        nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU6(),
        nn.Conv2d(hidden, c_out, 1, bias=False),
        nn.BatchNorm2d(c_out),
    )


class Proxyless(nn.Module):
    """21 blocks, each one of six operators or, where the shape stays, none."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32))
        blocks: list[nn.Module] = [_mobile(32, 16, 1, 1, 3)]
        plan = [(24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1)]
        before = 16
        for stage, (width, count, stride) in enumerate(plan):
            for i in range(count):
                step = stride if i == 0 else 1
                blocks.append(self.block(before, width, step, f"s{stage}.b{i}", i > 0))
                before = width
        self.blocks = nn.ModuleList(blocks)
        self.residual = [i > 0 and getattr(b, "residual", False) for i, b in enumerate(blocks)]
        self.last = nn.Conv2d(320, 1280, 1, bias=False)
        self.classifier = nn.Linear(1280, classes)

    def block(self, c_in: int, c_out: int, stride: int, label: str, skip: bool) -> nn.Module:
        candidates = {
            f"k{k}e{e}": lambda k=k, e=e: _mobile(c_in, c_out, stride, e, k)
            for k in (3, 5, 7)
            for e in (3, 6)
        }
        if skip:
            candidates["none"] = nn.Identity
        return LayerChoice(candidates, label=label)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            y = block(x)
            x = x + y if y.shape == x.shape else y
        return self.classifier(self.last(x).mean((2, 3)))


def proxyless_like() -> ModelSpace:
    """21 decisions, about 10^17 archs."""
    return ModelSpace(Proxyless)


class Around(nn.Module):
    """A layer that chooses the width and the size of what a module gets, then the module."""

    def __init__(self, case: Any) -> None:
        super().__init__()
        width = Choice([8, 16], label="width")
        step = Choice([1, 2], label="step")
        self.step = step if case.kind == "tokens" else 1
        if case.kind in ("tokens", "vector"):
            self.first = snn.Linear(3, width)
        else:
            kinds = {"sequence": snn.Conv1d, "image": snn.Conv2d, "volume": snn.Conv3d}
            self.first = kinds[case.kind](3, width, 1, stride=step)
        self.then = case.make(snn, width)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            x = x[:, :: self.step]
        return self.then(self.first(x))


def around(case: Any) -> tuple[ModelSpace, tuple[int, ...]]:
    """A space of up to four archs with a case of `cost_modules` in it, and its input's shape."""
    return ModelSpace(Around, case), case.shape(3, 16)
