"""Image quality per slice under the strict protocol.

Every metric takes the range of the data explicitly and works in float64 (LPIPS in the network's own
precision). It is NaN where it is not defined: an empty mask, or VIF of a reference without contrast.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.metrics import structural_similarity

from interslice.common.errors import InputError
from interslice.scoring.edges_and_tissue import edge_error, flat_error

WANG_2004 = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
SSIM_RADIUS = 5  # scikit-image truncates the window of sigma 1.5 to 11 x 11 pixels
VIF_WINDOWS = (17, 9, 5, 3)  # side per scale, sigma = side / 5
VIF_NOISE_VARIANCE = 2.0  # variance of the visual noise, on a 0-255 scale
VIF_EPS = 1e-10
# VIF halves the image three times and must keep a 3 x 3 window; of the LPIPS backbones AlexNet needs most.
SMALLEST_SIDE = {
    "ssim": 2 * SSIM_RADIUS + 1,
    "psnr": 1,
    "vif": 41,
    "lpips": 31,
    "edge_error": 3,
    "flat_error": 3,
}
VOLUME_AXES = ("slices", "rows", "columns")


def ssim(
    image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: np.ndarray | None = None
) -> float:
    """SSIM of Wang, Bovik, Sheikh and Simoncelli 2004: Gaussian window of sigma 1.5, population covariance.

    image, reference: (rows, columns), any real dtype, sides of at least 11. Returns a value in [-1, 1], 1 for
    identical images: the mean of the SSIM map over all pixels whose window lies inside the image, as
    scikit-image takes it. With mask, boolean (rows, columns): the mean over those that are in the mask, NaN
    where none is.
    """
    image, reference = _float_pair(image, reference, data_range, mask, "ssim")
    mean, ssim_map = structural_similarity(image, reference, data_range=data_range, full=True, **WANG_2004)
    if mask is None:
        return float(mean)
    inside = slice(SSIM_RADIUS, -SSIM_RADIUS)
    inside_mask = mask[inside, inside]
    return float(ssim_map[inside, inside][inside_mask].mean()) if inside_mask.any() else math.nan


def psnr(
    image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: np.ndarray | None = None
) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(data_range^2 / MSE); inf for identical images.

    image, reference: (rows, columns), any real dtype. With mask, boolean (rows, columns): the MSE over the
    mask, NaN where it is empty.
    """
    image, reference = _float_pair(image, reference, data_range, mask, "psnr")
    error = (image - reference) if mask is None else (image - reference)[mask]
    if error.size == 0:
        return math.nan
    mse = float(np.mean(error**2))
    return math.inf if mse == 0 else 10 * math.log10(data_range**2 / mse)


def vif(
    image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: np.ndarray | None = None
) -> float:
    """Visual information fidelity in the pixel domain, Sheikh and Bovik 2006, on a 0-255 scale in float64.

    Four scales, windows, valid borders and thresholds as in sewar's `vifp`, which it equals; not symmetric.
    image, reference: (rows, columns), any real dtype, sides of at least 41. Returns 1 for identical images,
    near 0 for unrelated ones, above 1 where contrast is raised; NaN for a constant reference, which has no
    information to keep. With mask, boolean (rows, columns): pixels outside it are 0 in both images; NaN where
    the mask is empty.
    """
    image, reference = _float_pair(image, reference, data_range, mask, "vif")
    pair = np.stack([reference, image]) * (255 / data_range)
    if mask is not None:
        pair = np.where(mask, pair, 0.0)
    kept = available = 0.0
    for scale, side in enumerate(VIF_WINDOWS):
        if scale:
            pair = _gaussian_valid(pair, side)[:, ::2, ::2]
        kept_here, available_here = _vif_information(pair[0], pair[1], side)
        kept, available = kept + kept_here, available + available_here
    return kept / available if available else math.nan


def _vif_information(reference: np.ndarray, image: np.ndarray, side: int) -> tuple[float, float]:
    """Information of the reference that one scale of the image keeps, and all that there is.

    The image is modelled locally as gain * reference + noise; where the gain would be negative, as noise
    alone.
    """
    moments = _gaussian_valid(np.stack([reference, image, reference**2, image**2, reference * image]), side)
    mean_r, mean_i, square_r, square_i, product = moments
    var_r = np.maximum(square_r - mean_r**2, 0)
    var_i = np.maximum(square_i - mean_i**2, 0)
    covariance = product - mean_r * mean_i
    gain = covariance / (var_r + VIF_EPS)
    noise = var_i - gain * covariance
    no_gain = (var_r < VIF_EPS) | (var_i < VIF_EPS) | (gain < 0)
    noise[no_gain] = var_i[no_gain]
    gain[no_gain] = 0
    var_r[var_r < VIF_EPS] = 0
    noise = np.maximum(noise, VIF_EPS)
    kept = np.log10(1 + gain**2 * var_r / (noise + VIF_NOISE_VARIANCE)).sum()
    return float(kept), float(np.log10(1 + var_r / VIF_NOISE_VARIANCE).sum())


def _gaussian_valid(stack: np.ndarray, side: int) -> np.ndarray:
    """Filter (n, rows, columns) with a normalised Gaussian of `side` taps and keep what needs no padding."""
    half = side // 2
    taps = np.exp(-0.5 * (np.arange(-half, half + 1) / (side / 5)) ** 2)
    taps /= taps.sum()
    stack = ndimage.correlate1d(stack, taps, axis=1, mode="constant")[:, half:-half]
    return ndimage.correlate1d(stack, taps, axis=2, mode="constant")[:, :, half:-half]


def lpips_distances(
    images: np.ndarray,
    references: np.ndarray,
    network: Any,
    *,
    mask: np.ndarray | None = None,
    batch: int = 4,
) -> np.ndarray:
    """LPIPS of Zhang, Isola, Efros, Shechtman and Wang 2018 per pair of slices; 0 for identical ones.

    images, references: (n, rows, columns), values in [0, 1], sides of at least 31; the channel is repeated to
    three and scaled to [-1, 1]. network: an lpips.LPIPS in evaluation mode; its device and precision are
    used, `batch` pairs at a time (VGG16 on a CPU is a fifth slower with 16 than with 4). Returns (n,)
    float64. With mask, boolean (n, rows, columns): pixels outside it are 0 in both, and a slice with an empty
    mask is NaN. Raises InputError for other shapes, or a network in training mode, whose dropout would make
    the distance random.
    """
    import torch  # here, because whoever needs no LPIPS should not wait for torch

    _check_shapes(images, references, mask, VOLUME_AXES, ["lpips"])
    if network.training:
        raise InputError("lpips network: training mode found, must be in evaluation mode (network.eval())")
    parameter = next(network.parameters())

    def rgb(stack: np.ndarray, chosen: np.ndarray) -> torch.Tensor:
        kept = stack[chosen] if mask is None else np.where(mask[chosen], stack[chosen], 0)
        tensor = torch.from_numpy(np.ascontiguousarray(kept)).to(parameter.device, parameter.dtype)
        return (2 * tensor - 1)[:, None].expand(-1, 3, -1, -1)  # (b, 3, rows, columns)

    differs = (images != references) if mask is None else (images != references) & mask
    changed = differs.any(axis=(1, 2))
    distances = np.where(changed, np.nan, 0.0)  # what a method passes through costs nothing
    if mask is not None:
        distances[~mask.any(axis=(1, 2))] = np.nan
    scored = np.flatnonzero(changed)
    with torch.no_grad():
        for start in range(0, len(scored), batch):
            chosen = scored[start : start + batch]
            found = network(rgb(images, chosen), rgb(references, chosen))
            distances[chosen] = found.flatten().double().cpu().numpy()
    return distances


# The strict protocol. LPIPS is apart because it scores slices in batches.
SLICE_METRICS: dict[str, Callable[..., float]] = {
    "ssim": ssim,
    "psnr": psnr,
    "vif": vif,
    "edge_error": edge_error,
    "flat_error": flat_error,
}
METRICS = (*SLICE_METRICS, "lpips")


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
    measures: Mapping[str, Callable[..., float]] = SLICE_METRICS,
) -> pd.DataFrame:
    """Score an interpolated volume slice by slice, whole image and foreground; by default under the strict protocol.

    result, reference: (n_out, rows, columns) float, normalised to [0, 1] (data_range is 1), with n_out = (n -
    1) factor + 1. mask: bool of the same shape (`foreground_mask` of the reference), or None for the whole image
    alone. metrics: some of METRICS; "lpips" needs `lpips_network`. measures: the function of every other metric, an
    audit has its own. Only `scored_slices` are scored. Returns the columns slice, kind
    ("kept" for every factor-th slice, else "synthesised"), region ("whole" or "foreground"), metric, value, with
    inf (PSNR of equal slices) and NaN (VIF of a flat reference) as they come. Region foreground has the scored
    slices that have any, a choice of the reference alone. Raises InputError for shapes that do not match, scored
    values that are not finite, slices too small for a metric, and a metric that is unknown, repeated or without its network.
    """
    _check_metrics(metrics, lpips_network)
    _check_shapes(result, reference, mask, VOLUME_AXES, metrics)
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
            value = (
                lpips_distances(*pair[:2], lpips_network, mask=region_mask)
                if metric == "lpips"
                else _scores(measures[metric], *pair)
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
    if not metrics or not set(metrics) <= set(METRICS) or len(set(metrics)) < len(metrics):
        raise InputError(f"metrics: {list(metrics)} found, allowed are some of {list(METRICS)}, each once")
    if "lpips" in metrics and lpips_network is None:
        raise InputError("metrics: lpips found without a network, lpips_network must be given")


def _check_shapes(
    image: np.ndarray,
    reference: np.ndarray,
    mask: np.ndarray | None,
    axes: Sequence[str],
    metrics: Sequence[str],
) -> None:
    if image.shape != reference.shape or image.ndim != len(axes):
        raise InputError(
            f"score: image of shape {image.shape} and reference of shape {reference.shape} found, both must "
            f"have the same ({', '.join(axes)})"
        )
    if mask is not None and (mask.shape != reference.shape or mask.dtype != bool):
        raise InputError(
            f"mask: {mask.dtype} of shape {mask.shape} found, must be bool of shape {reference.shape}"
        )
    for metric in metrics:
        side = SMALLEST_SIDE[metric]
        if min(image.shape[-2:]) < side:
            raise InputError(f"{metric}: slices of {image.shape[-2:]} found, sides must be at least {side}")


def _float_pair(
    image: np.ndarray, reference: np.ndarray, data_range: float, mask: np.ndarray | None, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """The checked pair in float64, so that no integer type can wrap around."""
    _check_shapes(image, reference, mask, ("rows", "columns"), [metric])
    if not (data_range > 0 and math.isfinite(data_range)):
        raise InputError(f"data_range: {data_range} found, must be finite and above 0")
    return image.astype(np.float64), reference.astype(np.float64)
