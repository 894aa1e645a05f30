"""The accuracy that Once-for-All's published predictor tells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.errors import ArchError, PredictError
from hwnas.predict._descriptors.encodings import encode_ofa
from hwnas.predict._import.plain import read_plain
from hwnas.space import RESOLUTION, Arch

OFA_RESOLUTIONS = (160, 176, 192, 208, 224)
"""The image sizes that the predictor was trained with: the weights of the three smaller ones that
it has inputs for are as they were drawn, and what it says of them is noise."""

_ENCODED = tuple(range(112, 225, 16))

_SHAPES = {0: (400, 128), 2: (400, 400), 4: (400, 400), 6: (1, 400)}


class OfaAccuracy:
    """Top-1 accuracies (0 to 1) of archs of `ofa_mobilenetv3`, without training or images.

    The network of Once-for-All (Cai et al., ICLR 2020, section 3.3; released as
    `acc_predictor.pth`): three hidden layers of 400 on the one-hot encoding of the arch. It was
    trained on accuracies of subnets on 10,000 images that were held out of ImageNet's training
    images, so its numbers lie some 5 points above those of ImageNet's validation images.

    Args:
        path: the released file; nothing in it is unpickled.

    Raises:
        PredictError: it cannot be read, or holds other weights.
    """

    def __init__(self, path: Path | str) -> None:
        content = read_plain(Path(path))
        self._layers = []
        for number, shape in _SHAPES.items():
            for name, wanted in ((f"{number}.weight", shape), (f"{number}.bias", shape[:1])):
                tensor = content.get(name) if isinstance(content, dict) else None
                if not isinstance(tensor, torch.Tensor) or tensor.shape != wanted:
                    raise PredictError(
                        f"{path} is no accuracy predictor of Once-for-All: it has no '{name}' of "
                        f"shape {wanted}"
                    )
            weight, bias = content[f"{number}.weight"], content[f"{number}.bias"]
            self._layers.append((weight.double().numpy(), bias.double().numpy()))

    def __call__(self, archs: Sequence[Arch]) -> NDArray[np.float64]:
        """The accuracies of n archs, (n,); an arch without `resolution` is of 224 pixels.

        Raises:
            ArchError: one is no arch of the space, or its resolution is none of `OFA_RESOLUTIONS`.
        """
        for arch in archs:
            if arch.get(RESOLUTION, OFA_RESOLUTIONS[-1]) not in OFA_RESOLUTIONS:
                raise ArchError(
                    f"'{RESOLUTION}' is {arch[RESOLUTION]}; accuracies are known for "
                    f"{', '.join(map(str, OFA_RESOLUTIONS))}"
                )
        x = encode_ofa(archs, _ENCODED).astype(np.float64)
        for weight, bias in self._layers[:-1]:
            x = np.maximum(x @ weight.T + bias, 0.0)
        weight, bias = self._layers[-1]
        accuracies: NDArray[np.float64] = (x @ weight.T + bias)[:, 0]
        return accuracies
