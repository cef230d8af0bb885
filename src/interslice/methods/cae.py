"""The paper's method: a convolutional autoencoder trained on low-resolution volumes with an LPIPS synthesis loss.

J. Sander, B.D. de Vos, I. Isgum, "Autoencoding low-resolution MRI for semantically smooth interpolation of anisotropic
MRI", Medical Image Analysis 2022, doi 10.1016/j.media.2022.102393.
"""

import torch
from torch import Tensor, nn

from interslice.methods.parts.autoencoder import Autoencoder


class CAE(Autoencoder):
    """L = MSE(x, g(f(x))) + lambda LPIPS(x_i, g(f(x_(i-1)) / 2 + f(x_(i+1)) / 2)), Eq. 3; alpha in place of 1 / 2 elsewhere.

    The reconstruction term is over the two slices around the middle one, which is only a target, as in the released code. With
    all synthesis weights 0 this is the plain autoencoder of the paper's ablation.
    """

    def losses(self, windows: Tensor, alphas: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        batch, reach = len(windows), self.neighbours // 2
        outer = [windows[:, place : place + 1] for place in range(2 * reach + 1) if place != reach]
        # One encoding serves both terms, one decoder pass serves all three images.
        latents = self.encode(torch.cat(outer)).split(batch)
        near = slice(reach - 1, reach + 1)
        decoded = self.decode(
            torch.cat([*latents[near], *([self.mix(latents, alphas)] if self.needs_middle else [])])
        )
        terms = {"reconstruction": nn.functional.mse_loss(decoded[: 2 * batch], torch.cat(outer[near]))}
        if self.needs_middle:
            synthesis = self.synthesis_terms(decoded[2 * batch :], windows[:, reach : reach + 1])
            terms["synthesis"] = torch.stack(list(synthesis.values())).sum()
        return {"autoencoder": torch.stack(list(terms.values())).sum()}, terms


CLASSES = {"cae": CAE}
