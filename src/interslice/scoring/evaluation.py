"""Score every slice of the interpolated test volumes: rows of the long table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interslice.data.interpolated import read_interpolated
from interslice.data.labels import labels_beside, open_labels
from interslice.data.volumes import central, open_volume, reference_slices
from interslice.scoring.frames import Frame, frame_of
from interslice.scoring.registry import VOLUME_METRICS
from interslice.scoring.slices import score_volume
from interslice.scoring.volumes import score_whole


@dataclass(frozen=True)
class TestCase:
    """One test subject, as files: the normalised volume, its low-resolution version, and that interpolated, as it is and with
    lesions in it where these are scored.
    """

    subject: str
    reference: Path
    low: Path
    interpolated: Path
    with_lesions: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All that scores depend on."""
        where_scored = self.with_lesions, labels_beside(self.reference)
        return [self.reference, self.low, self.interpolated, *filter(None, where_scored)]


def evaluate(
    case: TestCase,
    factor: int,
    *,
    metrics: Sequence[str],
    gap_step: int,
    slice_profile: str = "none",
    score_px: int | None = None,
    lpips_network: Any = None,
) -> pd.DataFrame:
    """Score every frame of a test subject under the strict protocol (docs/metrics.md).

    slice_profile: the dataset's, for inserted lesions. score_px: side of the central square that is scored, None for whole
    slices; masks are made from whole slices. Returns subject, frame, slice, kind, region, metric, value.
    """
    reference, results = open_volume(case.reference), read_interpolated(case.interpolated, case.low).data
    with_lesions = read_interpolated(case.with_lesions).data if case.with_lesions else None
    labels = open_labels(case.reference)
    tables = []
    for index, target in enumerate(reference_slices(reference.data, factor)):
        name = f"{case.subject} {index}"
        frame = frame_of(
            np.ascontiguousarray(target),
            reference.spacing,
            factor,
            name,
            slice_profile=slice_profile,
            score_px=score_px,
            labels=labels[index, : len(target)] if labels is not None and labels[index].any() else None,
        )
        lesions = None if with_lesions is None else with_lesions[index]
        tables += [
            table.assign(subject=case.subject, frame=index)
            for table in score_frame(results[index], lesions, frame, metrics, gap_step, lpips_network)
        ]
    return pd.concat(tables, ignore_index=True)


def score_frame(
    result: np.ndarray,
    with_lesions: np.ndarray | None,
    frame: Frame,
    metrics: Sequence[str],
    gap_step: int,
    lpips_network: Any,
) -> list[pd.DataFrame]:
    """The scores of every scored slice of an interpolated frame, and of the frame as a whole."""
    of_volumes = [metric for metric in metrics if metric in VOLUME_METRICS]
    of_slices = [metric for metric in metrics if metric not in VOLUME_METRICS]
    tables = []
    if of_slices:
        tables.append(
            score_volume(
                central(result, frame.score_px),
                central(frame.target, frame.score_px),
                frame.factor,
                metrics=of_slices,
                gap_step=gap_step,
                mask=central(frame.mask, frame.score_px),
                lpips_network=lpips_network,
            )
        )
    if of_volumes:
        tables.append(score_whole(result, with_lesions, frame, of_volumes))
    return tables
