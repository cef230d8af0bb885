"""LPIPS of stacks of slices."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from interslice.common.errors import InputError
from interslice.common.similarity import check_pair

SMALLEST_SIDE = 31  # of the backbones AlexNet needs most


def lpips_distances(
    images: np.ndarray,
    references: np.ndarray,
    network: Any,
    *,
    mask: np.ndarray | None = None,
    batch: int = 4,
) -> np.ndarray:
    """LPIPS of Zhang, Isola, Efros, Shechtman and Wang 2018 per pair of slices; 0 for identical ones.

    images, references: (n, rows, columns), values in [0, 1], sides of at least 31; the channel is repeated to
    three and scaled to [-1, 1]. network: an lpips.LPIPS in evaluation mode; its device and precision are
    used, `batch` pairs at a time (VGG16 on a CPU is a fifth slower with 16 than with 4). Returns (n,)
    float64. With mask, boolean (n, rows, columns): the mean over the mask of the spatial map (lpips' `spatial`, the
    layers' maps enlarged to the slice and added), NaN for an empty one; what is in sight of a pixel beyond the mask
    counts. Raises InputError for other shapes, or a network in training mode, whose dropout would make
    the distance random.
    """
    axes = ("slices", "rows", "columns")
    check_pair(images, references, mask, name="lpips", smallest_side=SMALLEST_SIDE, axes=axes)
    if network.training:
        raise InputError("lpips network: training mode found, must be in evaluation mode (network.eval())")
    parameter = next(network.parameters())

    def rgb(stack: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(stack)).to(parameter.device, parameter.dtype)
        return (2 * tensor - 1)[:, None].expand(-1, 3, -1, -1)  # (b, 3, rows, columns)

    distances = np.zeros(len(images))  # what a method passes through costs nothing
    if mask is not None:
        distances[~mask.any(axis=(1, 2))] = np.nan
    scored = np.flatnonzero((images != references).any(axis=(1, 2)) & ~np.isnan(distances))
    with torch.no_grad(), _spatial(network, mask is not None):
        for start in range(0, len(scored), batch):
            chosen = scored[start : start + batch]
            found = network(rgb(images[chosen]), rgb(references[chosen]))[:, 0].double().cpu().numpy()
            where = np.full(found.shape, True) if mask is None else mask[chosen]
            distances[chosen] = found.mean(axis=(1, 2), where=where)
    return distances


@contextmanager
def _spatial(network: Any, wanted: bool) -> Iterator[None]:
    """Whether the network gives a map (b, 1, rows, columns) or its mean (b, 1, 1, 1)."""
    before, network.spatial = network.spatial, wanted
    try:
        yield
    finally:
        network.spatial = before
