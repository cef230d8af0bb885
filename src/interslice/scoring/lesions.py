"""Lesions of known size and contrast, inserted before slices are dropped: how much of them does a method give back?

A sphere that falls between two kept slices is in no input, and a method can only recover what the kept slices
hold. What came back is the volume with lesions minus the volume without, so that the anatomy and the method's
error there cancel; only synthesised slices are looked at, so that a slice that is passed through counts for nothing.
"""

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from interslice.data.masks import tissue_classes

DIAMETERS_MM = (3, 6, 12)
CONTRAST = 0.2  # of the [0, 1] intensities, brighter than the tissue
PER_SIZE = 8  # lesions of each diameter in a volume
APART_MM = 12.0  # between the surfaces of two lesions
PAD_MM = 6.0  # in plane, around a lesion
TRIALS = 2000  # places that are tried for one diameter
SUBVOXELS = 5  # per axis, for the share of a voxel that a sphere fills


@dataclass(frozen=True)
class Lesion:
    """A sphere: its diameter, the box of voxels that it touches, and the share of each that it fills."""

    diameter_mm: float
    box: tuple[slice, slice, slice]
    share: np.ndarray

    def distance_mm(self, axes: Sequence[np.ndarray], spacing_mm: Sequence[float]) -> np.ndarray:
        """From voxels, given as an open grid of indices, to the surface; negative within."""
        centre = [(side.start + side.stop - 1) / 2 for side in self.box]
        squares = [((axis - at) * size) ** 2 for axis, at, size in zip(axes, centre, spacing_mm, strict=True)]
        return np.asarray(np.sqrt(squares[0] + squares[1] + squares[2]) - self.diameter_mm / 2)


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
    reference: np.ndarray, mask: np.ndarray, spacing_mm: Sequence[float], factor: int, name: str
) -> list[Lesion]:
    """Up to PER_SIZE lesions of every diameter in the tissue of a volume, drawn by `name`, the same for every method.

    reference, mask: (slices, rows, columns); spacing_mm along them; factor: K. A lesion lies in the mask as a whole,
    where no voxel is of the darkest class (air, bone, fluid: `masks.tissue_classes`) or so bright that it would be
    clipped, touches a synthesised slice, and is APART_MM from any other. Large ones are placed first.
    """
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    depth = tissue_depth(reference, mask, spacing_mm)
    touched = np.linalg.norm(spacing_mm) / 2  # a voxel that a sphere touches may have its middle outside
    centres: list[tuple[np.ndarray, float]] = []
    lesions = []
    for diameter in sorted(DIAMETERS_MM, reverse=True):
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
            synthesised = (corner[0] + np.arange(share.shape[0])) % factor > 0
            if not share[synthesised].any():
                continue
            first, second, third = (slice(c, c + side) for c, side in zip(corner, share.shape, strict=True))
            lesions.append(Lesion(diameter, (first, second, third), share))
            centres.append((position, diameter))
            placed += 1
            if placed == PER_SIZE:
                break
    return lesions


def tissue_depth(reference: np.ndarray, mask: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """How far, in mm, each voxel lies within tissue that a lesion can be added to; 0 where there is none."""
    try:
        tissue = mask & (tissue_classes(reference, mask) > 0) & (reference <= 1 - CONTRAST)
    except ValueError:  # fewer values than classes
        return np.zeros(reference.shape)
    padded = scipy.ndimage.distance_transform_edt(np.pad(tissue, 1), sampling=spacing_mm)
    return np.asarray(padded[1:-1, 1:-1, 1:-1])


def insert(reference: np.ndarray, lesions: Sequence[Lesion]) -> np.ndarray:
    """The volume with the lesions added, their voxels brighter by CONTRAST times the share filled."""
    volume = reference.copy()
    for lesion in lesions:
        volume[lesion.box] += (CONTRAST * lesion.share).astype(volume.dtype)
    return volume


@dataclass(frozen=True)
class Recovered:
    """What a method made of one lesion on the synthesised slices around it.

    inserted, found: (n,), what was added to the voxels and by how much the interpolated ones changed, where they are nearer
    to this lesion than to any other; within: those that the sphere touches.
    """

    inserted: np.ndarray
    found: np.ndarray
    within: np.ndarray


def recover(
    with_lesions: np.ndarray,
    without: np.ndarray,
    lesions: Sequence[Lesion],
    factor: int,
    spacing_mm: Sequence[float],
) -> list[Recovered]:
    """What came back of each lesion, in a box padded by PAD_MM in plane and by two gaps through the plane.

    with_lesions, without: the interpolated volume (slices, rows, columns) with lesions and without, so that the anatomy
    and the method's error there cancel. A cubic B-spline still rings two gaps away.
    """
    pads = (2 * factor, *(math.ceil(PAD_MM / size) for size in spacing_mm[1:]))
    recovered = []
    for own in lesions:
        box = tuple(
            slice(max(side.start - pad, 0), min(side.stop + pad, length))
            for side, pad, length in zip(own.box, pads, without.shape, strict=True)
        )
        axes = np.ogrid[box]
        counted = np.broadcast_to(axes[0] % factor > 0, [side.stop - side.start for side in box]).copy()
        nearest = own.distance_mm(axes, spacing_mm)
        for other in lesions:
            counted &= nearest <= other.distance_mm(axes, spacing_mm)
        within = tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(own.box, box, strict=True))
        share = np.zeros(counted.shape)
        share[within] = own.share
        found = with_lesions[box].astype(np.float64) - without[box]
        recovered.append(Recovered(CONTRAST * share[counted], found[counted], share[counted] > 0))
    return recovered


def relative_error(recovered: Sequence[Recovered]) -> float:
    """The mean over lesions of |found - inserted| / |inserted|, Euclidean: 0 for a lesion as it is, 1 for nothing there.

    NaN where there is no lesion.
    """
    return _mean(
        float(np.linalg.norm(one.found - one.inserted) / np.linalg.norm(one.inserted)) for one in recovered
    )


def recovered_contrast(recovered: Sequence[Recovered]) -> float:
    """The mean over lesions of the share of the contrast that came back: 1 for all of it, 0 for none; NaN for no lesion.

    That share is the projection of what was found on what was inserted, sum(d w) / sum(w^2).
    """
    return _mean(float(one.found @ one.inserted / (one.inserted @ one.inserted)) for one in recovered)


def false_signal(recovered: Sequence[Recovered]) -> float:
    """The mean over lesions of the absolute change outside the sphere, as a share of what was inserted; NaN for no lesion."""
    return _mean(float(np.abs(one.found[~one.within]).sum() / one.inserted.sum()) for one in recovered)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else math.nan
