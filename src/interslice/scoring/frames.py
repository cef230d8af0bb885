"""A frame that is interpolated to be scored. Without pandas, which interpolation does not need."""

from collections.abc import Collection, Sequence
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


def lesions_of(frame: Frame) -> list[Lesion]:
    """The lesions of a frame, the same whenever it is asked: in its foreground, within what is scored."""
    scored = np.zeros_like(frame.mask)
    scored[central_box(scored.shape, frame.score_px)] = True
    return place_lesions(frame.target, frame.mask & scored, frame.spacing_mm, frame.factor, frame.name)


def with_inserted(frame: Frame, lesions: Sequence[Lesion]) -> tuple[np.ndarray, np.ndarray]:
    """A frame with lesions in it: its low-resolution slices, made again, and its reference."""
    changed = insert(frame.target, lesions)
    volume = Volume(changed[np.newaxis], np.diag([*frame.spacing_mm, 1.0]), 0)
    return decimate(volume, frame.factor, frame.slice_profile).data[0], changed
