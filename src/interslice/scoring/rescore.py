"""Scores of slices by other people's code: sewar, scikit-image and lpips themselves, to check a study's own by."""

from typing import Any

import numpy as np
import skimage
from sewar.full_ref import vifp

from interslice.common.similarity import WANG_2004

LIBRARIES = {"ssim": "scikit-image", "psnr": "scikit-image", "vif": "sewar", "lpips": "lpips"}
# A network in other batches rounds otherwise.
ALLOWED = {"ssim": 1e-5, "psnr": 1e-5, "vif": 1e-5, "lpips": 1e-3}


def rescore(metric: str, image: np.ndarray, reference: np.ndarray, network: Any) -> float:
    """A metric of LIBRARIES of one pair of slices (rows, columns) in [0, 1], whole image; network: lpips' own, for "lpips"."""
    image, reference = (np.asarray(one, dtype=np.float64) for one in (image, reference))
    if metric == "ssim":
        return float(skimage.metrics.structural_similarity(image, reference, data_range=1, **WANG_2004))
    # Equal slices have no error, flat ones no information.
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric == "psnr":
            return float(skimage.metrics.peak_signal_noise_ratio(reference, image, data_range=1))
        if metric == "vif":
            return float(vifp(255 * reference, 255 * image))
    import torch

    pair = (torch.from_numpy(one).float()[None, None].expand(-1, 3, -1, -1) for one in (image, reference))
    with torch.no_grad():
        return float(network(*pair, normalize=True))


def deviation(ours: float, theirs: float) -> float:
    """How far two scores are apart; 0 where both are NaN or the same infinity, inf where only one is."""
    if np.isnan(ours) or np.isnan(theirs) or np.isinf(ours) or np.isinf(theirs):
        return 0.0 if ours == theirs or (np.isnan(ours) and np.isnan(theirs)) else np.inf
    return abs(ours - theirs)
