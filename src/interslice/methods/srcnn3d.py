"""Supervised 3-D networks: SRCNN3D and SRReCNN3D.

C.-H. Pham, A. Ducournau, R. Fablet, F. Rousseau, "Brain MRI super-resolution using deep 3D convolutional networks", ISBI
2017; C.-H. Pham et al., "Multiscale brain MRI super-resolution using deep 3D convolutional networks", Computerized Medical
Imaging and Graphics 2019, 77:101647.
"""

import itertools
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from interslice.methods.parts.supervised import Supervised


class PlainNetwork(nn.Module):
    """9x9x9 convolution to 64 channels, 1x1x1 to 32, 5x5x5 to 1, added to the input; (batch, depth, H, W) to the same.

    Convolutions are not padded; here the whole volume is, by repeating its faces, so that its size comes back. The sum with
    the input is a departure from the 2017 paper and the later one's residual learning: the last layer starts at zero, so an
    untrained network returns its input as every other supervised network here does, where the paper's starts at random and
    spends its updates on learning to copy.
    """

    margin = 4 + 2

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(1, 64, 9), nn.ReLU(inplace=True), nn.Conv3d(64, 32, 1), nn.ReLU(inplace=True), nn.Conv3d(32, 1, 5)
        )  # fmt: skip
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]

    def forward(self, volumes: Tensor) -> Tensor:
        padded = nn.functional.pad(volumes[:, None], (self.margin,) * 6, mode="replicate")
        return volumes + self.layers(padded)[:, 0]


class ResidualNetwork(nn.Module):
    """`layers` 3x3x3 convolutions with ReLU between them, added to the input: (batch, depth, H, W) to the same.

    The last layer starts at zero, so an untrained network returns its input.
    """

    def __init__(self, layers: int, channels: int) -> None:
        super().__init__()
        sizes = [1, *[channels] * (layers - 1), 1]
        stack: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            convolution = nn.Conv3d(before, after, 3, padding=1)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            stack += [convolution, nn.ReLU(inplace=True)]
        nn.init.zeros_(stack[-2].weight)  # type: ignore[arg-type]
        self.layers = nn.Sequential(*stack[:-1])

    def forward(self, volumes: Tensor) -> Tensor:
        return volumes + self.layers(volumes[:, None])[:, 0]


class SRCNN3D(Supervised):
    """Three layers, 52,801 parameters."""

    margin = PlainNetwork.margin
    reach = PlainNetwork.margin

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.network = self.plain = PlainNetwork()

    def compiled(self) -> list[nn.Module]:
        return [self.plain.layers]

    def restore_patch(self, windows: Tensor) -> Tensor:
        """Convolutions without padding, as in the paper."""
        inside = slice(self.margin, -self.margin)
        return windows[:, inside, inside, inside] + self.plain.layers(windows[:, None])[:, 0]


class SRReCNN3D(Supervised):
    """10 layers of 64 channels: 888,769 parameters; 20: 1,995,329."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.network = ResidualNetwork(**settings["network"])
        self.reach = settings["network"]["layers"]


CLASSES = {"srcnn3d": SRCNN3D, "srrecnn3d": SRReCNN3D}
