"""How alike two images are: SSIM, PSNR and VIF, one place for each formula.

Every metric takes the range of the data explicitly and works in float64. It is NaN where it is not defined: an
empty mask, or VIF of a reference without contrast. VIF is our own because it is seven to fifteen times as fast as
sewar's, which it equals to 1e-9.
"""

import math
from collections.abc import Sequence

import numpy as np
import scipy
import skimage

from interslice.common.errors import InputError

WANG_2004 = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
SSIM_RADIUS = 5  # scikit-image truncates the window of sigma 1.5 to 11 x 11 pixels
VIF_WINDOWS = (17, 9, 5, 3)  # side per scale, sigma = side / 5
VIF_SIDE = 41  # VIF halves the image three times and must keep a 3 x 3 window
VIF_NOISE_VARIANCE = 2.0  # variance of the visual noise, on a 0-255 scale
VIF_EPS = 1e-10


def ssim(
    image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: np.ndarray | None = None
) -> float:
    """SSIM of Wang, Bovik, Sheikh and Simoncelli 2004: Gaussian window of sigma 1.5, population covariance.

    image, reference: (rows, columns), any real dtype, sides of at least 11. Returns a value in [-1, 1], 1 for
    identical images: the mean of the SSIM map over all pixels whose window lies inside the image, as
    scikit-image takes it. With mask, boolean (rows, columns): the mean over those that are in the mask, NaN
    where none is.
    """
    return ssim_regions(image, reference, [mask], data_range=data_range)[0]


def ssim_regions(
    image: np.ndarray, reference: np.ndarray, masks: Sequence[np.ndarray | None], *, data_range: float
) -> list[float]:
    """`ssim` with each of the masks (None: the whole image), of one map."""
    for mask in masks:
        check_pair(image, reference, mask, name="ssim", smallest_side=2 * SSIM_RADIUS + 1)
    image, reference = _as_float(image, reference, data_range)
    mean, ssim_map = skimage.metrics.structural_similarity(
        image, reference, data_range=data_range, full=True, **WANG_2004
    )
    inside = slice(SSIM_RADIUS, -SSIM_RADIUS)
    valid = ssim_map[inside, inside]
    chosen = [None if mask is None else valid[mask[inside, inside]] for mask in masks]
    return [float(mean) if one is None else float(one.mean()) if one.size else math.nan for one in chosen]


def psnr(
    image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: np.ndarray | None = None
) -> float:
    """Peak signal-to-noise ratio in dB (`decibels`); inf for identical images.

    image, reference: (rows, columns), any real dtype. With mask, boolean (rows, columns): the MSE over the
    mask, NaN where it is empty.
    """
    check_pair(image, reference, mask, name="psnr")
    image, reference = _as_float(image, reference, data_range)
    error = (image - reference) if mask is None else (image - reference)[mask]
    return decibels(float(np.mean(error**2)), data_range=data_range) if error.size else math.nan


def decibels(mse: float, *, data_range: float) -> float:
    """The PSNR of a mean squared error, 10 log10(data_range^2 / MSE) dB; inf for 0."""
    return math.inf if mse == 0 else 10 * math.log10(data_range**2 / mse)


def vif(
    image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: np.ndarray | None = None
) -> float:
    """Visual information fidelity in the pixel domain, Sheikh and Bovik 2006, on a 0-255 scale in float64.

    Four scales, windows, valid borders and thresholds as in sewar's `vifp`, which it equals; not symmetric.
    image, reference: (rows, columns), any real dtype, sides of at least 41. Returns 1 for identical images,
    near 0 for unrelated ones, above 1 where contrast is raised; NaN for a constant reference, which has no
    information to keep. With mask, boolean (rows, columns): the sums of both are over the windows that lie in the
    mask as a whole, at every scale; NaN where none does.
    """
    return vif_regions(image, reference, [mask], data_range=data_range)[0]


def vif_regions(
    image: np.ndarray, reference: np.ndarray, masks: Sequence[np.ndarray | None], *, data_range: float
) -> list[float]:
    """`vif` with each of the masks (None: the whole image), of one pyramid."""
    for mask in masks:
        check_pair(image, reference, mask, name="vif", smallest_side=VIF_SIDE)
    image, reference = _as_float(image, reference, data_range)
    pair = np.stack([reference, image]) * (255 / data_range)
    inside = [np.full(reference.shape, True) if mask is None else mask for mask in masks]
    kept, available = np.zeros(len(masks)), np.zeros(len(masks))
    for scale, side in enumerate(VIF_WINDOWS):
        if scale:
            pair = _gaussian_valid(pair, side)[:, ::2, ::2]
            inside = [_eroded_valid(one, side)[::2, ::2] for one in inside]
        kept_here, available_here = _vif_information(pair[0], pair[1], side)
        for region, one in enumerate(inside):
            windows = _eroded_valid(one, side)
            kept[region] += kept_here[windows].sum()
            available[region] += available_here[windows].sum()
    return [float(part / of) if of else math.nan for part, of in zip(kept, available, strict=True)]


def _vif_information(reference: np.ndarray, image: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Information of the reference that one scale of the image keeps in each window, and all that there is.

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
    kept = np.log10(1 + gain**2 * var_r / (noise + VIF_NOISE_VARIANCE))
    return kept, np.log10(1 + var_r / VIF_NOISE_VARIANCE)


def _gaussian_valid(stack: np.ndarray, side: int) -> np.ndarray:
    """Filter (n, rows, columns) with a normalised Gaussian of `side` taps and keep what needs no padding."""
    half = side // 2
    taps = np.exp(-0.5 * (np.arange(-half, half + 1) / (side / 5)) ** 2)
    taps /= taps.sum()
    stack = scipy.ndimage.correlate1d(stack, taps, axis=1, mode="constant")[:, half:-half]
    return scipy.ndimage.correlate1d(stack, taps, axis=2, mode="constant")[:, :, half:-half]


def _eroded_valid(mask: np.ndarray, side: int) -> np.ndarray:
    """Whether each window of `side` pixels that needs no padding lies in the mask (rows, columns) as a whole."""
    half = side // 2
    return scipy.ndimage.minimum_filter(mask, side)[half:-half, half:-half]


def check_pair(
    image: np.ndarray,
    reference: np.ndarray,
    mask: np.ndarray | None,
    *,
    name: str,
    smallest_side: int = 1,
    axes: Sequence[str] = ("rows", "columns"),
) -> None:
    """Raise InputError unless image and reference have the same `axes`, a mask fits, and the slices are not too small."""
    if image.shape != reference.shape or image.ndim != len(axes):
        raise InputError(
            f"score: image of shape {image.shape} and reference of shape {reference.shape} found, both must "
            f"have the same ({', '.join(axes)})"
        )
    if mask is not None and (mask.shape != reference.shape or mask.dtype != bool):
        raise InputError(
            f"mask: {mask.dtype} of shape {mask.shape} found, must be bool of shape {reference.shape}"
        )
    if min(image.shape[-2:]) < smallest_side:
        raise InputError(
            f"{name}: slices of {image.shape[-2:]} found, sides must be at least {smallest_side}"
        )


def _as_float(image: np.ndarray, reference: np.ndarray, data_range: float) -> tuple[np.ndarray, np.ndarray]:
    """The pair in float64, so that no integer type can wrap around."""
    if not (data_range > 0 and math.isfinite(data_range)):
        raise InputError(f"data_range: {data_range} found, must be finite and above 0")
    return image.astype(np.float64), reference.astype(np.float64)
