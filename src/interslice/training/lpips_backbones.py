"""The networks whose features LPIPS compares, up to the last layer that it looks at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backbone:
    """A torchvision classifier's convolutions: position in `features`, output channels, kernel side and stride."""

    scope: str
    hub_name: str
    positions: tuple[int, ...]
    channels: tuple[int, ...]
    sides: tuple[int, ...]
    strides: tuple[int, ...]
    paddings: tuple[int, ...]
    pooled: tuple[int, ...]  # indices of the convolutions that maximum pooling comes before,
    pool: int  # of windows of so many pixels a side
    layers: tuple[int, ...]  # indices of the convolutions whose output is compared

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """torchvision's tensor names and their shapes, (out, in, row, column) and (out,), in digest order."""
        layers = zip(self.positions, (3, *self.channels), self.channels, self.sides, strict=False)
        return {
            f"features.{position}.{kind}": shape
            for position, inputs, outputs, side in layers
            for kind, shape in (("weight", (outputs, inputs, side, side)), ("bias", (outputs,)))
        }


BACKBONES = {
    "vgg": Backbone(
        "VGG16_0",
        "vgg16-397923af.pth",
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
        (3,) * 13,
        strides=(1,) * 13,
        paddings=(1,) * 13,
        pooled=(2, 4, 7, 10),
        pool=2,
        layers=(1, 3, 6, 9, 12),
    ),
    "alex": Backbone(
        "AlexNet_0",
        "alexnet-owt-7be5be79.pth",
        (0, 3, 6, 8, 10),
        (64, 192, 384, 256, 256),
        (11, 5, 3, 3, 3),
        strides=(4, 1, 1, 1, 1),
        paddings=(2, 2, 1, 1, 1),
        pooled=(1, 2),
        pool=3,
        layers=(0, 1, 2, 3, 4),
    ),
}
