"""Adversarially constrained autoencoder interpolation on the body of the paper's autoencoder.

D. Berthelot, C. Raffel, A. Roy, I. Goodfellow, "Understanding and Improving Interpolation in Autoencoders via an Adversarial
Regularizer", 2018, arXiv 1807.07543: a critic guesses how far an image was interpolated, the autoencoder makes it guess 0.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from interslice.methods.parts.autoencoder import Autoencoder
from interslice.methods.parts.networks import build_encoder


class ACAI(Autoencoder):
    """L_autoencoder = MSE(x, x_hat) + lambda d(g(z_mix))^2, L_critic = (d(g(z_mix)) - a)^2 + d(x_hat + gamma (x - x_hat))^2.

    z_mix = a z + (1 - a) z', a ~ U(0, 1/2) per image, z' the latent of another image of the batch (Eq. 2 and 3 of the paper,
    means over the batch). The images are the outer slices of the triplets. The critic d has the layers of the encoder; its
    guess is the mean over all outputs.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.critic = build_encoder(settings["network"])
        self.network.add_module("critic", self.critic)
        self.network.to(memory_format=torch.channels_last)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Two optimisers: each loss reaches its own group only."""
        autoencoder = [*self.encoder.parameters(), *self.decoder.parameters()]
        return {"autoencoder": autoencoder, "critic": list(self.critic.parameters())}

    def compiled(self) -> list[nn.Module]:
        return [*super().compiled(), self.critic]

    def guess(self, images: Tensor) -> Tensor:
        """The critic's guess (batch,) of the share of the second image in images (batch, 1, H, W)."""
        return self.critic(images).mean(dim=(1, 2, 3))

    def losses(self, windows: Tensor, alphas: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        batch = len(windows)
        outer = torch.cat([windows[:, :1], windows[:, 2:]])
        latents = self.encode(outer)
        share = torch.rand(2 * batch, device=outer.device) / 2
        others = latents[torch.randperm(2 * batch, device=outer.device)]
        mixed = torch.lerp(others, latents, share.to(latents.dtype).view(-1, 1, 1, 1))
        middle = self.mix(latents.split(batch), alphas)
        decoded = self.decode(torch.cat([latents, mixed, middle] if self.needs_middle else [latents, mixed]))
        rebuilt, blends = decoded[: 2 * batch], decoded[2 * batch : 4 * batch]
        terms = {
            "reconstruction": nn.functional.mse_loss(rebuilt, outer),
            "adversarial": self.settings["adversarial"]["weight"] * (self.guess(blends) ** 2).mean(),
        }
        if self.needs_middle:
            synthesis = self.synthesis_terms(decoded[4 * batch :], windows[:, 1:2])
            terms["synthesis"] = torch.stack(list(synthesis.values())).sum()
        critic = self.critic_loss(blends.detach(), share, rebuilt.detach(), outer)
        return {"autoencoder": torch.stack(list(terms.values())).sum(), "critic": critic}, terms

    def critic_loss(self, blends: Tensor, share: Tensor, rebuilt: Tensor, images: Tensor) -> Tensor:
        """Eq. 2 for decoded mixes, their shares, reconstructions and the images themselves, none with a gradient."""
        softened = torch.lerp(rebuilt, images.to(rebuilt.dtype), self.settings["adversarial"]["gamma"])
        guesses = self.guess(torch.cat([blends, softened]))
        return ((guesses[: len(blends)] - share) ** 2).mean() + (guesses[len(blends) :] ** 2).mean()


CLASSES = {"acai": ACAI}
