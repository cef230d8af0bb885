"""The released evaluation of Sander, de Vos and Isgum 2022, item by item, so that its effect can be measured.

Four items change the scores of slices: they are protocols of the long table, each with rows of its own only where it can
change a score. Three change the test on those scores; `audit` switches them. The seven together are `as_published`.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pandas as pd
import scipy
from skimage.metrics import structural_similarity

from interslice.common.similarity import VIF_EPS, VIF_NOISE_VARIANCE, VIF_WINDOWS
from interslice.data.interpolated import read_interpolated
from interslice.data.volumes import open_volume, output_size, reference_slices, scale_intensities
from interslice.methods.base import Method
from interslice.methods.conventional import Conventional
from interslice.scoring.evaluation import TestCase, central
from interslice.scoring.frames import interpolate_frame
from interslice.scoring.slices import score_volume, scored_slices

STRICT, AS_PUBLISHED = "strict", "as_published"
AUDITED_METRICS = ("ssim", "psnr", "vif")  # those of the released evaluation


SCORE_ITEMS = ("shifted_baselines", "legacy_ssim", "wrapping_vif", "separate_scaling")
TEST_ITEMS = ("all_slices", "frames_as_samples", "bonferroni")
ITEMS = (*SCORE_ITEMS, *TEST_ITEMS)
# To the items that are switched on.
PROTOCOLS: dict[str, frozenset[str]] = {
    STRICT: frozenset(),
    **{item: frozenset({item}) for item in ITEMS},
    AS_PUBLISHED: frozenset(ITEMS),
}
SCORED = (*SCORE_ITEMS, AS_PUBLISHED)  # the protocols that have rows in the long table besides strict


def shifted_positions(slices: int, factor: int) -> np.ndarray:
    """Where a filter that keeps the field of view puts the first (n - 1) K + 1 outputs: (k + 0.5) / K - 0.5.

    The released evaluation compares them with reference slice k, which lies at k / K: (K - 1) / 2 output slices off.
    """
    return (np.arange(output_size(slices, factor)) + 0.5) / factor - 0.5


def interpolate_shifted(method: Conventional, volume: np.ndarray, factor: int) -> np.ndarray:
    """As `Method.interpolate`, on the shifted grid, so that no output is an input; clipped to [0, 1]."""
    return np.clip(method.interpolate_at(volume, shifted_positions(volume.shape[0], factor)), 0, 1)


def legacy_ssim(image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: None = None) -> float:
    """SSIM as scikit-image took it without a data range: range 2 whatever the data, 7 x 7 mean, sample covariance.

    image, reference: (rows, columns) float in [0, 1], sides of at least 7. `data_range` is what the caller knows
    and the released evaluation did not say. The range of floats was taken to be that of [-1, 1].
    """
    del data_range, mask
    return float(structural_similarity(image.astype(np.float64), reference.astype(np.float64), data_range=2))


def wrapping_vif(image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: None = None) -> float:
    """VIF of Sheikh and Bovik 2006 as it comes out in uint8: every product, filter and difference modulo 256.

    image, reference: (rows, columns), scaled to 0-255 and cut to whole numbers. Gaussians of scipy with reflected
    borders. Two unrelated smooth random images score about 0.86, where float64 gives 0.02. NaN where the
    reference seems to have no information.
    """
    del mask
    pair = [(255 * np.clip(side / data_range, 0, 1)).astype(np.uint8) for side in (reference, image)]
    kept = available = 0.0
    for scale, side in enumerate(VIF_WINDOWS):
        sigma = side / 5
        if scale:
            pair = [scipy.ndimage.gaussian_filter(one, sigma)[::2, ::2] for one in pair]
        kept_here, available_here = _wrapped_information(pair[0], pair[1], sigma)
        kept, available = kept + kept_here, available + available_here
    return kept / available if available else float("nan")


def _wrapped_information(reference: np.ndarray, image: np.ndarray, sigma: float) -> tuple[float, float]:
    """As in `similarity.vif`, but the local moments are uint8, and so negative ones come back as large ones."""
    mean_r, mean_i, square_r, square_i, product = (
        scipy.ndimage.gaussian_filter(one, sigma)
        for one in (reference, image, reference * reference, image * image, reference * image)
    )
    var_r, var_i, covariance = (
        difference.astype(np.float64)
        for difference in (square_r - mean_r * mean_r, square_i - mean_i * mean_i, product - mean_r * mean_i)
    )
    gain = covariance / (var_r + VIF_EPS)
    noise = np.maximum(var_i - gain * covariance, VIF_EPS)
    no_gain = (var_r == 0) | (var_i == 0)  # no gain is negative here, because no moment is
    noise[no_gain], gain[no_gain] = np.maximum(var_i[no_gain], VIF_EPS), 0
    kept = np.log10(1 + gain**2 * var_r / (noise + VIF_NOISE_VARIANCE)).sum()
    return float(kept), float(np.log10(1 + var_r / VIF_NOISE_VARIANCE).sum())


PUBLISHED_METRICS = {"ssim": legacy_ssim, "vif": wrapping_vif}


def own_extremes(volume: np.ndarray, name: str) -> np.ndarray:
    """Min-max scaling to [0, 1] by the volume's own extremes."""
    return scale_intensities(volume, {"scaling": "minmax"}, name)


def evaluate_as_published(
    method: Method,
    case: TestCase,
    factor: int,
    *,
    metrics: Sequence[str],
    gap_step: int,
    score_px: int | None = None,
    separate_scaling: bool = True,
) -> pd.DataFrame:
    """Score every frame of a case under the protocols of SCORED, whole image, same slices as the strict protocol.

    metrics: those of AUDITED_METRICS are scored; score_px as in `evaluation.evaluate`; separate_scaling: whether that item was
    released for such data, which it was for brains alone. Returns protocol, subject, frame,
    slice, kind, region, metric, value, without the rows that are the strict ones by construction: an SSIM does not depend
    on how VIF is taken, a trained method has no shifted grid, and a pair of volumes that both reach from 0 to 1 is not
    rescaled.
    """
    audited = [metric for metric in metrics if metric in AUDITED_METRICS]
    low, reference = open_volume(case.low), open_volume(case.reference)
    targets = reference_slices(reference.data, factor)
    results = read_interpolated(case.interpolated, case.low).data
    tables = []
    for frame in range(len(low.data)):
        scored = frame_scores(
            method,
            np.ascontiguousarray(low.data[frame]),
            np.ascontiguousarray(targets[frame]),
            results[frame],
            factor,
            metrics=audited,
            gap_step=gap_step,
            score_px=score_px,
            name=case.subject,
            separate_scaling=separate_scaling,
        )
        for protocol, scores in scored:
            tables.append(scores.assign(protocol=protocol, subject=case.subject, frame=frame))
    if not tables:
        return pd.DataFrame(
            columns=["protocol", "subject", "frame", "slice", "kind", "region", "metric", "value"]
        )
    return pd.concat(tables, ignore_index=True)


def frame_scores(
    method: Method,
    low: np.ndarray,
    target: np.ndarray,
    result: np.ndarray,
    factor: int,
    *,
    metrics: Sequence[str],
    gap_step: int,
    score_px: int | None,
    name: str,
    separate_scaling: bool,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """(protocol, scores of one metric) of a frame, wherever the protocol can change them; what several share is made once.

    result: `low` interpolated as it is; the method is asked for what is on a shifted grid, or scaled apart.
    """
    pairs = {False: (low, target), True: (own_extremes(low, name), own_extremes(target, name))}
    rescaled = separate_scaling and not all(map(np.array_equal, *pairs.values()))
    gaps = {int(index) // factor for index in scored_slices(len(target), factor, gap_step)}

    @cache
    def interpolated(shifted: bool, scaled: bool) -> np.ndarray:
        if shifted and isinstance(method, Conventional):
            return interpolate_shifted(method, pairs[scaled][0], factor)
        return interpolate_frame(method, *pairs[scaled], factor, gaps) if scaled else result

    @cache
    def scores(metric: str, published: bool, shifted: bool, scaled: bool) -> pd.DataFrame:
        return score_volume(
            central(interpolated(shifted, scaled), score_px),
            central(pairs[scaled][1], score_px),
            factor,
            metrics=[metric],
            mask=None,
            gap_step=gap_step,
            measures=PUBLISHED_METRICS if published else None,
        )

    for protocol in SCORED:
        items = PROTOCOLS[protocol]
        shifted = "shifted_baselines" in items and isinstance(method, Conventional)
        scaled = "separate_scaling" in items and rescaled
        for metric in metrics:
            published = {"ssim": "legacy_ssim" in items, "vif": "wrapping_vif" in items}.get(metric, False)
            if published or shifted or scaled:
                yield protocol, scores(metric, published, shifted, scaled)
