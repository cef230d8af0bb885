"""The autoencoder with four endpoints in place of two: the future work that Sander, de Vos and Isgum 2022 name.

A slice between two others is decoded from the latents of the two on either side. Where one slice is moved against the next,
the further ones may tell where the anatomy really is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interslice.methods.cae import CAE
from interslice.methods.parts.autoencoder import cubic

# Adam moves a parameter by about its rate a step; so much faster, the gain gets from cubic to linear in some hundred steps.
GAIN_SPEED = 10.0


class CAEMulti(CAE):
    """z_j = (1 - g) l(z_i, z_(i+1)) + g c(z_(i-1), z_i, z_(i+1), z_(i+2)): linear and cubic convolution of latents, mixed.

    `network.gain` is "cubic", g = 1 (at a = 1/2 the weights -1/16, 9/16, 9/16, -1/16), or "learned": one g per latent
    channel, 1 at first. Negative g gives the outer slices positive weights, which averages over motion. Any g keeps straight
    lines in latent space, at every a. Beyond the ends the last slice is taken again. Same loss as CAE.
    """

    neighbours = 4

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.learned = settings["network"]["gain"] == "learned"
        if self.learned:
            offsets = nn.Parameter(torch.zeros(1, settings["network"]["latent"], 1, 1))
            self.network.add_module("gain", nn.ParameterList([offsets]))

    def mix(self, latents: Sequence[Tensor], alpha: Tensor) -> Tensor:
        """The latent at `alpha` between the middle two of four (batch, C, h, w)."""
        linear = super().mix(latents[1:3], alpha)
        gain = 1 + GAIN_SPEED * self.network.get_parameter("gain.0") if self.learned else 1.0
        return linear + gain * (cubic(latents, alpha) - linear)


CLASSES = {"cae_multi": CAEMulti}
