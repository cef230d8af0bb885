"""A variational autoencoder on the body of the paper's autoencoder, with a latent vector or a spatial latent.

D.P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2013, arXiv 1312.6114. The released code of Sander, de Vos and
Isgum 2022 compares with a VAE whose latent is a vector made by a linear layer (`vector` numbers, for images of `training.crop`
pixels a side, such as digits). For slices that layer would have hundreds of millions of weights: with `vector` null mean and
log variance are maps of `latent` channels at the resolution of the autoencoder's latent.
"""

import torch
from torch import Tensor, nn

from interslice.common.errors import InputError
from interslice.methods.parts.autoencoder import Autoencoder
from interslice.methods.parts.networks import build_encoder


class VAE(Autoencoder):
    """L = (BCE(x, g(z)) + beta KL(q(z|x) || N(0, 1))) / pixels, z ~ q(z|x) = N(mean, variance), Eq. 7 and appendix B.

    Both terms are sums over an image, divided by its pixels. Division by a constant moves no minimum; it brings the loss to
    the scale of the autoencoder's mean squared error, so that learning rates and synthesis weights mean the same. Slices are
    interpolated, and synthesised for the synthesis term, by the means.
    """

    def latent_side(self) -> int:
        """Pixels a side of the maps between body and vector."""
        return int(self.settings["training"]["crop"]) // self.stride

    def make_decoder(self) -> nn.Sequential:
        """With probabilities as output, which the cross-entropy needs."""
        if (output := self.settings["output"]) != "sigmoid":
            raise InputError(f"method vae: key output: found {output}, allowed is sigmoid")
        body, vector = super().make_decoder(), self.settings["vector"]
        if vector is None:
            return body
        channels, side = self.settings["network"]["latent"], self.latent_side()
        first = nn.Linear(vector, channels * side**2)
        return nn.Sequential(nn.Flatten(), first, nn.Unflatten(1, (channels, side, side)), *body)

    def make_encoder(self) -> nn.Sequential:
        """With twice the channels, or a vector twice as long as (vector, 1, 1): mean and log variance."""
        network, vector = self.settings["network"], self.settings["vector"]
        if vector is None:
            return build_encoder(network, outputs=2 * network["latent"])
        last = nn.Linear(network["latent"] * self.latent_side() ** 2, 2 * vector)
        return nn.Sequential(*build_encoder(network), nn.Flatten(), last, nn.Unflatten(1, (-1, 1, 1)))

    def encode(self, images: Tensor) -> Tensor:
        """(batch, 1, H, W) to the mean of the latent: (batch, C, h, w), or (batch, vector, 1, 1) for images of the crop's
        size alone."""
        crop = self.settings["training"]["crop"]
        if self.settings["vector"] is not None and images.shape[2:] != (crop, crop):
            raise InputError(
                f"method vae: found slices of {images.shape[2]} x {images.shape[3]} pixels, with the key vector allowed are "
                f"those of training.crop, {crop} x {crop}; vector: null takes any"
            )
        return self.encoder(images).chunk(2, dim=1)[0]

    def losses(self, windows: Tensor, alphas: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        batch = len(windows)
        outer = torch.cat([windows[:, :1], windows[:, 2:]])
        mean, log_variance = self.encoder(outer).chunk(2, dim=1)
        latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        middle = self.mix(mean.split(batch), alphas)
        decoded = self.decode(torch.cat([latents, middle]) if self.needs_middle else latents)
        # Logarithms of a probability that bfloat16 rounds to 0 or 1 are infinite.
        with torch.autocast(outer.device.type, enabled=False):
            terms = {
                "reconstruction": nn.functional.binary_cross_entropy(decoded[: 2 * batch].float(), outer),
                "divergence": self.settings["beta"]
                * divergence(mean.float(), log_variance.float())
                / outer.numel(),
            }
        if self.needs_middle:
            synthesis = self.synthesis_terms(decoded[2 * batch :], windows[:, 1:2])
            terms["synthesis"] = torch.stack(list(synthesis.values())).sum()
        return {"autoencoder": torch.stack(list(terms.values())).sum()}, terms


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), the sum over all elements (Kingma and Welling, appendix B)."""
    return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()


CLASSES = {"vae": VAE}
