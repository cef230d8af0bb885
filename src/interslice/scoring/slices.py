"""Scores of every slice of an interpolated volume, under the strict protocol."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interslice.common.errors import InputError
from interslice.common.similarity import check_pair
from interslice.scoring.registry import METRICS, SLICE_METRICS, one_by_one

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
    _check_shapes(result, reference, mask, factor, metrics)
    index = scored_slices(len(result), factor, gap_step)
    result, reference = result[index], reference[index]
    for name, volume in (("result", result), ("reference", reference)):
        bad = volume.size - np.count_nonzero(np.isfinite(volume))
        if bad:
            raise InputError(f"score: {bad} voxels of the {name} are NaN or infinite, all must be finite")
    masks: list[np.ndarray | None] = [None] if mask is None else [None, mask[index]]
    values = {}
    for metric in metrics:
        if METRICS[metric].needs == "lpips_network":
            values[metric] = METRICS[metric].load_regions()(result, reference, lpips_network, masks)
        else:
            own = (measures or {}).get(metric)
            measure = one_by_one(own) if own else METRICS[metric].load_regions()
            values[metric] = _scores(measure, result, reference, masks)
    kind = np.where(index % factor == 0, "kept", "synthesised")
    tables = []
    for region, (name, inside) in enumerate(zip(("whole", "foreground"), masks, strict=False)):
        chosen = np.full(len(index), True) if inside is None else inside.any(axis=(1, 2))
        columns = {"slice": index[chosen], "kind": kind[chosen], "region": name}
        for metric in metrics:
            tables.append(
                pd.DataFrame({**columns, "metric": metric, "value": values[metric][region][chosen]})
            )
    return pd.concat(tables, ignore_index=True)


def _check_shapes(
    result: np.ndarray, reference: np.ndarray, mask: np.ndarray | None, factor: int, metrics: Sequence[str]
) -> None:
    for metric in metrics:
        side = METRICS[metric].smallest_side
        check_pair(result, reference, mask, name=metric, smallest_side=side, axes=VOLUME_AXES)
    if factor < 2 or len(result) <= factor or (len(result) - 1) % factor:
        raise InputError(
            f"score: {len(result)} slices at factor {factor} found, allowed are (n - 1) * factor + 1 with "
            "n and factor of at least 2"
        )


def _scores(
    measure: Callable[..., list[float]],
    result: np.ndarray,
    reference: np.ndarray,
    masks: Sequence[np.ndarray | None],
) -> np.ndarray:
    """(regions, slices): one value per slice and mask."""
    of_slices = zip(*(len(result) * [None] if mask is None else mask for mask in masks), strict=True)
    pairs = zip(result, reference, of_slices, strict=True)
    found = [measure(image, target, inside, data_range=1.0) for image, target, inside in pairs]
    return np.array(found).T


def _check_metrics(metrics: Sequence[str], lpips_network: Any) -> None:
    if not metrics or not set(metrics) <= set(SLICE_METRICS) or len(set(metrics)) < len(metrics):
        raise InputError(
            f"metrics: {list(metrics)} found, allowed are some of {list(SLICE_METRICS)}, each once"
        )
    for metric in metrics:
        if METRICS[metric].needs == "lpips_network" and lpips_network is None:
            raise InputError(f"metrics: {metric} found without a network, lpips_network must be given")
