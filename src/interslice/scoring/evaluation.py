"""Interpolate the low-resolution test volumes with one method and score every slice: rows of the long table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interslice.data.masks import foreground_mask
from interslice.data.volumes import Volume, central, open_volume, reference_slices, write_volume
from interslice.methods.base import Method
from interslice.scoring.registry import VOLUME_METRICS
from interslice.scoring.slices import score_volume, scored_slices
from interslice.scoring.volumes import Frame, score_whole


@dataclass(frozen=True)
class TestCase:
    """One test subject: the normalised volume and its low-resolution version, as files."""

    subject: str
    reference: Path
    low: Path


def evaluate(
    method: Method,
    case: TestCase,
    factor: int,
    *,
    evaluation: Mapping[str, Any],
    slice_profile: str = "none",
    score_px: int | None = None,
    lpips_network: Any = None,
    keep: Path | None = None,
) -> pd.DataFrame:
    """Score every frame of a test subject under the strict protocol (docs/metrics.md).

    evaluation: `metrics` and `gap_step` of the configuration. slice_profile: the dataset's, for inserted lesions.
    score_px: side of the central square that is scored, None for whole slices; masks are made from whole slices.
    `keep` is a file in which the interpolated volume is kept. Returns subject, frame, slice, kind, region, metric, value.
    """
    every_gap = bool(keep or set(evaluation["metrics"]) & set(VOLUME_METRICS))
    low, reference = open_volume(case.low), open_volume(case.reference)
    tables, frames = [], []
    for frame in range(low.data.shape[0]):
        target = np.ascontiguousarray(reference_slices(reference.data, factor)[frame])
        gaps = None if every_gap else scored_slices(len(target), factor, evaluation["gap_step"]) // factor
        result = interpolate_frame(method, low.data[frame], target, factor, gaps)
        scored = Frame(
            target,
            foreground_mask(target),
            factor,
            reference.spacing,
            slice_profile,
            score_px,
            f"{case.subject} {frame}",
        )
        tables += [
            table.assign(subject=case.subject, frame=frame)
            for table in score_frame(result, scored, method, evaluation, lpips_network)
        ]
        if keep:
            frames.append(result)
    if keep:
        write_interpolated(np.stack(frames), low, factor, keep)
    return pd.concat(tables, ignore_index=True)


def score_frame(
    result: np.ndarray,
    frame: Frame,
    method: Method,
    evaluation: Mapping[str, Any],
    lpips_network: Any,
) -> list[pd.DataFrame]:
    """The scores of every scored slice of an interpolated frame, and of the frame as a whole."""
    of_volumes = [metric for metric in evaluation["metrics"] if metric in VOLUME_METRICS]
    of_slices = [metric for metric in evaluation["metrics"] if metric not in VOLUME_METRICS]
    tables = []
    if of_slices:
        tables.append(
            score_volume(
                central(result, frame.score_px),
                central(frame.target, frame.score_px),
                frame.factor,
                metrics=of_slices,
                gap_step=evaluation["gap_step"],
                mask=central(frame.mask, frame.score_px),
                lpips_network=lpips_network,
            )
        )
    if of_volumes:

        def again(low: np.ndarray, target: np.ndarray) -> np.ndarray:
            return interpolate_frame(method, low, target, frame.factor)

        tables.append(score_whole(result, frame, of_volumes, again))
    return tables


def interpolate_frame(
    method: Method, low: np.ndarray, target: np.ndarray, factor: int, gaps: np.ndarray | None = None
) -> np.ndarray:
    """One frame, clipped to [0, 1]: every method is scored on the range of the data. The oracle gets its answer here.

    gaps: those that are scored, where the rest of the volume is not kept.
    """
    if method.needs_reference:
        method.reference = target  # type: ignore[attr-defined]
    return np.clip(
        method.interpolate(
            np.ascontiguousarray(low), factor, None if gaps is None else {int(gap) for gap in gaps}
        ),
        0,
        1,
    )


def write_interpolated(frames: np.ndarray, low: Volume, factor: int, path: Path) -> None:
    """Write interpolated frames with the spacing divided by K; the origin stays, because slice 0 does."""
    affine = low.affine.copy()
    affine[:3, low.slice_axis] /= factor
    write_volume(replace(low, data=frames, affine=affine), path)
