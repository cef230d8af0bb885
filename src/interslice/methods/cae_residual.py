"""Our own method, in no paper: the autoencoder's latents correct an aligned linear interpolation.

The plain autoencoder must pass the whole image through its latent and can lose to B-spline on sharp slices for that reason
alone. Here the decoder only adds what interpolation misses. It is trained without high-resolution data, on the middle slice
of low-resolution triplets, like the synthesis term of Sander, de Vos and Isgum 2022.
"""

import torch
from torch import Tensor, nn

from interslice.errors import InputError
from interslice.methods.autoencoder import Autoencoder
from interslice.methods.networks import build_decoder


class CAEResidual(Autoencoder):
    """x_j = (1 - a) x_i + a x_(i+1) + 4 a (1 - a) d(z_j, |z_i - z_(i+1)|), z_j = (1 - a) z_i + a z_(i+1), a = j / K.

    The last layer of the decoder d starts at zero, so an untrained network is linear interpolation; at a = 0 and 1 the
    correction vanishes and input slices come back as they were.
    """

    def make_decoder(self) -> nn.Sequential:
        """Fed with the mixed latent and the absolute difference of the two; its last layer starts at zero."""
        if not any(self.settings["synthesis"][term] for term in ("lpips", "mse", "l1")):
            raise InputError(
                "method cae_residual: key synthesis: found only weights of 0, at least one must be above 0"
            )
        network = self.settings["network"]
        decoder = build_decoder(network, inputs=2 * network["latent"], activation=nn.Identity())
        last = decoder[-2]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)
        return decoder

    def kept(self, images: Tensor, latents: Tensor) -> Tensor:
        """The input slices, untouched."""
        return images

    def between(self, images: tuple[Tensor, Tensor], latents: tuple[Tensor, Tensor], alpha: float) -> Tensor:
        """The slice at `alpha` between two slices (batch, 1, H, W) with latents (batch, C, h, w)."""
        mixed = torch.lerp(*latents, alpha)
        correction = self.decoder(torch.cat([mixed, (latents[0] - latents[1]).abs()], dim=1))
        return torch.lerp(*images, alpha) + 4 * alpha * (1 - alpha) * correction

    def losses(self, triplets: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The synthesis terms of the middle slice alone: there is nothing to reconstruct."""
        batch = len(triplets)
        outer = torch.cat([triplets[:, :1], triplets[:, 2:]])
        latents = self.encode(outer)
        images = outer[:batch], outer[batch:]
        middle = self.between(images, (latents[:batch], latents[batch:]), 0.5)
        terms = {
            f"synthesis_{name}": term for name, term in self.synthesis_terms(middle, triplets[:, 1:2]).items()
        }
        return {"autoencoder": torch.stack(list(terms.values())).sum()}, terms


CLASSES = {"cae_residual": CAEResidual}
