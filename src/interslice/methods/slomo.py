"""Interpolation along optical flow: Super SloMo, a network for frames of a film, on slices of a scan.

H. Jiang, D. Sun, V. Jampani, M.-H. Yang, E. Learned-Miller, J. Kautz, "Super SloMo: high quality estimation of multiple
intermediate frames for video interpolation", CVPR 2018 (arXiv 1712.00080). Smaller, and without their perceptual loss;
trained as the paper's autoencoder is, on the middle slices of low-resolution triplets.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interslice.methods.parts.autoencoder import Autoencoder
from interslice.methods.parts.displacement import displaced
from interslice.methods.parts.networks import convolutions, initialise


class FlowUNet(nn.Module):
    """(batch, inputs, H, W) to (batch, outputs, H, W): two convolutions per scale and way; the last layer starts at zero."""

    def __init__(self, inputs: int, outputs: int, depth: int, scales: int) -> None:
        super().__init__()
        widths = [depth * 2**scale for scale in range(scales + 1)]
        pairs = zip([inputs, *widths], widths, strict=False)
        self.down = nn.ModuleList(nn.Sequential(*convolutions(before, after, 2)) for before, after in pairs)
        self.up = nn.ModuleList(
            nn.Sequential(*convolutions(below + above, above, 2))
            for above, below in itertools.pairwise(widths)
        )
        self.last = nn.Conv2d(depth, outputs, 3, padding=1)
        initialise(self)
        nn.init.zeros_(self.last.weight)

    def forward(self, images: Tensor) -> Tensor:
        skipped = []
        for scale, block in enumerate(self.down):
            images = block(nn.functional.avg_pool2d(images, 2) if scale else images)
            skipped.append(images)
        for block, beside in zip(reversed(self.up), reversed(skipped[:-1]), strict=True):
            larger = nn.functional.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
            images = block(torch.cat([larger, beside], dim=1))
        result: Tensor = self.last(images)
        return result


class SuperSloMo(Autoencoder):
    """x_t = [(1 - t) V g(x_0, F_t0) + t (1 - V) g(x_1, F_t1)] / [(1 - t) V + t (1 - V)] (Eq. 5), g: sampling along a flow.

    One network finds the flows F_01 and F_10, in pixels; F_t0 and F_t1 are mixed from them (Eq. 4), and a second network,
    which sees the moved slices, corrects these and says how visible a pixel is in either slice, V. Untrained, that is linear
    interpolation; at t = 0 and 1 input slices come back as they were.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        depth, scales = settings["network"]["depth"], settings["network"]["scales"]
        self.flow, self.refinement = FlowUNet(2, 4, depth, scales), FlowUNet(8, 5, depth, scales)
        self.network = nn.ModuleDict({"flow": self.flow, "refinement": self.refinement})
        self.network.to(memory_format=torch.channels_last)

    def make_encoder(self) -> nn.Sequential:
        """None: slices are their own latents."""
        return nn.Sequential()

    make_decoder = make_encoder

    def compiled(self) -> list[nn.Module]:
        return [self.flow, self.refinement]

    def kept(self, images: Tensor, latents: Tensor) -> Tensor:
        """The input slices, untouched."""
        return images

    def flows(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """F_01 and F_10, both (batch, 2, H, W) pixels along columns and rows."""
        forth, back = self.flow(torch.cat([before, after], dim=1)).float().chunk(2, dim=1)
        return forth, back

    def between(self, images: Sequence[Tensor], latents: Sequence[Tensor], alpha: Tensor) -> Tensor:
        """The slice at `alpha` between two slices (batch, 1, H, W)."""
        before, after = images
        return self.along(before, after, *self.flows(before, after), alpha)

    def along(self, before: Tensor, after: Tensor, forth: Tensor, back: Tensor, alpha: Tensor) -> Tensor:
        """Eqs. 4 and 5, with what the second network corrects."""
        to_before = -(1 - alpha) * alpha * forth + alpha**2 * back
        to_after = (1 - alpha) ** 2 * forth - alpha * (1 - alpha) * back
        seen = [before, after, warped(before, to_before), warped(after, to_after), to_before, to_after]
        found = self.refinement(torch.cat(seen, dim=1)).float()
        first = warped(before, to_before + found[:, :2])
        second = warped(after, to_after + found[:, 2:4])
        visible = torch.sigmoid(found[:, 4:])
        weights = (1 - alpha) * visible, alpha * (1 - visible)
        return (weights[0] * first + weights[1] * second) / (weights[0] + weights[1])

    def losses(self, windows: Tensor, alphas: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Their section 3.3 without the perceptual term: mean absolute differences of the middle slice and of the outer ones
        moved onto each other and onto the middle one, and the total variation of the flow."""
        weights = self.settings["loss"]
        before, target, after = windows.split(1, dim=1)
        forth, back = self.flows(before, after)
        made = self.along(before, after, forth, back, alphas)
        moved = [(warped(after, forth), before), (warped(before, back), after)]
        rough = sum(flow.diff(dim=axis).abs().mean() for flow in (forth, back) for axis in (-1, -2))
        terms = {
            "middle": (made - target).abs().mean(),
            "warping": weights["warping"] * torch.stack([(a - b).abs().mean() for a, b in moved]).sum(),
            "smoothness": weights["smoothness"] * rough,
        }
        return {"autoencoder": torch.stack(list(terms.values())).sum()}, terms


def warped(images: Tensor, flow: Tensor) -> Tensor:
    """Images (batch, 1, H, W) sampled along a flow (batch, 2, H, W) in pixels, linearly, edges repeated."""
    return displaced(images, flow[:, None], "bilinear")


CLASSES = {"slomo": SuperSloMo}
