"""LPIPS of stacks of slices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from interslice.common.errors import InputError
from interslice.common.similarity import check_pair

SMALLEST_SIDE = 31  # of the backbones AlexNet needs most


def lpips_regions(
    images: np.ndarray,
    references: np.ndarray,
    network: Any,
    masks: Sequence[np.ndarray | None],
    *,
    batch: int = 4,
) -> np.ndarray:
    """LPIPS of Zhang, Isola, Efros, Shechtman and Wang 2018 per pair of slices; 0 for identical ones.

    images, references: (n, rows, columns), values in [0, 1], sides of at least 31; the channel is repeated to
    three and scaled to [-1, 1]. network: of `training.lpips.load_lpips`; its device and precision are
    used, `batch` pairs at a time (VGG16 on a CPU is a fifth slower with 16 than with 4). Returns (masks, n)
    float64, of one pass. None as mask: whole slices. With a mask, boolean (n, rows, columns): the mean over the mask of
    the spatial map (lpips' `spatial`, the layers' maps enlarged to the slice and added), NaN for an empty one; what is in
    sight of a pixel beyond the mask counts. Raises InputError for other shapes, or a network in training mode, whose
    dropout would make the distance random.
    """
    axes = ("slices", "rows", "columns")
    for mask in masks:
        check_pair(images, references, mask, name="lpips", smallest_side=SMALLEST_SIDE, axes=axes)
    if network.training:
        raise InputError("lpips network: training mode found, must be in evaluation mode (network.eval())")
    parameter = next(network.parameters())

    def rgb(stack: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(stack)).to(parameter.device, parameter.dtype)
        return (2 * tensor - 1)[:, None].expand(-1, 3, -1, -1)  # (b, 3, rows, columns)

    distances = np.zeros((len(masks), len(images)))
    scored = np.flatnonzero((images != references).any(axis=(1, 2)))  # what is passed through costs nothing
    with torch.no_grad():
        for start in range(0, len(scored), batch):
            chosen = scored[start : start + batch]
            maps = network.maps(rgb(images[chosen]), rgb(references[chosen]))
            for region, mask in enumerate(masks):
                distances[region, chosen] = _mean(maps) if mask is None else _inside(maps, mask[chosen])
    for region, mask in enumerate(masks):
        if mask is not None:
            distances[region, ~mask.any(axis=(1, 2))] = np.nan
    return distances


def _mean(maps: list[torch.Tensor]) -> np.ndarray:
    """The sum of the layers' means over all pixels, of each image."""
    means = [found.mean((1, 2, 3)) for found in maps]
    return np.asarray(sum(means[1:], means[0]).double().cpu().numpy())


def _inside(maps: list[torch.Tensor], mask: np.ndarray) -> np.ndarray:
    """Mean over each mask (b, rows, columns) of the sum of the maps, enlarged; NaN for an empty one."""
    enlarged = [
        torch.nn.functional.interpolate(one, mask.shape[1:], mode="bilinear", align_corners=False)
        for one in maps
    ]
    total = torch.stack(enlarged).sum(dim=0)[:, 0].double().cpu().numpy()
    count = mask.sum(axis=(1, 2))
    sums = np.where(mask, total, 0).sum(axis=(1, 2))
    return np.divide(sums, count, out=np.full(len(mask), np.nan), where=count > 0)
