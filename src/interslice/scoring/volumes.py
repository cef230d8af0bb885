"""Metrics that have one value for a whole volume, as rows of the long table: slice WHOLE_VOLUME, kind synthesised.

That kind because they are about what was synthesised: tables, figures and tests of synthesised slices have
them without knowing of them. They need every gap of a volume, not only the scored ones.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from interslice.data.volumes import central
from interslice.scoring.edges_and_tissue import tissue_agreement
from interslice.scoring.frames import Frame, lesions_of
from interslice.scoring.lesions import recover
from interslice.scoring.longtable import REGIONS
from interslice.scoring.registry import METRICS
from interslice.scoring.sharpness import half_transfer

WHOLE_VOLUME = -1


def score_whole(
    result: np.ndarray, with_lesions: np.ndarray | None, frame: Frame, metrics: Sequence[str]
) -> pd.DataFrame:
    """The values of `metrics`, some of VOLUME_METRICS, whole image and foreground, in the columns of `slices.score_volume`.

    result: the interpolated frame; with_lesions: the frame `frames.with_inserted` interpolated, for metrics of lesions. Values
    of lesions and of an expert's labels are the same in both regions: they lie in the foreground. A frame without labels has
    no row of what needs them.
    """
    shown, target, mask = (central(one, frame.score_px) for one in (result, frame.target, frame.mask))
    seen = replace(frame, target=target, mask=mask)
    values = {
        (region, metric): METRICS[metric].load()(shown, seen, inside)
        for region, inside in (("whole", None), ("foreground", mask))
        for metric in metrics
        if not METRICS[metric].needs
    }
    for metric in metrics:
        if METRICS[metric].needs == "labels" and frame.labels is not None:
            value = METRICS[metric].load()(shown, central(frame.labels, frame.score_px), frame.factor)
            values |= {("whole", metric): value, ("foreground", metric): value}
    of_lesions = [metric for metric in metrics if METRICS[metric].needs == "lesions"]
    if of_lesions:
        assert with_lesions is not None, "metrics of lesions need the volume with lesions"
        lesions = lesions_of(frame)
        recovered = recover(with_lesions, result, lesions, frame.factor, frame.spacing_mm)
        for metric in of_lesions:
            size = METRICS[metric].diameter_mm
            own = [one for lesion, one in zip(lesions, recovered, strict=True) if lesion.diameter_mm == size]
            value = METRICS[metric].load()(own)
            values |= {("whole", metric): value, ("foreground", metric): value}
    rows = [
        (region, metric, values[region, metric])
        for region in REGIONS
        for metric in metrics
        if (region, metric) in values
    ]
    table = pd.DataFrame(rows, columns=["region", "metric", "value"])
    return table.assign(slice=WHOLE_VOLUME, kind="synthesised")


def mtf50(result: np.ndarray, frame: Frame, inside: np.ndarray | None) -> float:
    """Through-plane sharpness in cycles/mm (`sharpness.half_transfer`)."""
    return half_transfer(result, frame.target, inside) / frame.spacing_mm[0]


def dice(result: np.ndarray, frame: Frame, inside: np.ndarray | None) -> float:
    """Mean Dice of the tissue classes (`tissue_agreement`)."""
    return tissue_agreement(result, frame.target, frame.factor, inside)[0]


def volume_error(result: np.ndarray, frame: Frame, inside: np.ndarray | None) -> float:
    """Mean relative error of the volumes of the tissue classes (`tissue_agreement`)."""
    return tissue_agreement(result, frame.target, frame.factor, inside)[1]
