"""What every trained method shares, and the latent interpolation of every autoencoder."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from interslice.common.checkpoints import load_weights
from interslice.common.devices import select_precision
from interslice.methods.base import Method
from interslice.methods.parts.networks import build_decoder, build_encoder, pad_to_multiple

GAPS_AT_ONCE = 8  # bounds the memory of inference whatever the size of the volume


class TrainedMethod(Method):
    """A method with weights. The training loop needs `network`, `groups`, `losses` and `stride`, nothing else."""

    trained = True
    neighbours: ClassVar[int] = 2  # input slices that a synthesised slice depends on
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)  # of Adam
    precision: str = "float32"  # of interpolation; bfloat16 means autocast
    # Whether it trains on windows of `training.windows`: any place in a gap of any width.
    any_gap: ClassVar[bool] = False
    clip: ClassVar[float | None] = None  # largest norm of a group's gradient; None: any
    step: int = 0  # of the training that `losses` is asked in
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

    def losses(self, windows: Tensor, alphas: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss of each group and the terms to record. A group whose loss has no gradient stays as it is.

        windows: (batch, neighbours + 1, H, W) float32 in [0, 1], the target in the middle; alphas: (batch, 1, 1, 1)
        float32, where it lies between the images before and after it.
        """
        raise TypeError(f"{type(self).__name__} has no losses: a trained method must write them")

    def labels(self, references: Sequence[np.ndarray]) -> list[np.ndarray] | None:
        """Of a supervised method: volumes of the references' shapes that targets have as a second channel; None for none."""
        return None

    def compiled(self) -> list[nn.Module]:
        """The modules that `losses` calls, for torch.compile: whole calls, not parts of one."""
        return [self.network]

    def autocast(self) -> torch.autocast:
        """The context of interpolation in this method's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def load(self, checkpoint: Path) -> None:
        """Read the weights of a checkpoint that was made with the same settings; on a GPU where there is one.

        A method that trains in bfloat16 interpolates in it too, on machines that compute in it.
        """
        self.network.load_state_dict(load_weights(checkpoint, self.settings))
        self.network.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        setting = self.settings["training"]["precision"]
        self.precision = "float32" if setting == "float32" else select_precision("auto", self.device)


class Autoencoder(TrainedMethod):
    """Encoder, decoder, and decoding of z_j = (1 - a) z_i + a z_(i+1), a = j / K (Sander, de Vos, Isgum 2022)."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.encoder, self.decoder = self.make_encoder(), self.make_decoder()
        self.network = nn.ModuleDict({"encoder": self.encoder, "decoder": self.decoder})
        self.network.to(memory_format=torch.channels_last)

    def make_encoder(self) -> nn.Sequential:
        """The untrained encoder."""
        return build_encoder(self.settings["network"])

    def make_decoder(self) -> nn.Sequential:
        """The untrained decoder; a linear output has an identity as its last layer."""
        linear = self.settings.get("output") == "linear"
        return build_decoder(self.settings["network"], activation=nn.Identity() if linear else None)

    def compiled(self) -> list[nn.Module]:
        """Encoder and decoder, which are called one by one."""
        return [self.encoder, self.decoder]

    def encode(self, images: Tensor) -> Tensor:
        """(batch, 1, H, W) to the latent (batch, C, h, w) that is interpolated."""
        return self.encoder(images)

    def decode(self, latents: Tensor) -> Tensor:
        """(batch, C, h, w) to (batch, 1, H, W) in (0, 1)."""
        return self.decoder(latents)

    @property
    def needs_middle(self) -> bool:
        """Whether any synthesis weight is above 0: without one the middle slice is not decoded."""
        return any(self.settings["synthesis"][term] for term in ("lpips", "mse", "l1"))

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

    def mix(self, latents: Sequence[Tensor], alpha: Tensor) -> Tensor:
        """The latent at `alpha` between the middle two of `neighbours` latents (batch, C, h, w)."""
        before, after = latents
        return torch.lerp(before, after, alpha.to(before.dtype))

    def kept(self, images: Tensor, latents: Tensor) -> Tensor:
        """What comes out at the input slices (batch, 1, H, W) themselves: here their reconstruction."""
        return self.decode(latents)

    def between(self, images: Sequence[Tensor], latents: Sequence[Tensor], alpha: Tensor) -> Tensor:
        """The slice at `alpha` in (0, 1), a tensor that broadcasts to (batch, 1, 1, 1), between the middle two of
        `neighbours` slices (batch, 1, H, W) with latents (batch, C, h, w)."""
        return self.decode(self.mix(latents, alpha))

    @torch.no_grad()
    def _interpolate_at(self, volume: np.ndarray, positions: np.ndarray) -> np.ndarray:
        with self.autocast():
            return self._decode_at(volume, positions)

    def _decode_at(self, volume: np.ndarray, positions: np.ndarray) -> np.ndarray:
        count, height, width = volume.shape
        result = np.empty((len(positions), height, width), dtype=np.float32)
        before = np.floor(positions).astype(int)
        alphas = positions - before
        reach = self.neighbours // 2
        gaps = np.unique(before)
        slices: dict[int, tuple[Tensor, Tensor]] = {}  # image and latent of those around the gaps
        for start in range(0, len(gaps), GAPS_AT_ONCE):
            asked = np.flatnonzero(np.isin(before, gaps[start : start + GAPS_AT_ONCE]))
            whole, inner = asked[alphas[asked] == 0], asked[alphas[asked] > 0]
            # Beyond the ends the last slice is taken again, as in training.
            around = [np.clip(before[inner] + offset, 0, count - 1) for offset in range(1 - reach, reach + 1)]
            needed = sorted({int(index) for index in np.concatenate([before[whole], *around])})
            slices = {index: slices[index] for index in needed if index in slices}
            fresh = [index for index in needed if index not in slices]
            if fresh:
                images = pad_to_multiple(
                    torch.tensor(volume[fresh][:, np.newaxis], device=self.device), self.stride
                )
                latents = self.encode(images)
                slices |= {index: (images[n : n + 1], latents[n : n + 1]) for n, index in enumerate(fresh)}
            if len(whole):
                own = [slices[int(index)] for index in before[whole]]
                kept = self.kept(*(torch.cat(parts) for parts in zip(*own, strict=True)))
                result[whole] = crop_to(kept, height, width)
            for chosen in one_per_gap(before, inner):
                places = np.searchsorted(inner, chosen)
                pairs = [[slices[int(index)] for index in indices[places]] for indices in around]
                synthesised = self.between(
                    [torch.cat([image for image, _ in pair]) for pair in pairs],
                    [torch.cat([latent for _, latent in pair]) for pair in pairs],
                    torch.tensor(alphas[chosen], dtype=torch.float32, device=self.device).reshape(
                        -1, 1, 1, 1
                    ),
                )
                result[chosen] = crop_to(synthesised, height, width)
        return result


def one_per_gap(before: np.ndarray, inner: np.ndarray) -> Iterator[np.ndarray]:
    """`inner`, indices of positions, in parts that have one of every gap at most: the first of each, the second, ..."""
    ranks = np.arange(len(inner)) - np.searchsorted(before[inner], before[inner])
    for rank in range(ranks.max(initial=-1) + 1):
        yield inner[ranks == rank]


def cubic(images: Sequence[Tensor], alpha: Tensor) -> Tensor:
    """Cubic convolution of four images or latents (batch, C, H, W) at `alpha` between the middle two (Keys 1981, a = -1/2).

    It reproduces straight lines and, away from the ends, parabolas; 0 and 1 give the middle images back.
    """
    square, cube = alpha**2, alpha**3
    weights = (
        (-alpha + 2 * square - cube) / 2,
        (2 - 5 * square + 3 * cube) / 2,
        (alpha + 4 * square - 3 * cube) / 2,
        (-square + cube) / 2,
    )
    return sum(
        (weight * image for weight, image in zip(weights, images, strict=True)), torch.zeros_like(images[0])
    )


def crop_to(images: Tensor, height: int, width: int) -> np.ndarray:
    """(batch, 1, H, W) on any device to (batch, height, width) float32: without the padding."""
    return images[:, 0, :height, :width].float().cpu().numpy()
