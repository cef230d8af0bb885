"""Validation of a training: short stacks of slices of whole size, and the score of what lies in their middle gap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interslice.common.similarity import psnr, ssim
from interslice.data.volumes import output_size
from interslice.methods.parts.autoencoder import TrainedMethod


@dataclass(frozen=True)
class Pair:
    """A validation volume: low (slices, rows, columns) and its reference ((slices - 1) K + 1, rows, columns).

    gap_px: between the slices of low, in pixels; None where it is K.
    """

    low: np.ndarray
    reference: np.ndarray
    gap_px: float | None = None


def validation_slabs(pair: Pair, factor: int, neighbours: int, training: Mapping[str, Any]) -> list[Pair]:
    """`validation_slabs` short stacks of `neighbours` input slices, spread evenly over a volume, with their reference."""
    size = min(neighbours, pair.low.shape[0])
    starts = np.linspace(0, pair.low.shape[0] - size, training["validation_slabs"] + 2)[1:-1]
    stop = output_size(size, factor)
    return [
        Pair(
            np.array(pair.low[first : first + size]),
            np.array(pair.reference[first * factor : first * factor + stop]),
            pair.gap_px,
        )
        for first in sorted({round(start) for start in starts})
    ]


def validate(method: TrainedMethod, slabs: Sequence[Pair], factor: int) -> dict[str, float]:
    """Mean SSIM and PSNR (data range 1) of the synthesised slices in the middle gap of every slab; only that is computed
    where the method works gap by gap."""
    method.network.eval()
    scores = []
    for slab in slabs:
        gap, method.gap_px = slab.low.shape[0] // 2 - 1, slab.gap_px
        result = np.clip(method.interpolate(slab.low, factor, [gap]), 0, 1)
        for index in range(gap * factor + 1, (gap + 1) * factor):
            pair = result[index], slab.reference[index]
            scores.append((ssim(*pair, data_range=1.0), psnr(*pair, data_range=1.0)))
    method.network.train()
    means = np.mean(scores, axis=0)
    return {"ssim": float(means[0]), "psnr": float(means[1])}
