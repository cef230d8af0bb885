"""Supervised: an adversarial network that restores and segments at once, of the SegSRGAN type.

C.-H. Pham et al., "Simultaneous super-resolution and segmentation using a generative adversarial network: application to
neonatal brain MRI", ISBI 2019; Q. Delannoy et al. 2020. Trained as a Wasserstein GAN with gradient
penalty (Gulrajani et al. 2017).
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interslice.common.errors import InputError
from interslice.data.masks import foreground_mask, tissue_classes
from interslice.methods.parts.networks import SLOPE
from interslice.methods.parts.supervised import Supervised

CHARBONNIER = 1e-3  # sqrt(error^2 + this^2)
GREY = 1  # of the three tissue classes of a T1 head, dark, grey and white
SHRINKING = 4  # two convolutions of the generator have stride 2
PATCHES_AT_ONCE = 8  # bounds the memory of inference


def convolution(before: int, after: int, side: int, stride: int = 1) -> list[nn.Module]:
    """Reflected edges, convolution without bias, instance normalisation, ReLU."""
    return [
        nn.ReflectionPad3d(side // 2),
        nn.Conv3d(before, after, side, stride, bias=False),
        nn.InstanceNorm3d(after, affine=True),
        nn.ReLU(inplace=True),
    ]


class ResidualBlock(nn.Module):
    """x + (conv, norm, ReLU, conv, norm)(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolution(channels, channels, 3), *convolution(channels, channels, 3)[:-1]
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.body(features)


class Generator(nn.Module):
    """(batch, depth, H, W) to (batch, outputs, depth, H, W), sides multiples of 4.

    Channel 0 is the input less what the network finds, channel 1, where there is one, the probability of the class. The last
    layer starts at zero, so an untrained network returns its input.
    """

    def __init__(self, channels: int, blocks: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *convolution(1, channels, 7),
            *convolution(channels, 2 * channels, 3, stride=2),
            *convolution(2 * channels, 4 * channels, 3, stride=2),
            *(ResidualBlock(4 * channels) for _ in range(blocks)),
            nn.Upsample(scale_factor=2),
            *convolution(4 * channels, 2 * channels, 3),
            nn.Upsample(scale_factor=2),
            *convolution(2 * channels, channels, 3),
            nn.ReflectionPad3d(3),
            nn.Conv3d(channels, outputs, 7, bias=False),
        )
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]

    def forward(self, volumes: Tensor) -> Tensor:
        found = self.layers(volumes[:, None])
        return torch.cat([volumes[:, None] - found[:, :1], torch.sigmoid(found[:, 1:])], dim=1)


def build_critic(inputs: int, channels: int, layers: int) -> nn.Sequential:
    """(batch, inputs, depth, H, W) to (batch, 1, ...): `layers` halvings, each doubling the channels, then one channel."""
    sizes = [inputs, *(channels * 2**layer for layer in range(layers))]
    stack: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        stack += [nn.Conv3d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*stack, nn.Conv3d(sizes[-1], 1, 2, bias=False))


class SegSRGAN(Supervised):
    """Generator 1,483,664 and critic 11,150,304 parameters as published.

    Instance normalisation makes a result depend on what else is in the patch, so a volume is restored in patches of the
    size that was trained with.
    """

    betas = (0.5, 0.999)

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        network, training = settings["network"], settings["training"]
        smallest = 2 ** (network["critic"]["layers"] + 1)
        for key in ("depth", "crop"):
            if training[key] % SHRINKING or training[key] < smallest:
                raise InputError(
                    f"training.{key}: found {training[key]}, allowed are multiples of {SHRINKING} from {smallest} "
                    f"for a critic of {network['critic']['layers']} layers"
                )
        self.segments = network["segmentation"] != "none"
        outputs = 2 if self.segments else 1
        self.generator = Generator(network["channels"], network["blocks"], outputs)
        self.critic = build_critic(outputs, **network["critic"])
        self.network = nn.ModuleDict({"generator": self.generator, "critic": self.critic})

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Two optimisers: each loss reaches its own group only."""
        return {"generator": list(self.generator.parameters()), "critic": list(self.critic.parameters())}

    def compiled(self) -> list[nn.Module]:
        """Without the critic: the penalty takes the gradient of a gradient, which compiled code has not."""
        return [self.generator]

    def labels(self, references: Sequence[np.ndarray]) -> list[np.ndarray] | None:
        """Grey matter by multi-Otsu (scikit-image) within the foreground, bool of the references' shapes."""
        return (
            [np.stack([grey_matter(frame) for frame in one]) for one in references] if self.segments else None
        )

    def losses(self, windows: Tensor, alphas: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Of the inputs and targets of `draw_pairs`. The generator's loss has a gradient at every `critic_steps`-th step only.

        Generator: Charbonnier loss of restored image and class, less the critic's value. Critic: its value of restored
        patches less that of real ones, and the gradient penalty.
        """
        adversarial = self.settings["adversarial"]
        real = alphas if self.segments else alphas[:, None]
        due = (self.step + 1) % adversarial["critic_steps"] == 0
        with torch.set_grad_enabled(due):
            fake = self.generator(windows)
            terms = {
                "charbonnier": torch.sqrt((fake - real) ** 2 + CHARBONNIER**2).mean(),
                "adversarial": -adversarial["weight"] * self.critic(fake).mean(),
            }
        fake = fake.detach()
        distance = self.critic(fake).mean() - self.critic(real).mean()
        penalty = adversarial["penalty"] * self.gradient_penalty(fake, real)
        losses = {"generator": terms["charbonnier"] + terms["adversarial"], "critic": distance + penalty}
        return losses, terms | {"critic": distance, "penalty": penalty}

    def gradient_penalty(self, fake: Tensor, real: Tensor) -> Tensor:
        """Mean of (|gradient of the critic| - 1)^2 at random places between restored and real patches, in float32."""
        share = torch.rand(len(real), 1, 1, 1, 1, device=real.device)
        with torch.autocast(real.device.type, enabled=False):
            between = torch.lerp(fake.float(), real, share).requires_grad_()
            values = self.critic(between).flatten(1).mean(dim=1)
            (slope,) = torch.autograd.grad(values.sum(), between, create_graph=True)
        return ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()

    def restore(self, fine: np.ndarray) -> np.ndarray:
        """Overlapping patches, each weighted by the distance to its faces."""
        training = self.settings["training"]
        sides = (training["depth"], training["crop"], training["crop"])
        padding = [(0, max(0, side - length)) for side, length in zip(sides, fine.shape, strict=True)]
        padded = np.pad(fine, padding, mode="edge")
        ramps = np.meshgrid(
            *(np.minimum(np.arange(side) + 1, side - np.arange(side)) for side in sides), indexing="ij"
        )
        weight = np.prod(ramps, axis=0).astype(np.float32)
        total, weights = np.zeros_like(padded), np.zeros_like(padded)
        axes = (starts(length, side) for length, side in zip(padded.shape, sides, strict=True))
        places = [
            tuple(slice(start, start + side) for start, side in zip(corner, sides, strict=True))
            for corner in itertools.product(*axes)
        ]
        for first in range(0, len(places), PATCHES_AT_ONCE):
            some = places[first : first + PATCHES_AT_ONCE]
            patches = torch.from_numpy(np.stack([padded[place] for place in some])).to(self.device)
            for place, patch in zip(some, self.generator(patches)[:, 0].float().cpu().numpy(), strict=True):
                total[place] += weight * patch
                weights[place] += weight
        return (total / weights)[tuple(slice(length) for length in fine.shape)]


def starts(length: int, side: int) -> list[int]:
    """Where patches of a side begin along an axis that they cover, each half over the one before."""
    return sorted({*range(0, length - side, side // 2), length - side})


def grey_matter(frame: np.ndarray) -> np.ndarray:
    """The middle one of three tissue classes of a volume (slices, rows, columns); InputError where there are not three."""
    mask = foreground_mask(frame)
    try:
        return mask & (tissue_classes(frame, mask) == GREY)
    except ValueError as error:
        raise InputError(
            "network.segmentation: found a training volume with fewer than 3 values, tissue classes need more; allowed is none"
        ) from error


CLASSES = {"segsrgan": SegSRGAN}
