"""The paper's method: a convolutional autoencoder trained on low-resolution volumes with an LPIPS synthesis loss.

J. Sander, B.D. de Vos, I. Isgum, "Autoencoding low-resolution MRI for semantically smooth interpolation of anisotropic
MRI", Medical Image Analysis 2022, doi 10.1016/j.media.2022.102393.
"""

import torch
from torch import Tensor, nn

from interslice.methods.autoencoder import Autoencoder


class CAE(Autoencoder):
    """L = MSE(x, g(f(x))) + lambda LPIPS(x_i, g(f(x_(i-1)) / 2 + f(x_(i+1)) / 2)), Eq. 3.

    The reconstruction term is over the two outer slices; the middle slice is only a target, as in the released code. With
    all synthesis weights 0 this is the plain autoencoder of the paper's ablation.
    """

    def losses(self, triplets: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        batch = len(triplets)
        outer = torch.cat([triplets[:, :1], triplets[:, 2:]])
        latents = self.encode(outer)
        # One encoding of the outer slices serves both terms, one decoder pass serves all three images.
        middle = torch.lerp(latents[:batch], latents[batch:], 0.5)
        needs_middle = any(self.settings["synthesis"][term] for term in ("lpips", "mse", "l1"))
        decoded = self.decode(torch.cat([latents, middle]) if needs_middle else latents)
        terms = {"reconstruction": nn.functional.mse_loss(decoded[: 2 * batch], outer)}
        if needs_middle:
            synthesis = self.synthesis_terms(decoded[2 * batch :], triplets[:, 1:2])
            terms["synthesis"] = torch.stack(list(synthesis.values())).sum()
        return {"autoencoder": torch.stack(list(terms.values())).sum()}, terms


CLASSES = {"cae": CAE}
