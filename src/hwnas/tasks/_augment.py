"""Augmentation of whole batches on tensors, drawn from an explicit generator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augment:
    """Random changes of training images: shifts of up to `shift` pixels, left-right flips.

    The border is repeated where a shift uncovers it, so a shifted image has no foreign edge.
    """

    shift: int = 0
    flip: bool = False

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A changed copy of the batch `x` (n, C, H, W), each image on its own.

        `generator` is a CPU generator whatever the device of `x`, so that a seed means the same
        augmentation on every device.
        """
        n, channels, height, width = x.shape
        if self.flip:
            chosen = torch.rand(n, generator=generator).lt(0.5).to(x.device)
            x = torch.where(chosen[:, None, None, None], x.flip(3), x)
        if self.shift:
            reach = 2 * self.shift + 1
            top, left = torch.randint(reach, (2, n, 1), generator=generator).to(x.device)
            rows = top + torch.arange(height, device=x.device)  # (n, H) in the padded image
            columns = left + torch.arange(width, device=x.device)  # (n, W)
            image = torch.arange(n, device=x.device)[:, None, None, None]
            channel = torch.arange(channels, device=x.device)[:, None, None]
            padded = F.pad(x, (self.shift,) * 4, mode="replicate")
            x = padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
        return x
