"""Supervised single-frame U-Net (Masutani, Bahrami and Hsiao, Radiology 2020): 2-D, on the upsampled input.

The slices above and below are further channels of its input. Built from this package's own layers.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from interslice.methods.parts.networks import convolutions, initialise, normalisation, upsampling
from interslice.methods.parts.supervised import Supervised


class UNet(nn.Module):
    """(batch, depth, H, W) to the same: every slice plus a correction seen from it and `context` slices on either side.

    The last layer starts at zero, so an untrained network returns its input.
    """

    def __init__(self, depth: int, scales: int, layers: int, context: int, normalise: str) -> None:
        super().__init__()
        self.context = context
        widths = [depth * 2**scale for scale in range(scales + 1)]
        inputs = [2 * context + 1, *widths]

        def block(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(*convolutions(before, after, layers), normalisation(normalise, after))

        self.down = nn.ModuleList(block(before, after) for before, after in zip(inputs, widths, strict=False))
        self.up = nn.ModuleList(upsampling("transposed", width) for width in widths[1:])
        self.merge = nn.ModuleList(block(above + below, above) for above, below in itertools.pairwise(widths))
        self.last = nn.Conv2d(depth, 1, 1)
        initialise(self)
        nn.init.zeros_(self.last.weight)

    def forward(self, volumes: Tensor) -> Tensor:
        batch, depth, height, width = volumes.shape
        padded = nn.functional.pad(
            volumes[:, None], (0, 0, 0, 0, self.context, self.context), mode="replicate"
        )
        windows = padded[:, 0].unfold(1, 2 * self.context + 1, 1)  # batch, depth, H, W, slices
        features = windows.permute(0, 1, 4, 2, 3).reshape(batch * depth, -1, height, width)
        skipped = []
        for scale, block in enumerate(self.down):
            features = block(features if scale == 0 else nn.functional.max_pool2d(features, 2))
            skipped.append(features)
        for scale in reversed(range(len(self.up))):
            features = self.merge[scale](torch.cat([skipped[scale], self.up[scale](features)], dim=1))
        return volumes + self.last(features).reshape(batch, depth, height, width)


class SupervisedUNet(Supervised):
    """Slices are padded to a multiple of 2^scales."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        network = settings["network"]
        sizes = {key: network[key] for key in ("depth", "scales", "layers", "context")}
        self.network = UNet(**sizes, normalise=network["normalisation"])
        self.reach = network["context"]

    @property
    def stride(self) -> int:
        return 2 ** int(self.settings["network"]["scales"])


CLASSES = {"unet": SupervisedUNet}
