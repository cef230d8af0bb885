"""Interpolate the low-resolution test volumes with one method and score every slice: rows of the long table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interslice.masks import foreground_mask
from interslice.methods.base import Method
from interslice.metrics import score_volume
from interslice.volumes import Volume, open_volume, reference_slices, write_volume


@dataclass(frozen=True)
class TestCase:
    """One test subject: the normalised volume and its low-resolution version, as files."""

    subject: str
    reference: Path
    low: Path


def evaluate(
    method: Method,
    cases: Sequence[TestCase],
    factor: int,
    *,
    evaluation: Mapping[str, Any],
    lpips_network: Any = None,
    keep: Mapping[str, Path] | None = None,
) -> pd.DataFrame:
    """Score every frame of every case under the strict protocol (METHODS section 2).

    evaluation: `metrics` and `gap_step` of the configuration. `keep` maps subjects to files in which their interpolated
    volume is kept. Returns subject, frame, slice, kind, region, metric, value; one case is in memory at a time.
    """
    # A shard without a test case has a table without rows.
    tables = [pd.DataFrame(columns=["subject", "frame", "slice", "kind", "region", "metric", "value"])][
        : not cases
    ]
    for case in cases:
        low, reference = open_volume(case.low), open_volume(case.reference)
        frames = []
        for frame in range(low.data.shape[0]):
            target = np.ascontiguousarray(reference_slices(reference.data, factor)[frame])
            result = interpolate_frame(method, low.data[frame], target, factor)
            scores = score_volume(
                result,
                target,
                factor,
                metrics=evaluation["metrics"],
                gap_step=evaluation["gap_step"],
                mask=foreground_mask(target),
                lpips_network=lpips_network,
            )
            tables.append(scores.assign(subject=case.subject, frame=frame))
            frames.append(result)
        if keep and case.subject in keep:
            write_interpolated(np.stack(frames), low, factor, keep[case.subject])
    return pd.concat(tables, ignore_index=True)


def interpolate_frame(method: Method, low: np.ndarray, target: np.ndarray, factor: int) -> np.ndarray:
    """One frame, clipped to [0, 1]: every method is scored on the range of the data. The oracle gets its answer here."""
    if method.needs_reference:
        method.reference = target  # type: ignore[attr-defined]
    return np.clip(method.interpolate(np.ascontiguousarray(low), factor), 0, 1)


def write_interpolated(frames: np.ndarray, low: Volume, factor: int, path: Path) -> None:
    """Write interpolated frames with the spacing divided by K; the origin stays, because slice 0 does."""
    affine = low.affine.copy()
    affine[:3, low.slice_axis] /= factor
    write_volume(replace(low, data=frames, affine=affine), path)
