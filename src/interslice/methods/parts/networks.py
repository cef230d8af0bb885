"""Encoder and decoder of the paper's autoencoder (Sander, de Vos and Isgum 2022), as in their released code.

Departures from the released network, both for a reason: the first 1x1 convolution is not padded (the padding makes sides
come back two pixels off), and the initialisation is Kaiming's (He et al. 2015, fan-in, LeakyReLU), because the released
one divides by the wrong fan and draws batch-norm gains around zero.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

SLOPE = 0.01  # of LeakyReLU


def normalisation(kind: str, channels: int) -> nn.Module:
    """A normalisation layer by its configured name: batch, instance, group or none."""
    layers = {
        "batch": lambda: nn.BatchNorm2d(channels),
        "instance": lambda: nn.InstanceNorm2d(channels, affine=True),
        "group": lambda: nn.GroupNorm(8, channels),
        "none": nn.Identity,
    }
    return layers[kind]()


def upsampling(kind: str, channels: int) -> nn.Module:
    """Twofold upsampling by its configured name: nearest, bilinear, bicubic or transposed."""
    if kind == "transposed":
        return nn.ConvTranspose2d(channels, channels, kernel_size=2, stride=2)
    return nn.Upsample(scale_factor=2, mode=kind, align_corners=None if kind == "nearest" else False)


def convolutions(before: int, after: int, layers: int) -> list[nn.Module]:
    """`layers` times 3x3 convolution and LeakyReLU."""
    channels = [before] + [after] * layers
    stack: list[nn.Module] = []
    for first, second in itertools.pairwise(channels):
        stack += [nn.Conv2d(first, second, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
    return stack


def initialise(module: nn.Module) -> None:
    """Kaiming (fan-in) weights and zero biases for every convolution."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def build_encoder(network: Mapping[str, Any], outputs: int | None = None) -> nn.Sequential:
    """(batch, 1, H, W) to (batch, latent, H / 2^s, W / 2^s); linear at the end. `outputs` replaces the latent channels."""
    depth, scales = network["depth"], network["scales"]
    layers: list[nn.Module] = [nn.Conv2d(1, depth, 1)]
    channels = depth
    for scale in range(scales):
        layers += convolutions(channels, depth * 2**scale, network["layers"])
        channels = depth * 2**scale
        layers += [normalisation(network["normalisation"], channels), nn.AvgPool2d(2)]
    layers += [
        *convolutions(channels, depth * 2**scales, 1),
        nn.Conv2d(depth * 2**scales, outputs or network["latent"], 3, padding=1),
    ]
    encoder = nn.Sequential(*layers)
    initialise(encoder)
    return encoder


def build_decoder(
    network: Mapping[str, Any],
    inputs: int | None = None,
    activation: nn.Module | None = None,
    outputs: int = 1,
) -> nn.Sequential:
    """(batch, latent, h, w) to (batch, outputs, h 2^s, w 2^s) in (0, 1). `inputs` replaces the latent channels."""
    depth = network["depth"]
    layers: list[nn.Module] = []
    channels = inputs or network["latent"]
    for scale in reversed(range(network["scales"])):
        layers += convolutions(channels, depth * 2**scale, network["layers"])
        channels = depth * 2**scale
        layers += [
            normalisation(network["normalisation"], channels),
            upsampling(network["upsampling"], channels),
        ]
    layers += [
        *convolutions(channels, depth, 1),
        nn.Conv2d(depth, outputs, 3, padding=1),
        activation or nn.Sigmoid(),
    ]
    decoder = nn.Sequential(*layers)
    initialise(decoder)
    return decoder


def minimise(network: nn.Module, training: Mapping[str, Any], loss: Callable[[], torch.Tensor]) -> None:
    """As many updates as configured, by Adam at a rate that falls along a cosine; loss: of the next batch."""
    optimiser = torch.optim.Adam(network.parameters(), lr=training["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, training["steps"])
    with torch.enable_grad():
        for _ in range(training["steps"]):
            optimiser.zero_grad(set_to_none=True)
            loss().backward()
            optimiser.step()
            schedule.step()


def pad_to_multiple(images: torch.Tensor, multiple: int) -> torch.Tensor:
    """Replicate the last rows and columns of (..., H, W) until both are multiples of `multiple`."""
    height, width = images.shape[-2:]
    return nn.functional.pad(images, (0, -width % multiple, 0, -height % multiple), mode="replicate")
