"""Self super-resolution with a deep network that trains on the input scan alone.

Zhao, Carass, Dewey and Prince 2018 (arXiv 1802.09431), the line that SMORE continues: a residual network of the EDSR type
(Lim et al. 2017, no normalisation, scaled residual blocks) learns from in-plane slices that were degraded along both
in-plane axes, and restores the planes that contain the slice axis.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interslice.methods.parts.networks import minimise
from interslice.methods.parts.self_supervised import Restore, SelfSupervised

IMAGES_AT_ONCE = 8  # bounds the memory of inference


class ResidualBlock(nn.Module):
    """x + scale (conv, ReLU, conv)(x)."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        return images + self.scale * self.body(images)


class EDSR(nn.Module):
    """The single-scale EDSR on an interpolated image (batch, 1, H, W), so without its upsampling layers.

    The last layer starts at zero: an untrained network returns its input.
    """

    def __init__(self, blocks: int, channels: int, residual_scale: float) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, channels, 3, padding=1)
        self.body = nn.Sequential(
            *(ResidualBlock(channels, residual_scale) for _ in range(blocks)),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.tail = nn.Conv2d(channels, 1, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.tail.weight)

    def forward(self, images: Tensor) -> Tensor:
        features = self.head(images - 0.5)  # EDSR subtracts the mean of its images: that of [0, 1] here
        return images + self.tail(features + self.body(features))


class SelfSuperResolution(SelfSupervised):
    """One network for all directions. Settings besides those of SelfSupervised: `network` and `training`."""

    def learn(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Restore]:
        """Minimise the mean squared error on random crops of the pairs; as many updates as configured."""
        training = self.settings["training"]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings["seed"])
            network = EDSR(**self.settings["network"])
        network.to(device).train()
        rng = np.random.default_rng(self.settings["seed"])

        def loss() -> Tensor:
            degraded, sharp = torch.from_numpy(draw_crops(pairs, training, rng)).to(device).split(1, dim=1)
            return nn.functional.mse_loss(network(degraded), sharp)

        minimise(network, training, loss)
        network.eval()

        @torch.no_grad()
        def restore(images: np.ndarray) -> np.ndarray:
            starts = range(0, len(images), IMAGES_AT_ONCE)
            batches = (np.ascontiguousarray(images[start : start + IMAGES_AT_ONCE, None]) for start in starts)
            restored = [network(torch.from_numpy(batch).to(device))[:, 0].cpu().numpy() for batch in batches]
            return np.concatenate(restored)

        return [restore] * len(pairs)


def draw_crops(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], training: Mapping[str, Any], rng: np.random.Generator
) -> np.ndarray:
    """(batch, 2, rows, columns) float32: random crops of degraded and sharp images, `crop` pixels or what there is."""
    rows = min(training["crop"], *(sharp.shape[1] for _, sharp in pairs))
    columns = min(training["crop"], *(sharp.shape[2] for _, sharp in pairs))
    crops = []
    for _ in range(training["batch"]):
        degraded, sharp = pairs[int(rng.integers(len(pairs)))]
        image = int(rng.integers(len(sharp)))
        row = rng.integers(sharp.shape[1] - rows + 1)
        column = rng.integers(sharp.shape[2] - columns + 1)
        place = (image, slice(row, row + rows), slice(column, column + columns))
        crop = np.stack([degraded[place], sharp[place]])
        # Turned end for end along either axis, an image is as good an example.
        crops.append(crop[:, :: rng.choice((-1, 1)), :: rng.choice((-1, 1))])
    return np.stack(crops).astype(np.float32)


CLASSES = {"self_sr": SelfSuperResolution}
