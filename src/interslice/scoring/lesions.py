"""Lesions of known size and contrast, inserted before slices are dropped: how much of them does a method give back?

A sphere that falls between two kept slices is in no input, and a method can only recover what the kept slices
hold. The recovered contrast is that of the volume with lesions minus the volume without, so that the anatomy
and the method's error there cancel.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from interslice.scoring.registry import LESION_DIAMETERS_MM

CONTRAST = 0.2  # of the [0, 1] intensities, brighter than the tissue
PER_SIZE = 8  # lesions of each diameter in a volume
APART_MM = 12.0  # between the surfaces of two lesions
TRIALS = 2000  # places that are tried for one diameter
SUBVOXELS = 5  # per axis, for the share of a voxel that a sphere fills


@dataclass(frozen=True)
class Lesion:
    """A sphere: its diameter, the box of voxels that it touches, and the share of each that it fills."""

    diameter_mm: float
    box: tuple[slice, slice, slice]
    share: np.ndarray


def sphere_share(diameter_mm: float, spacing_mm: Sequence[float]) -> np.ndarray:
    """The share of each voxel that a sphere about the middle of the array fills, in [0, 1], odd sides."""
    reach = [int(np.ceil(diameter_mm / 2 / size - 0.5)) for size in spacing_mm]
    fine = []
    for half, size in zip(reach, spacing_mm, strict=True):
        count = (2 * half + 1) * SUBVOXELS
        fine.append((np.arange(count) - (count - 1) / 2) * size / SUBVOXELS)
    grid = np.meshgrid(*fine, indexing="ij")
    inside = np.sum(np.square(grid), axis=0) <= (diameter_mm / 2) ** 2
    shape = [side for half in reach for side in (2 * half + 1, SUBVOXELS)]
    return inside.reshape(shape).mean(axis=(1, 3, 5))


def place_lesions(
    reference: np.ndarray, mask: np.ndarray, spacing_mm: Sequence[float], name: str
) -> list[Lesion]:
    """Up to PER_SIZE lesions of every diameter in the tissue of a volume, drawn by `name`, the same for every method.

    reference, mask: (slices, rows, columns); spacing_mm along them. A lesion lies in the mask as a whole, where
    nothing is so bright that it would be clipped, and APART_MM from any other. Large ones are placed first.
    """
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    tissue = np.pad(mask & (reference <= 1 - CONTRAST), 1)
    depth = ndimage.distance_transform_edt(tissue, sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    touched = (
        float(np.linalg.norm(spacing_mm)) / 2
    )  # a voxel that a sphere touches may have its middle outside
    centres: list[tuple[np.ndarray, float]] = []
    lesions = []
    for diameter in sorted(LESION_DIAMETERS_MM, reverse=True):
        share = sphere_share(diameter, spacing_mm)
        candidates = np.argwhere(depth > diameter / 2 + touched)
        placed = 0
        for centre in candidates[draw.permutation(len(candidates))[:TRIALS]]:
            position = centre * np.asarray(spacing_mm)
            if any(
                np.linalg.norm(position - other) < (diameter + size) / 2 + APART_MM for other, size in centres
            ):
                continue
            corner = [int(at) - side // 2 for at, side in zip(centre, share.shape, strict=True)]
            first, second, third = (slice(c, c + side) for c, side in zip(corner, share.shape, strict=True))
            lesions.append(Lesion(diameter, (first, second, third), share))
            centres.append((position, diameter))
            placed += 1
            if placed == PER_SIZE:
                break
    return lesions


def insert(reference: np.ndarray, lesions: Sequence[Lesion]) -> np.ndarray:
    """The volume with the lesions added, their voxels brighter by CONTRAST times the share filled."""
    volume = reference.copy()
    for lesion in lesions:
        volume[lesion.box] += (CONTRAST * lesion.share).astype(volume.dtype)
    return volume


def recovered_contrast(with_lesions: np.ndarray, without: np.ndarray, lesions: Sequence[Lesion]) -> float:
    """The mean share of the lesions' contrast that came back: 1 for all of it, 0 for none; NaN where there is no lesion.

    The share of one lesion is the projection of the difference on what was inserted, sum(d w) / (CONTRAST sum(w^2)).
    """
    shares = []
    for lesion in lesions:
        difference = with_lesions[lesion.box].astype(np.float64) - without[lesion.box]
        weight = CONTRAST * lesion.share
        shares.append(float((difference * weight).sum() / (weight**2).sum()))
    return float(np.mean(shares)) if shares else math.nan
