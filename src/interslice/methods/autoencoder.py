"""What every trained method shares, and the latent interpolation of every autoencoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from interslice.checkpoints import load_weights
from interslice.methods.base import Method
from interslice.methods.networks import build_decoder, build_encoder, pad_to_multiple
from interslice.volumes import output_size

SLICES_AT_ONCE = 8  # bounds the memory of inference whatever the size of the volume


class TrainedMethod(Method):
    """A method with weights. The training loop needs `network`, `groups`, `losses` and `stride`, nothing else."""

    trained = True
    neighbours: ClassVar[int] = 2  # input slices that a synthesised slice depends on
    network: nn.Module
    perceptual: nn.Module | None = None  # LPIPS, set by the training loop for methods that use it

    @property
    def stride(self) -> int:
        """The side of an image must be a multiple of this to come back in its own size."""
        return 2 ** int(self.settings["network"]["scales"])

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by optimiser: `losses` returns one loss per group."""
        return {"autoencoder": list(self.network.parameters())}

    def losses(self, triplets: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss of each group and the terms to record, for triplets (batch, 3, H, W) float32 in [0, 1]."""
        raise TypeError(f"{type(self).__name__} has no losses: a trained method must write them")

    def load(self, checkpoint: Path) -> None:
        """Read the weights of a checkpoint that was made with the same settings; on a GPU where there is one."""
        self.network.load_state_dict(load_weights(checkpoint, self.settings))
        self.network.to("cuda" if torch.cuda.is_available() else "cpu").eval()


class Autoencoder(TrainedMethod):
    """Encoder, decoder, and decoding of z_j = (1 - a) z_i + a z_(i+1), a = j / K (METHODS section 3)."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.encoder, self.decoder = build_encoder(settings["network"]), self.make_decoder()
        self.network = nn.ModuleDict({"encoder": self.encoder, "decoder": self.decoder})
        self.network.to(memory_format=torch.channels_last)

    def make_decoder(self) -> nn.Sequential:
        """The untrained decoder."""
        return build_decoder(self.settings["network"])

    def encode(self, images: Tensor) -> Tensor:
        """(batch, 1, H, W) to the latent (batch, C, h, w) that is interpolated."""
        return self.encoder(images)

    def decode(self, latents: Tensor) -> Tensor:
        """(batch, C, h, w) to (batch, 1, H, W) in (0, 1)."""
        return self.decoder(latents)

    def synthesis_terms(self, synthesised: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The configured terms on the middle slice, weighted: LPIPS (Eq. 3 of the paper), MSE, L1; only those not 0."""
        weights = self.settings["synthesis"]
        terms = {}
        if weights["lpips"]:
            assert self.perceptual is not None
            scaled = [2 * images.expand(-1, 3, -1, -1) - 1 for images in (synthesised, target)]
            terms["lpips"] = weights["lpips"] * self.perceptual(*scaled).mean()
        if weights["mse"]:
            terms["mse"] = weights["mse"] * nn.functional.mse_loss(synthesised, target)
        if weights["l1"]:
            terms["l1"] = weights["l1"] * nn.functional.l1_loss(synthesised, target)
        return terms

    def kept(self, images: Tensor, latents: Tensor) -> Tensor:
        """What comes out at the input slices (batch, 1, H, W) themselves: here their reconstruction."""
        return self.decode(latents)

    def between(self, images: tuple[Tensor, Tensor], latents: tuple[Tensor, Tensor], alpha: float) -> Tensor:
        """The slice at `alpha` in (0, 1) between two slices (batch, 1, H, W) with latents (batch, C, h, w)."""
        return self.decode(torch.lerp(*latents, alpha))

    @torch.no_grad()
    def _interpolate(self, volume: np.ndarray, factor: int) -> np.ndarray:
        count, height, width = volume.shape
        result = np.empty((output_size(count, factor), height, width), dtype=np.float32)

        def write(decoded: Tensor, first: int, step: int) -> None:
            """Put the slices at `step` of the gaps from `first` on into the result."""
            places = slice(first * factor + step, (first + len(decoded) - 1) * factor + step + 1, factor)
            result[places] = decoded[:, 0, :height, :width].float().cpu().numpy()

        images = latents = None
        for start in range(0, count, SLICES_AT_ONCE):
            batch = torch.tensor(volume[start : start + SLICES_AT_ONCE, np.newaxis], device=self.device)
            batch = pad_to_multiple(batch, self.stride)
            encoded = self.encode(batch)
            write(self.kept(batch, encoded), start, 0)
            # The last slice of the batch before begins the first gap of this one.
            images = batch if images is None else torch.cat([images[-1:], batch])
            latents = encoded if latents is None else torch.cat([latents[-1:], encoded])
            first = start + len(batch) - len(images)
            for step in range(1, factor) if len(images) > 1 else ():
                neighbours = (images[:-1], images[1:]), (latents[:-1], latents[1:])
                write(self.between(*neighbours, step / factor), first, step)
        return result
