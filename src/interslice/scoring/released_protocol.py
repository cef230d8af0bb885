"""The released evaluation of Sander, de Vos and Isgum 2022, item by item, so that its effect can be measured.

Four items change the scores of slices: they are protocols of the long table, each with rows of its own only where it can
change a score. Three change the test on those scores; `audit` switches them. The seven together are `as_published`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Protocol:
    """Which items of the released evaluation are switched on."""

    shifted_baselines: bool = False
    legacy_ssim: bool = False
    wrapping_vif: bool = False
    separate_scaling: bool = False
    all_slices: bool = False
    frames_as_samples: bool = False
    bonferroni: bool = False


SCORE_ITEMS = ("shifted_baselines", "legacy_ssim", "wrapping_vif", "separate_scaling")
TEST_ITEMS = ("all_slices", "frames_as_samples", "bonferroni")
ITEMS = (*SCORE_ITEMS, *TEST_ITEMS)
PROTOCOLS = {
    STRICT: Protocol(),
    **{item: Protocol(**{item: True}) for item in ITEMS},
    AS_PUBLISHED: Protocol(**dict.fromkeys(ITEMS, True)),
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
    tables = []
    low, reference = open_volume(case.low), open_volume(case.reference)
    targets, results = (
        reference_slices(reference.data, factor),
        read_interpolated(case.interpolated, case.low).data,
    )
    for frame in range(low.data.shape[0]):
        pair = np.ascontiguousarray(low.data[frame]), np.ascontiguousarray(targets[frame])
        scorer = FrameScorer(
            method, *pair, results[frame], factor, gap_step, score_px, case.subject, separate_scaling
        )
        for protocol, scores in scorer.scored(audited):
            tables.append(scores.assign(protocol=protocol, subject=case.subject, frame=frame))
    if not tables:
        return pd.DataFrame(
            columns=["protocol", "subject", "frame", "slice", "kind", "region", "metric", "value"]
        )
    return pd.concat(tables, ignore_index=True)


class FrameScorer:
    """One frame under every protocol; what several protocols share is interpolated and scored once.

    result: `low` interpolated as it is; the method is asked for what is on a shifted grid, or scaled apart.
    """

    def __init__(
        self,
        method: Method,
        low: np.ndarray,
        target: np.ndarray,
        result: np.ndarray,
        factor: int,
        gap_step: int,
        score_px: int | None,
        name: str,
        separate_scaling: bool,
    ) -> None:
        self.method, self.factor, self.gap_step, self.score_px = method, factor, gap_step, score_px
        self.pairs = {False: (low, target), True: (own_extremes(low, name), own_extremes(target, name))}
        self.rescaled = separate_scaling and not all(
            np.array_equal(a, b) for a, b in zip(*self.pairs.values(), strict=True)
        )
        self.results = {(False, False): result}  # by shifted grid, separate scaling
        self.tables: dict[tuple[str, bool, bool, bool], pd.DataFrame] = {}

    def scored(self, metrics: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
        """(protocol, scores of one metric) wherever the protocol can change them."""
        for protocol in SCORED:
            switched = PROTOCOLS[protocol]
            shifted = switched.shifted_baselines and isinstance(self.method, Conventional)
            scaled = switched.separate_scaling and self.rescaled
            for metric in metrics:
                published = {"ssim": switched.legacy_ssim, "vif": switched.wrapping_vif}.get(metric, False)
                if published or shifted or scaled:
                    yield protocol, self._table(metric, published, shifted, scaled)

    def _table(self, metric: str, published: bool, shifted: bool, scaled: bool) -> pd.DataFrame:
        key = metric, published, shifted, scaled
        if key not in self.tables:
            self.tables[key] = score_volume(
                central(self._result(shifted, scaled), self.score_px),
                central(self.pairs[scaled][1], self.score_px),
                self.factor,
                metrics=[metric],
                mask=None,
                gap_step=self.gap_step,
                measures=PUBLISHED_METRICS if published else None,
            )
        return self.tables[key]

    def _result(self, shifted: bool, scaled: bool) -> np.ndarray:
        key, (low, target) = (shifted, scaled), self.pairs[scaled]
        if key not in self.results:
            if shifted and isinstance(self.method, Conventional):
                self.results[key] = interpolate_shifted(self.method, low, self.factor)
            else:
                gaps = {
                    int(index) // self.factor
                    for index in scored_slices(len(target), self.factor, self.gap_step)
                }
                self.results[key] = interpolate_frame(self.method, low, target, self.factor, gaps)
        return self.results[key]
