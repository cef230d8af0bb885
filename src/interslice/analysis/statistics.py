"""Paired comparisons with the subject as the unit (strict protocol).

In: the table of `longtable.subject_means`. Out: one row per dataset, K, protocol, metric and pair of a
trained and a conventional method, with the one-sided Wilcoxon signed-rank test, Holm's correction, the median
difference and its bootstrap interval, and the matched-pairs rank-biserial correlation.
"""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

from interslice.common.errors import InputError
from interslice.scoring.longtable import shortfall
from interslice.scoring.registry import METRICS

GROUP = ["dataset", "K", "protocol", "metric"]
FAMILY = ("dataset", "protocol", "metric")
COLUMNS = [
    *GROUP,
    "method",
    "baseline",
    "n",
    "p",
    "p_min",
    "p_holm",
    "median_difference",
    "ci_low",
    "ci_high",
    "effect",
    "nonfinite",
    "note",
]
LEVEL = 0.05  # notes say where a p below it cannot be reached
LARGEST_EXACT = 50  # subjects, the limit that scipy's own default has


def compare(
    means: pd.DataFrame,
    trained: Sequence[str],
    baselines: Sequence[str],
    *,
    confidence: float = 0.95,
    bootstrap: int = 10_000,
    seed: int = 0,
    family: Sequence[str] = FAMILY,
) -> pd.DataFrame:
    """Test every method of `trained` against every one of `baselines`, per dataset, K, protocol and metric.

    means: the columns of `longtable.subject_means`, one row per subject. Returns the columns of COLUMNS:

    - n: subjects. p: of H1 "the method is better than the baseline" (`signed_rank_p`). p_min: 2^-n, the
      smallest p that n subjects can give.
    - p_holm: Holm's correction over the rows that agree in `family`; by default all K and all pairs of one
      dataset, protocol and metric, because any of them would be read as "the method wins on this metric".
      Rows without a p do not count.
    - median_difference, ci_low, ci_high: in units of the metric, positive where the method is better (method
      minus baseline for SSIM, PSNR and VIF, baseline minus method for LPIPS), with `median_interval`.
    - effect: `rank_biserial`. nonfinite: scores of single slices, of either method, that are inf or NaN.
    - note: what a reader must know, such as a p below 0.05 being out of reach, "" otherwise.

    Two equal infinite means (PSNR of perfect slices) differ by 0; an infinite difference takes the highest
    rank and has no interval. Where a subject's mean is NaN there is no p, effect, median or interval, and the
    note says how many: the subject is not dropped. Raises InputError for missing columns, repeated rows, a
    metric without a known direction, a method without values, a subject that only one of two methods has, and
    settings out of range.
    """
    _check_settings(means, trained, baselines, confidence, bootstrap, family)
    rows = []
    for keys, group in means.groupby(GROUP, sort=True):
        place = dict(zip(GROUP, keys, strict=True))
        for method, baseline in product(trained, baselines):
            differences, nonfinite = improvement(group, method, baseline, place)
            row = _compare_pair(differences, confidence, bootstrap, seed)
            rows.append({**place, "method": method, "baseline": baseline, **row, "nonfinite": nonfinite})
    return _correct(pd.DataFrame(rows, columns=COLUMNS), list(family))


def null_distribution(doubled_ranks: np.ndarray) -> np.ndarray:
    """P(2 T+ = t) under the null hypothesis, t from 0, for ranks given twice over (midranks are multiples of 1/2)."""
    null = np.zeros(int(doubled_ranks.sum()) + 1)
    null[0] = 1
    for rank in doubled_ranks:
        null = (null + np.roll(null, rank)) / 2
    return null


def signed_rank_p(differences: np.ndarray) -> float:
    """One-sided p of Wilcoxon's signed-rank test, H1: the differences (n,) tend to be positive.

    Exact up to 50 subjects: scipy's distribution without ties, else the distribution of the midranks over all
    2^n signs. Zeros keep their place in the ranking but count for neither side (Pratt 1959); with zeros alone
    p is 1. Above 50 subjects scipy's normal approximation, corrected for ties. NaN where a difference is NaN.
    """
    if np.isnan(differences).any():
        return math.nan
    if len(differences) > LARGEST_EXACT and differences.any():
        test = stats.wilcoxon(differences, alternative="greater", zero_method="pratt", method="approx")
        return float(test.pvalue)
    magnitudes = np.abs(differences)
    if differences.all() and len(np.unique(magnitudes)) == len(magnitudes):
        return float(stats.wilcoxon(differences, alternative="greater", method="exact").pvalue)
    doubled = np.rint(2 * stats.rankdata(magnitudes)).astype(int)
    return float(null_distribution(doubled[differences != 0])[doubled[differences > 0].sum() :].sum())


def adjusted(p: Sequence[float] | pd.Series, correction: str) -> np.ndarray:
    """p-values corrected for being one of many, by "holm" (Holm 1979) or "bonferroni"; (m,), in their order, at most 1.

    Equal to statsmodels' multipletests, which collects garbage at every call and so takes longer than all tests together.
    """
    values = np.asarray(p, dtype=float)
    if correction == "bonferroni":
        return np.minimum(1, len(values) * values)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    result = np.empty_like(values)
    result[order] = np.minimum(1, steps)
    return result


def rank_biserial(differences: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation (Kerby 2014): (favourable - unfavourable) / total rank sum.

    differences: (n,), positive is favourable. In [-1, 1]. Ranked as in `signed_rank_p`; the total is of the
    non-zero differences. 0 where all are zero, NaN where one is NaN.
    """
    if np.isnan(differences).any():
        return math.nan
    signed = np.sign(differences) * stats.rankdata(np.abs(differences))
    total = np.abs(signed).sum()
    return float(signed.sum() / total) if total else 0.0


def median_interval(
    differences: np.ndarray, *, confidence: float, bootstrap: int, seed: int
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the median over subjects; differences: (n,).

    NaN for one subject and where a difference is not finite. Coarse for few subjects: its ends are observed
    differences or means of two, and at n = 5 a 95 % interval is the observed range, which covers the true
    median with 94 %. Not BCa, whose jackknife is unreliable for a median. The same seed gives all rows of
    equal n the same resamples, so that a row does not depend on the others.
    """
    if len(differences) < 2 or not np.isfinite(differences).all():
        return math.nan, math.nan
    interval = stats.bootstrap(
        (differences,),
        np.median,
        n_resamples=bootstrap,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def improvement(
    group: pd.DataFrame, method: str, baseline: str, place: dict[str, object]
) -> tuple[np.ndarray, int]:
    """The differences (subjects,), positive where the method is better, and their non-finite scores."""
    where = ", ".join(f"{key} {value}" for key, value in place.items())
    by_method = {name: group[group["method"] == name].set_index("subject") for name in (method, baseline)}
    for name, rows in by_method.items():
        if rows.empty:
            raise InputError(f"statistics: no values of {name} found for {where}")
    ours, theirs = by_method[method].sort_index(), by_method[baseline].sort_index()
    unpaired = sorted(set(ours.index) ^ set(theirs.index), key=str)
    if unpaired:
        raise InputError(
            f"statistics: subjects {unpaired} found for only one of {method} and {baseline} ({where}), "
            "must be in both"
        )
    ours_left, theirs_left = (
        shortfall(str(place["metric"]), rows["value"].to_numpy(float)) for rows in (ours, theirs)
    )
    with np.errstate(invalid="ignore"):
        difference = theirs_left - ours_left
    difference[ours_left == theirs_left] = 0  # two infinities as well
    return difference, int(ours["nonfinite"].sum() + theirs["nonfinite"].sum())


def _compare_pair(differences: np.ndarray, confidence: float, bootstrap: int, seed: int) -> dict[str, object]:
    n = len(differences)
    low, high = median_interval(differences, confidence=confidence, bootstrap=bootstrap, seed=seed)
    with np.errstate(invalid="ignore"):
        median = float(np.median(differences))
    return {
        "n": n,
        "p": signed_rank_p(differences),
        "p_min": 2.0**-n,
        "median_difference": median,
        "ci_low": low,
        "ci_high": high,
        "effect": rank_biserial(differences),
        "note": "; ".join(_notes(differences)),
    }


def _notes(differences: np.ndarray) -> list[str]:
    n, nan, zeros = len(differences), int(np.isnan(differences).sum()), int((differences == 0).sum())
    notes = []
    if nan:
        return [f"{nan} of {n} subjects have a NaN mean, so there is no test"]
    if 2.0**-n > LEVEL:
        notes.append(f"with {n} subjects no p can be below {2.0**-n:g}")
    if zeros:
        notes.append(f"{zeros} of {n} differences are 0, so no p can be below {2.0 ** -(n - zeros):g}")
    if np.isinf(differences).any():
        notes.append(
            f"{int(np.isinf(differences).sum())} of {n} differences are infinite, so there is no interval"
        )
    if n < 2:
        notes.append("an interval needs 2 subjects")
    if n > LARGEST_EXACT:
        notes.append("p by the normal approximation")
    return notes


def _correct(table: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """Fill p_holm, and note where the correction puts every p above LEVEL whatever the data say."""
    for _, rows in table[table["p"].notna()].groupby(family):
        table.loc[rows.index, "p_holm"] = adjusted(rows["p"], "holm")
        # Holm grows with every p, so the correction of the smallest attainable ones is a bound.
        for index, bound in zip(rows.index, adjusted(rows["p_min"], "holm"), strict=True):
            if bound > LEVEL:
                note = f"Holm over {len(rows)} comparisons: no p_holm can be below {bound:.3g}"
                table.loc[index, "note"] = "; ".join(filter(None, [table.loc[index, "note"], note]))
    return table.astype({"p_holm": float})


def _check_settings(
    means: pd.DataFrame,
    trained: Sequence[str],
    baselines: Sequence[str],
    confidence: float,
    bootstrap: int,
    family: Sequence[str],
) -> None:
    missing = {*GROUP, "method", "subject", "value", "nonfinite"} - set(means.columns)
    if missing:
        raise InputError(f"statistics: columns {sorted(missing)} are missing from the table of subject means")
    if means.duplicated([*GROUP, "method", "subject"]).any():
        raise InputError("statistics: a subject is there twice for a method, must be one row")
    unknown = sorted(set(means["metric"]) - set(METRICS))
    if unknown:
        raise InputError(f"statistics: metrics {unknown} found, allowed are {list(METRICS)}")
    named = [*trained, *baselines]
    if len(set(named)) < len(named):
        raise InputError(
            f"statistics: trained {list(trained)} and baselines {list(baselines)} found, each method once"
        )
    if not 0 < confidence < 1:
        raise InputError(f"confidence: {confidence} found, must be between 0 and 1")
    if bootstrap < 1:
        raise InputError(f"bootstrap: {bootstrap} resamples found, must be at least 1")
    allowed = [*GROUP, "method", "baseline"]
    if not family or not set(family) <= set(allowed):
        raise InputError(f"family: {list(family)} found, allowed are some of {allowed}")
