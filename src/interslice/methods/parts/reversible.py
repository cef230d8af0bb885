"""Networks that see two directions alike: swapping the halves of the input swaps the halves of the output.

Counted from the other end, a stack of slices is the same stack. A group convolution over that one symmetry (Cohen and
Welling 2016, "Group equivariant convolutional networks", ICML) holds it exactly, with half the weights and no more
arithmetic than an ordinary network of as many channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SLOPE = 0.1  # of LeakyReLU


class ReversibleConv(nn.Conv2d):
    """3 x 3 convolution of (batch, 2 C, H, W) with weights [[A, B], [B, A]]: `inputs` and `outputs` are of one direction."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(2 * inputs, outputs, 3, padding=1)
        nn.init.kaiming_normal_(self.weight, a=SLOPE, nonlinearity="leaky_relu")
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, images: Tensor) -> Tensor:
        assert self.bias is not None
        own, other = self.weight.chunk(2, dim=1)
        weight = torch.cat([self.weight, torch.cat([other, own], dim=1)])
        return nn.functional.conv2d(images, weight, torch.cat([self.bias, self.bias]), padding=1)


class ReversibleUNet(nn.Module):
    """(batch, 2 inputs, H, W) to (batch, 2 outputs, H, W): one scale per entry of `channels`, two convolutions each way.

    The entries are channels of both directions together. No normalisation; the last layer starts at zero.
    """

    def __init__(self, inputs: int, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        halves = [count // 2 for count in channels]
        self.down = nn.ModuleList(
            block(before, after) for before, after in zip([inputs, *halves], halves, strict=False)
        )
        self.up = nn.ModuleList(
            block(below + level, level, 1) for below, level in zip(halves[1:], halves, strict=False)
        )
        self.last = ReversibleConv(halves[0], outputs)
        nn.init.zeros_(self.last.weight)

    def forward(self, images: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for level, layers in enumerate(self.down):
            images = layers(nn.functional.avg_pool2d(images, 2) if level else images)
            kept.append(images)
        for layers, beside in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            larger = nn.functional.interpolate(images, scale_factor=2, mode="nearest")
            images = layers(joined(larger, beside))
        result: Tensor = self.last(images)
        return result


def joined(first: Tensor, second: Tensor) -> Tensor:
    """Channels of both, the halves kept apart."""
    own, other = first.chunk(2, dim=1), second.chunk(2, dim=1)
    return torch.cat([own[0], other[0], own[1], other[1]], dim=1)


def block(before: int, after: int, layers: int = 2) -> nn.Sequential:
    """`layers` times convolution and LeakyReLU; channels of one direction."""
    stack: list[nn.Module] = []
    for inputs in [before, *[after] * (layers - 1)]:
        stack += [ReversibleConv(inputs, after), nn.LeakyReLU(SLOPE, inplace=True)]
    return nn.Sequential(*stack)
