"""Our own method, in no paper: a cubic spline along the motion that a small network sees between slices.

Structures of two slices that lie apart do not overlap, and interpolation along straight lines through the plane blurs or
doubles them. Here a network finds for every pixel of a new slice where its structure lies in the four slices around it,
from coarse to fine: once from the slices, and once more from the slices moved that far. A fixed interpolating kernel
combines what was found there. The network adds no intensities and sets no weights of slices: it can move structures, and
nothing else. Where the moved slices agree no better than the unmoved ones, the result goes back to the kernel alone, and so
it does where motion would change little: every scan has many such places, they gain nothing together, and each is a way
for a small lesion to change what lies beside it.

One network serves every factor: it is told the place between the slices and how many pixels these are apart.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interslice.common.errors import InputError
from interslice.data.spline import bspline_weights
from interslice.data.volumes import SLAB, output_size, profile_blur
from interslice.methods.parts.autoencoder import TrainedMethod, crop_to
from interslice.methods.parts.displacement import displaced
from interslice.methods.parts.networks import pad_to_multiple
from interslice.methods.parts.noise import spared
from interslice.methods.parts.reversible import ReversibleUNet
from interslice.methods.shipped import THICKNESS

TYPICAL_GAP = 4.0  # pixels; the network is told the logarithm of the gap over this
OUTPUT_PX = 4.0  # pixels that an output of 1 means: the last layer starts at 0 and has to get there
FINE = 2  # the refining network sees images shrunk by this, their pixels as channels
AROUND = 7  # pixels over which moved and unmoved slices are compared, and changes averaged
NOISE_FLOOR = 1e-8  # of squared mean squares: where no slice differs from another both halves count the same


class MotionSpline(TrainedMethod):
    """x = s + g w (m - s), s(p) = sum_n k(a - n) y_n(p), m(p) = sum_n k(a - n) y_n(p + |a - n| d_n(p)), n = -1, 0, 1, 2.

    y_n are the four slices around the gap, a is the place in it, k the kernel and d_n the displacement in pixels per gap.
    |a - n| and k are 0 at the input slices, which are given back as they are. w compares, within a few pixels, how far the
    two middle slices agree when moved and unmoved. g = max(0, 1 - t^2 / mean (w (m - s))^2) over a few pixels, Breiman's
    garrote (1995, "Better subset regression using the nonnegative garrote"), t `least_change`. An untrained network moves
    nothing.
    """

    neighbours = 4
    any_gap = True
    clip = 0.05  # nine gradients in ten are below; without it a training lost all motion, for good
    network: nn.ModuleDict

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        network = settings["network"]
        self.coarse = 2 ** network["coarse"]
        # Of either direction: two slices as channels, the place in the gap, the gap.
        first = ReversibleUNet(2 * self.coarse**2 + 2, network["motion"], 4)
        networks = {"motion": first}
        if network["refine"]:
            networks["refinement"] = ReversibleUNet(2 * FINE**2 + 6, network["refine"], 4)
        self.network = nn.ModuleDict(networks)

    @property
    def stride(self) -> int:
        network = self.settings["network"]
        return int(self.coarse * 2 ** (len(network["motion"]) - 1))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"network": list(self.network.parameters())}

    def compiled(self) -> list[nn.Module]:
        return list(self.network.values())

    def displacements(self, images: Tensor, alpha: Tensor, gap: Tensor) -> Tensor:
        """(batch, 4, H, W) and (batch, 1, 1, 1) twice to (batch, 4, 2, H, W): pixels per gap along columns and rows."""
        batch, _, height, width = images.shape
        told = torch.cat([alpha, torch.log2(gap / TYPICAL_GAP), 1 - alpha, torch.log2(gap / TYPICAL_GAP)], 1)
        moves = self.found("motion", images, told, None, self.coarse)
        if "refinement" in self.network:
            small = nn.functional.avg_pool2d(moves, FINE)
            moved = displaced(images, places(moves.view(batch, 4, 2, height, width), alpha), "bilinear")
            moves = moves + self.found("refinement", moved, told, small, FINE)
        return moves.view(batch, 4, 2, height, width)

    def found(self, name: str, images: Tensor, told: Tensor, moves: Tensor | None, shrink: int) -> Tensor:
        """What a network finds in images (batch, 4, H, W) seen `shrink` times smaller: (batch, 8, H, W).

        Each direction sees its outer and inner slice, from there to the other side.
        """
        order = [0, 1, 3, 2]  # towards the inside: either direction has its slices in the same order
        pixels = nn.functional.pixel_unshuffle(images[:, order] - 0.5, shrink)
        half = pixels.shape[1] // 2
        size = (-1, -1, *pixels.shape[2:])
        parts = []
        for side in (0, 1):
            parts += [
                pixels[:, side * half : (side + 1) * half],
                told[:, 2 * side : 2 * side + 2].expand(size),
            ]
            if moves is not None:
                parts.append(moves[:, [0, 1, 2, 3] if side == 0 else [6, 7, 4, 5]])
        result = self.network[name](torch.cat(parts, 1))
        return enlarged(OUTPUT_PX * result[:, [0, 1, 2, 3, 6, 7, 4, 5]], shrink)

    def between(
        self, images: Tensor, alpha: Tensor, gap: Tensor, moves: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The slices (batch, 1, H, W) at `alpha` between the middle two of `images` (batch, 4, H, W), the moved images and
        the displacements, found unless given. alpha, gap (in pixels): (batch, 1, 1, 1)."""
        if moves is None:
            moves = self.displacements(images, alpha, gap).float()  # bfloat16 cannot count pixels
        weights = kernel(self.settings["network"]["kernel"], alpha)
        moved = displaced(images, places(moves, alpha), "bicubic")
        plain = (weights * images).sum(1, keepdim=True)
        change = (weights * moved).sum(1, keepdim=True) - plain
        if self.settings["network"]["consistency"]:
            change = change * agreement(images, moved)
        if least := self.settings["network"]["least_change"]:
            change = change * (1 - least**2 / (local_mean(change**2) + NOISE_FLOOR)).clamp(min=0)
        return plain + change, moved, moves

    def losses(self, windows: Tensor, alphas: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """windows: the five images of `training.windows` and the blobs of each; alphas: (batch, 2, 1, 1), the place and the
        gap in pixels.

        A blob is to come out as the unmoved kernel makes it, with nothing else changed (term `blobs`)."""
        weights, target = self.settings["loss"], windows[:, 2:3]
        images, blobs = windows[:, [0, 1, 3, 4]], windows[:, [5, 6, 8, 9]]
        both, moved, moves = self.between(
            torch.cat([images, images + blobs]), *alphas.repeat(2, 1, 1, 1).split(1, 1)
        )
        made, other = both.chunk(2)
        edge = weights["margin"]  # what enters there is seen by no input
        inner = (..., slice(edge, made.shape[-2] - edge), slice(edge, made.shape[-1] - edge))
        terms = {"mse": nn.functional.mse_loss(made[inner], target[inner])}
        if weights["dissimilarity"]:
            terms["dissimilarity"] = weights["dissimilarity"] * dissimilarity(made[inner], target[inner])
        if weights["moved"]:
            terms["moved"] = weights["moved"] * ((moved[: len(made), 1:3] - target)[inner] ** 2).mean()
        if weights["blobs"]:
            straight = (kernel(self.settings["network"]["kernel"], alphas[:, :1]) * blobs).sum(
                1, keepdim=True
            )
            terms["blobs"] = weights["blobs"] * (other - made - straight)[inner].abs().mean()
        if weights["roughness"]:
            rough = moves.diff(dim=-1).abs().mean() + moves.diff(dim=-2).abs().mean()
            terms["roughness"] = weights["roughness"] * rough
        return {"network": torch.stack(list(terms.values())).sum()}, terms

    def _interpolate_gaps(self, volume: np.ndarray, factor: int, gaps: Sequence[int]) -> np.ndarray:
        """A slice profile is undone in all gaps together; without one a gap that nobody told is taken to be K pixels wide."""
        if self.settings["slice_profile"] != "none":
            return self.deblurred(volume, factor)
        told = self if self.gap_px else self.at_gap(float(factor))
        return super(MotionSpline, told)._interpolate_gaps(volume, factor, gaps)

    def _interpolate_at(self, volume: np.ndarray, positions: np.ndarray) -> np.ndarray:
        if self.settings["slice_profile"] != "none":
            raise InputError("method motion_spline: a slice profile is undone at whole factors alone")
        return self.along_motion(volume, positions, self.gap_px or TYPICAL_GAP)

    def deblurred(self, volume: np.ndarray, factor: int) -> np.ndarray:
        """The slices that, interpolated and averaged over the slice profile again, give those that are there.

        Iterative back-projection (Irani and Peleg 1991, "Improving resolution by image registration"): what is missing
        is added to the input slices. Without motion the plain spline's answer is exact, so it comes first and few steps
        are left for the motion, which is looked for once, in that answer. All slices are made anew: those given were averages.
        Of their noise only what the averaging left of it is raised (`parts.noise.spared`).
        """
        profile, width, count = self.settings["slice_profile"], float(factor), len(volume)
        if profile == THICKNESS:
            profile, width = "slab", factor * (self.thickness or 1.0) / SLAB
        places = np.arange(output_size(count, factor)) / factor
        weights = bspline_weights(count, places)
        averaged = profile_blur(weights, width, profile, axis=0)[::factor]
        volume = spared(volume, averaged)
        missing, sharp, result = volume, np.zeros_like(volume), np.empty(0)
        found: dict[int, Tensor] = {}
        for _ in range(1 + self.settings["back_projections"]):
            change = np.linalg.solve(averaged, missing.reshape(count, -1).astype(np.float64))
            sharp = sharp + change.reshape(volume.shape).astype(np.float32)
            result = self.along_motion(sharp, places, self.gap_px or float(factor), found)
            missing = volume - profile_blur(result, width, profile, axis=0)[::factor]
        return result

    @torch.no_grad()
    def along_motion(
        self, volume: np.ndarray, positions: np.ndarray, gap: float, found: dict[int, Tensor] | None = None
    ) -> np.ndarray:
        """(len(positions), rows, columns) float32 at `positions`, in units of slices that are `gap` pixels apart.

        Beyond the ends the last slice is taken again, as in training. found: the displacements of each position, filled
        where they are missing, of every second pixel and in half precision: as many bytes as the result.
        """
        count, height, width = volume.shape
        result = np.empty((len(positions), height, width), dtype=np.float32)
        apart = torch.full((1, 1, 1, 1), gap, device=self.device)
        for index, place in enumerate(positions):
            before = int(place)
            if place == before:
                result[index] = volume[before]
                continue
            around = volume[np.clip(np.arange(before - 1, before + 3), 0, count - 1)]
            images = pad_to_multiple(torch.from_numpy(around[np.newaxis]).to(self.device), self.stride)
            alpha = torch.full((1, 1, 1, 1), float(place - before), device=self.device)
            moves = None
            with self.autocast():
                if found is not None:
                    if index not in found:
                        all_moves = self.displacements(images, alpha, apart).flatten(1, 2)
                        found[index] = nn.functional.avg_pool2d(all_moves, FINE).half()
                    moves = enlarged(found[index].float(), FINE).unflatten(1, (4, 2))
                made, *_ = self.between(images, alpha, apart, moves)
            result[index] = crop_to(made, height, width)[0]
        return result


def enlarged(images: Tensor, factor: int) -> Tensor:
    """(batch, channels, H, W) with `factor` times the rows and columns, in straight lines."""
    return nn.functional.interpolate(images, scale_factor=factor, mode="bilinear", align_corners=False)


def distances(alpha: Tensor) -> Tensor:
    """(batch, 4, 1, 1): of the four slices from the place `alpha` (batch, 1, 1, 1), in gaps."""
    return torch.cat([1 + alpha, alpha, 1 - alpha, 2 - alpha], dim=1)


def places(moves: Tensor, alpha: Tensor) -> Tensor:
    """Displacements per gap (batch, 4, 2, H, W) times the distances of the slices."""
    return distances(alpha)[:, :, None] * moves


def kernel(name: str, alpha: Tensor) -> Tensor:
    """(batch, 4, 1, 1): weights of four slices at `alpha` between the middle two; 0 and 1 give the middle ones back.

    keys: cubic convolution (Keys 1981, a = -1/2). cardinal: the outer two weights are those of the cardinal cubic spline (Unser
    1999, "Splines", equation 9), the inner two such that constants and straight lines come back: sharper, with the
    spline's contrast of what one slice alone has.
    """
    away = distances(alpha)
    if name == "keys":
        near = (1.5 * away - 2.5) * away**2 + 1
        far = ((-0.5 * away + 2.5) * away - 4) * away + 2
        return torch.where(away <= 1, near, far)
    first, _, _, last = cardinal(away).split(1, dim=1)
    after = alpha + first - 2 * last
    return torch.cat([first, 1 - first - after - last, after, last], dim=1)


def cardinal(away: Tensor) -> Tensor:
    """The cardinal cubic spline at distances in [0, 2]: sum over k of sqrt(3) z^|k| B(x - k), z = sqrt(3) - 2."""
    pole = math.sqrt(3) - 2
    result = torch.zeros_like(away)
    for knot in range(-1, 4):
        beside = (away - knot).abs()
        basis = torch.where(beside < 1, 2 / 3 - beside**2 + beside**3 / 2, (2 - beside).clamp(min=0) ** 3 / 6)
        result = result + math.sqrt(3) * pole ** abs(knot) * basis
    return result


def agreement(images: Tensor, moved: Tensor) -> Tensor:
    """(batch, 1, H, W) in [0, 1]: how much better the two middle slices agree when moved; 1/2 where it is the same.

    a^2 / (a^2 + b^2) of their mean squared differences over a few pixels, unmoved (a) and moved (b).
    """
    pairs = torch.cat([images[:, 1:2] - images[:, 2:3], moved[:, 1:2] - moved[:, 2:3]], 1)
    squares = local_mean(pairs**2)
    before, after = (squares**2 + NOISE_FLOOR).split(1, dim=1)
    return before / (before + after)


def local_mean(images: Tensor) -> Tensor:
    """Of AROUND pixels each way; at an edge, of those that are there. First along rows, then along columns: less work."""
    for across in (0, 1):
        window, beside = [AROUND, AROUND], [AROUND // 2, AROUND // 2]
        window[across], beside[across] = 1, 0
        images = nn.functional.avg_pool2d(images, window, stride=1, padding=beside, count_include_pad=False)
    return images


def dissimilarity(images: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM (Wang et al. 2004) in windows of 7 x 7 pixels, data range 1: a mean over (batch, 1, H, W)."""
    both = torch.cat([images, target, images**2, target**2, images * target], dim=1)
    mean_i, mean_t, square_i, square_t, product = nn.functional.avg_pool2d(both, 7, stride=2).split(1, dim=1)
    covariance = product - mean_i * mean_t
    variances = square_i - mean_i**2 + square_t - mean_t**2
    similarity = (2 * mean_i * mean_t + 1e-4) * (2 * covariance + 9e-4)
    return 1 - (similarity / ((mean_i**2 + mean_t**2 + 1e-4) * (variances + 9e-4))).mean()


CLASSES = {"motion_spline": MotionSpline}
