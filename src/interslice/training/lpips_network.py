"""The network of LPIPS, without what the lpips package imports: torchvision, which brings torch's compiler.

Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from interslice.training.lpips_backbones import Backbone

# Of the channels of ImageNet in [-1, 1], which version 0.1 standardises first.
MEANS = (-0.030, -0.088, -0.188)
DEVIATIONS = (0.458, 0.448, 0.450)
TINY = 1e-10


class LPIPSNetwork(nn.Module):
    """Their Eq. 1: features of unit length, squared differences weighted by channel, mean over pixels, sum over layers.

    convolutions: "features.POSITION.weight" and ".bias" of the backbone; heads: "linLAYER.model.1.weight", (1, channels,
    1, 1), as the lpips package names them. Called with two (batch, 3, rows, columns) tensors in [-1, 1], or in [0, 1]
    with normalize=True; returns (batch, 1, 1, 1), 0 for equal images.
    """

    means: Tensor
    deviations: Tensor

    def __init__(
        self, backbone: Backbone, convolutions: Mapping[str, Tensor], heads: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        shapes = zip(
            (3, *backbone.channels),
            backbone.channels,
            backbone.sides,
            backbone.strides,
            backbone.paddings,
            strict=False,
        )
        with torch.device("meta"):  # nothing is drawn at random
            self.convolutions = nn.ModuleList(nn.Conv2d(*shape) for shape in shapes)
            widths = [backbone.channels[index] for index in backbone.layers]
            self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in widths)
        weights = {
            f"convolutions.{index}.{kind}": convolutions[f"features.{position}.{kind}"]
            for index, position in enumerate(backbone.positions)
            for kind in ("weight", "bias")
        } | {f"heads.{index}.weight": heads[f"lin{index}.model.1.weight"] for index in range(len(self.heads))}
        self.load_state_dict(weights, assign=True)
        self.register_buffer("means", torch.tensor(MEANS).reshape(1, 3, 1, 1))
        self.register_buffer("deviations", torch.tensor(DEVIATIONS).reshape(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def features(self, images: Tensor) -> list[Tensor]:
        """What the layers that are compared say of images (batch, 3, rows, columns): non-negative, coarser each."""
        found, values = [], (images - self.means) / self.deviations
        for index, convolution in enumerate(self.convolutions):
            if index in self.backbone.pooled:
                values = nn.functional.max_pool2d(values, self.backbone.pool, stride=2)
            values = nn.functional.relu(convolution(values))
            if index in self.backbone.layers:
                found.append(values)
        return found

    def maps(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Distances (batch, 1, rows, columns) at the pixels of each layer, of images in [-1, 1]."""
        return [
            head((_of_unit_length(one) - _of_unit_length(other)) ** 2)
            for head, one, other in zip(self.heads, self.features(first), self.features(second), strict=True)
        ]

    def forward(self, first: Tensor, second: Tensor, normalize: bool = False) -> Tensor:
        if normalize:
            first, second = 2 * first - 1, 2 * second - 1
        means = [found.mean((2, 3), keepdim=True) for found in self.maps(first, second)]
        return sum(means[1:], means[0])


def _of_unit_length(features: Tensor) -> Tensor:
    return features / (torch.sqrt(torch.sum(features**2, dim=1, keepdim=True)) + TINY)
