"""Our own method, in no paper: the autoencoder's latents correct an aligned cubic interpolation.

The plain autoencoder must pass the whole image through its latent and can lose to B-spline on sharp slices for that reason
alone. Here the decoder only says what interpolation misses: how far structures move in the plane from one slice to the
next, and what is to be added then. It is trained without high-resolution data, on the middle slice of low-resolution
triplets, like the synthesis term of Sander, de Vos and Isgum 2022, and (`in_plane`) on planes across the rows and columns
of the same volumes, whose gaps are as wide as those between slices.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from interslice.common.errors import InputError
from interslice.methods.parts.autoencoder import Autoencoder, cubic
from interslice.methods.parts.displacement import displaced
from interslice.methods.parts.networks import build_decoder

PLACES = (-1, 0, 1, 2)  # of the four slices, in gaps from the one before


class CAEResidual(Autoencoder):
    """x_j = c(y_(i-1) .. y_(i+2)), a = j / K.

    y_n(p) = x_n(p + (n - i - a) u) are the four slices around the gap, moved by u pixels per gap to where structures that keep
    their course would be at a; c is their cubic convolution. The last layer of the decoder starts at zero, so an
    untrained network is that interpolation; at a = 0 and 1 input slices come back as they were.
    """

    neighbours = 4

    def make_decoder(self) -> nn.Sequential:
        """Fed with the mixed latent and three differences; its last layer starts at zero."""
        if "synthesis" in self.settings and not self.needs_middle:  # interpolation is not given the key
            raise InputError(
                "method cae_residual: key synthesis: found only weights of 0, at least one must be above 0"
            )
        network = self.settings["network"]
        decoder = build_decoder(network, inputs=4 * network["latent"], activation=nn.Identity(), outputs=2)
        last = decoder[-2]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)
        return decoder

    def kept(self, images: Tensor, latents: Tensor) -> Tensor:
        """The input slices, untouched."""
        return images

    def between(self, images: Sequence[Tensor], latents: Sequence[Tensor], alpha: Tensor) -> Tensor:
        """The slice at `alpha` between the middle two of four slices (batch, 1, H, W) with latents (batch, C, h, w)."""
        outer, before, after, beyond = latents
        mixed = torch.lerp(before, after, alpha.to(before.dtype))
        features = torch.cat([mixed, before - after, outer - before, beyond - after], dim=1)
        motion = self.decoder(features).float()  # bfloat16 cannot count pixels
        moved = [
            displaced(image, (place - alpha)[:, None] * motion[:, None], "bicubic")
            for place, image in zip(PLACES, images, strict=True)
        ]
        return cubic(moved, alpha)

    def losses(self, windows: Tensor, alphas: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The synthesis terms of the middle slice alone: there is nothing to reconstruct."""
        batch = len(windows)
        images = [windows[:, place : place + 1] for place in (0, 1, 3, 4)]
        middle = self.between(images, self.encode(torch.cat(images)).split(batch), alphas)
        terms = {
            f"synthesis_{name}": term for name, term in self.synthesis_terms(middle, windows[:, 2:3]).items()
        }
        return {"autoencoder": torch.stack(list(terms.values())).sum()}, terms


CLASSES = {"cae_residual": CAEResidual}
