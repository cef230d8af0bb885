"""Metrics that have one value for a whole volume, as rows of the long table: slice WHOLE_VOLUME, kind synthesised.

That kind because they are about what was synthesised: tables, figures and tests of synthesised slices have
them without knowing of them. They need every gap of a volume, not only the scored ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interslice.data.volumes import Volume, central, central_box, decimate
from interslice.scoring.edges_and_tissue import edge_width, tissue_agreement
from interslice.scoring.lesions import DIAMETERS_MM, insert, place_lesions, recovered_contrast

LESION_METRICS = {f"lesion_{diameter}mm": diameter for diameter in DIAMETERS_MM}
VOLUME_METRICS = ("edge_widening", "dice", "volume_error", *LESION_METRICS)
WHOLE_VOLUME = -1


@dataclass(frozen=True)
class Frame:
    """A frame to score: the reference (slices, rows, columns), its foreground, K, spacing, slice profile, the side of the
    central square that is scored (None: all), and a name that seeds what is drawn at random.
    """

    target: np.ndarray
    mask: np.ndarray
    factor: int
    spacing_mm: tuple[float, float, float]
    slice_profile: str
    score_px: int | None
    name: str


def score_whole(
    result: np.ndarray,
    frame: Frame,
    metrics: Sequence[str],
    interpolate: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> pd.DataFrame:
    """The VOLUME_METRICS among `metrics`, whole image and foreground, in the columns of `metrics.score_volume`.

    result: the interpolated frame. interpolate: the method, from a low-resolution frame and its reference to
    the interpolated one, for lesions. Contrast of lesions is the same in both regions: they lie in the foreground.
    """
    shown, target, mask = (central(one, frame.score_px) for one in (result, frame.target, frame.mask))
    factor = frame.factor
    lesions = lesion_contrast(result, frame, interpolate) if set(metrics) & set(LESION_METRICS) else {}
    rows = []
    for region, inside in (("whole", None), ("foreground", mask)):
        values = dict(lesions)
        if "edge_widening" in metrics:
            widths = (edge_width(one, target, factor, frame.spacing_mm[0], inside) for one in (shown, target))
            values["edge_widening"] = next(widths) - next(widths)
        if {"dice", "volume_error"} & set(metrics):
            values["dice"], values["volume_error"] = tissue_agreement(shown, target, factor, inside)
        rows += [(region, metric, values[metric]) for metric in metrics]
    table = pd.DataFrame(rows, columns=["region", "metric", "value"])
    return table.assign(slice=WHOLE_VOLUME, kind="synthesised")


def lesion_contrast(
    result: np.ndarray, frame: Frame, interpolate: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> dict[str, float]:
    """Insert lesions, drop the slices again, interpolate, and compare with `result`, which has none: a value per metric."""
    scored = np.zeros_like(frame.mask)
    scored[central_box(scored.shape, frame.score_px)] = True
    lesions = place_lesions(frame.target, frame.mask & scored, frame.spacing_mm, frame.name)
    changed = insert(frame.target, lesions)
    volume = Volume(changed[np.newaxis], np.diag([*frame.spacing_mm, 1.0]), 0)
    low = decimate(volume, frame.factor, frame.slice_profile)
    recovered = recovered_contrast(interpolate(low.data[0], changed), result, lesions)
    return {metric: recovered[diameter] for metric, diameter in LESION_METRICS.items()}
