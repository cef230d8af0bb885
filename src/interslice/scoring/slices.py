"""Scores of every slice of an interpolated volume, under the strict protocol."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interslice.common.errors import InputError
from interslice.common.similarity import check_pair
from interslice.scoring.registry import METRICS, SLICE_METRICS

VOLUME_AXES = ("slices", "rows", "columns")


def scored_slices(slices: int, factor: int, gap_step: int = 1) -> np.ndarray:
    """Indices of the slices in gaps 0, gap_step, 2 gap_step... of a volume of `slices` slices.

    A gap is the kept slice that begins it and the factor - 1 synthesised ones that follow.
    """
    if gap_step < 1:
        raise InputError(f"gap_step: {gap_step} found, allowed are whole numbers of at least 1")
    index = np.arange(slices)
    return index[(index // factor) % gap_step == 0]


def score_volume(
    result: np.ndarray,
    reference: np.ndarray,
    factor: int,
    *,
    metrics: Sequence[str],
    mask: np.ndarray | None,
    lpips_network: Any = None,
    gap_step: int = 1,
    measures: Mapping[str, Callable[..., float]] | None = None,
) -> pd.DataFrame:
    """Score an interpolated volume slice by slice, whole image and foreground; by default under the strict protocol.

    result, reference: (n_out, rows, columns) float, normalised to [0, 1] (data_range is 1), with n_out = (n -
    1) factor + 1. mask: bool of the same shape (`foreground_mask` of the reference), or None for the whole image
    alone. metrics: some of SLICE_METRICS; "lpips" needs `lpips_network`. measures: functions in place of the registry's, an
    audit has its own. Only `scored_slices` are scored. Returns the columns slice, kind
    ("kept" for every factor-th slice, else "synthesised"), region ("whole" or "foreground"), metric, value, with
    inf (PSNR of equal slices) and NaN (VIF of a flat reference) as they come. Region foreground has the scored
    slices that have any, a choice of the reference alone. Raises InputError for shapes that do not match, scored
    values that are not finite, slices too small for a metric, and a metric that is unknown, repeated or without its network.
    """
    _check_metrics(metrics, lpips_network)
    for metric in metrics:
        side = METRICS[metric].smallest_side
        check_pair(result, reference, mask, name=metric, smallest_side=side, axes=VOLUME_AXES)
    if factor < 2 or len(result) <= factor or (len(result) - 1) % factor:
        raise InputError(
            f"score: {len(result)} slices at factor {factor} found, allowed are (n - 1) * factor + 1 with "
            "n and factor of at least 2"
        )
    index = scored_slices(len(result), factor, gap_step)
    result, reference = result[index], reference[index]
    for name, volume in (("result", result), ("reference", reference)):
        bad = volume.size - np.count_nonzero(np.isfinite(volume))
        if bad:
            raise InputError(f"score: {bad} voxels of the {name} are NaN or infinite, all must be finite")
    kind = np.where(index % factor == 0, "kept", "synthesised")
    regions: list[tuple[str, np.ndarray, np.ndarray | None]] = [("whole", np.full(len(index), True), None)]
    if mask is not None:
        inside = mask[index].any(axis=(1, 2))
        regions.append(("foreground", inside, mask[index][inside]))
    tables = []
    for region, chosen, region_mask in regions:
        columns = {"slice": index[chosen], "kind": kind[chosen], "region": region}
        for metric in metrics:
            pair = result[chosen], reference[chosen], region_mask
            measure = (measures or {}).get(metric) or METRICS[metric].load()
            value = (
                measure(*pair[:2], lpips_network, mask=region_mask)
                if METRICS[metric].needs == "lpips_network"
                else _scores(measure, *pair)
            )
            tables.append(pd.DataFrame({**columns, "metric": metric, "value": value}))
    return pd.concat(tables, ignore_index=True)


def _scores(
    measure: Callable[..., float], result: np.ndarray, reference: np.ndarray, mask: np.ndarray | None
) -> np.ndarray:
    """One value per slice."""
    masks = [None] * len(result) if mask is None else mask
    slices = zip(result, reference, masks, strict=True)
    return np.array([measure(image, target, data_range=1.0, mask=inside) for image, target, inside in slices])


def _check_metrics(metrics: Sequence[str], lpips_network: Any) -> None:
    if not metrics or not set(metrics) <= set(SLICE_METRICS) or len(set(metrics)) < len(metrics):
        raise InputError(
            f"metrics: {list(metrics)} found, allowed are some of {list(SLICE_METRICS)}, each once"
        )
    for metric in metrics:
        if METRICS[metric].needs == "lpips_network" and lpips_network is None:
            raise InputError(f"metrics: {metric} found without a network, lpips_network must be given")
