"""A frame that is interpolated to be scored. Without pandas, which interpolation does not need."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from interslice.data.masks import foreground_mask
from interslice.data.volumes import Volume, central_box, decimate
from interslice.methods.base import Method
from interslice.scoring.lesions import Lesion, insert, place_lesions


@dataclass(frozen=True)
class Frame:
    """A frame to score: the reference (slices, rows, columns), its foreground, K, spacing, slice profile, the side of the
    central square that is scored (None: all), a name that seeds what is drawn at random, and an expert's labels (uint8, of the
    reference's shape) where there are any.
    """

    target: np.ndarray
    mask: np.ndarray
    factor: int
    spacing_mm: tuple[float, float, float]
    slice_profile: str
    score_px: int | None
    name: str
    labels: np.ndarray | None = None


def frame_of(
    target: np.ndarray,
    spacing_mm: tuple[float, float, float],
    factor: int,
    name: str,
    *,
    slice_profile: str,
    score_px: int | None,
    labels: np.ndarray | None = None,
) -> Frame:
    """A frame to score, with the foreground of its reference."""
    mask = foreground_mask(target)
    return Frame(target, mask, factor, spacing_mm, slice_profile, score_px, name, labels)


def interpolate_frame(
    method: Method, low: np.ndarray, target: np.ndarray, factor: int, gaps: Collection[int] | None = None
) -> np.ndarray:
    """One frame, clipped to [0, 1]: every method is scored on the range of the data. The oracle gets its answer here.

    gaps: the only ones that are asked for.
    """
    if method.needs_reference:
        method.reference = target  # type: ignore[attr-defined]
    return np.clip(method.interpolate(np.ascontiguousarray(low), factor, gaps), 0, 1)


def insert_and_interpolate(
    frame: Frame, interpolate: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[list[Lesion], np.ndarray]:
    """Insert lesions, drop the slices again and interpolate: the lesions, and the interpolated frame that has them."""
    scored = np.zeros_like(frame.mask)
    scored[central_box(scored.shape, frame.score_px)] = True
    lesions = place_lesions(frame.target, frame.mask & scored, frame.spacing_mm, frame.factor, frame.name)
    changed = insert(frame.target, lesions)
    volume = Volume(changed[np.newaxis], np.diag([*frame.spacing_mm, 1.0]), 0)
    low = decimate(volume, frame.factor, frame.slice_profile)
    return lesions, interpolate(low.data[0], changed)
