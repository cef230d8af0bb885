"""The signed-rank test and its estimate: exact p, Hodges-Lehmann estimate, exact interval, variance between seeds.

Every function takes the differences of subjects (n,), positive where the method is better, in units of the metric.
"""

import math
from functools import cache

import numpy as np
import scipy

LARGEST_EXACT = 50  # subjects, the limit that scipy's own default has
LARGEST_INTERVAL = 500  # subjects whose Walsh averages are all made, and whose null distribution is exact


def null_distribution(doubled_ranks: np.ndarray) -> np.ndarray:
    """P(2 T+ = t) under the null hypothesis, t from 0, for ranks given twice over (midranks are multiples of 1/2)."""
    null = np.zeros(int(doubled_ranks.sum()) + 1)
    null[0] = 1
    for rank in doubled_ranks:
        null = (null + np.roll(null, rank)) / 2
    return null


def signed_rank_p(differences: np.ndarray, alternative: str = "two-sided") -> float:
    """p of Wilcoxon's signed-rank test; alternative "two-sided" or "greater" (the method is better).

    Exact up to 50 subjects, over all signs of the midranks; scipy's permutation_test gives the same and scipy's wilcoxon has
    no exact p with ties. Zeros keep their place in the ranking and count for neither side (Pratt 1959); with zeros
    alone p is 1. Above 50 subjects scipy's normal approximation. NaN where a difference is NaN.
    """
    if np.isnan(differences).any():
        return math.nan
    doubled = np.rint(2 * scipy.stats.rankdata(np.abs(differences))).astype(int)
    if len(differences) > LARGEST_EXACT and differences.any():
        ranked = np.sign(differences) * doubled  # so that an infinite difference is only the largest
        test = scipy.stats.wilcoxon(ranked, alternative=alternative, zero_method="pratt", method="asymptotic")
        return float(test.pvalue)
    null, observed = null_distribution(doubled[differences != 0]), doubled[differences > 0].sum()
    above, below = float(null[observed:].sum()), float(null[: observed + 1].sum())
    return above if alternative == "greater" else min(1.0, 2 * min(above, below))


def smallest_p(n: int, alternative: str = "two-sided") -> float:
    """The smallest p that n differences can give, none of them 0."""
    return min(1.0, 2.0**-n * (2 if alternative == "two-sided" else 1))


def walsh_averages(differences: np.ndarray) -> np.ndarray:
    """The means of all pairs of differences, each with itself as well, sorted; (n (n + 1) / 2,)."""
    first, second = np.triu_indices(len(differences))
    with np.errstate(invalid="ignore"):
        return np.sort((differences[first] + differences[second]) / 2)


@cache
def ranks_left_out(n: int, confidence: float) -> tuple[int, float]:
    """(k, level): the k-th Walsh average from either end bounds an interval of that level.

    The narrowest interval with a level of `confidence` or more, or the widest that there is: at n = 5 all averages, 93.75 %.
    Above LARGEST_INTERVAL subjects by the normal approximation.
    """
    if n > LARGEST_INTERVAL:
        null = scipy.stats.norm(n * (n + 1) / 4 + 0.5, math.sqrt(n * (n + 1) * (2 * n + 1) / 24))
        k = math.floor(null.ppf((1 - confidence) / 2)) + 1
        return k, float(1 - 2 * null.cdf(k - 1))
    below = np.cumsum(null_distribution(2 * np.arange(1, n + 1))[::2])  # P(T+ <= t)
    k = max(1, int(np.sum(1 - 2 * below >= confidence - 1e-12)))
    return k, float(1 - 2 * below[k - 1])


def hodges_lehmann(differences: np.ndarray, confidence: float) -> tuple[float, float, float, float]:
    """(estimate, low, high, level): the median of the Walsh averages and the interval that inverts the signed-rank test.

    Hodges and Lehmann 1963; Hollander, Wolfe and Chicken 2014, section 3.2. `level` is the coverage that the interval really
    has for differences of symmetric distribution (`ranks_left_out`). All NaN where a difference is NaN; no interval
    for one subject.
    """
    if np.isnan(differences).any() or not len(differences):
        return (math.nan,) * 4
    if len(differences) > LARGEST_INTERVAL and np.isfinite(differences).all():
        return _of_many(np.sort(differences), confidence)
    averages = walsh_averages(differences)
    with np.errstate(invalid="ignore"):
        estimate = float(np.median(averages))
    if len(differences) < 2:
        return estimate, math.nan, math.nan, math.nan
    k, level = ranks_left_out(len(differences), confidence)
    return estimate, float(averages[k - 1]), float(averages[-k]), level


def _of_many(ordered: np.ndarray, confidence: float) -> tuple[float, float, float, float]:
    """As `hodges_lehmann`, of many sorted differences, whose Walsh averages would not fit into memory."""
    count = len(ordered) * (len(ordered) + 1) // 2
    k, level = ranks_left_out(len(ordered), confidence)
    first, second, low, high = (
        walsh_average(ordered, rank) for rank in ((count + 1) // 2, count // 2 + 1, k, count + 1 - k)
    )
    return (first + second) / 2, low, high, level


def walsh_average(ordered: np.ndarray, rank: int) -> float:
    """The Walsh average of a rank, from 1, of sorted differences (n,): by bisection, counting those below in O(n log n)."""
    places = np.arange(len(ordered))
    low, high = float(ordered[0]), float(ordered[-1])
    while low < (middle := low + (high - low) / 2) < high:
        # Of the pairs i <= j: j from i on up to the last whose average with i is no larger.
        below = np.searchsorted(ordered, 2 * middle - ordered, side="right") - places
        low, high = (low, middle) if np.maximum(below, 0).sum() >= rank else (middle, high)
    return high


def widened_by_seeds(
    interval: tuple[float, float, float, float], seed_means: np.ndarray
) -> tuple[float, float, float, float]:
    """An interval of `hodges_lehmann` that covers other trainings as well as other subjects.

    seed_means: (seeds,), the mean difference over subjects of every repetition. On either side its width becomes the root
    of the sum of squares of itself and of t (seeds - 1 degrees of freedom, same level) times the standard error over seeds: the
    method of variance estimates recovery (Zou and Donner 2008). As it is for one seed.
    """
    estimate, low, high, level = interval
    if len(seed_means) < 2 or math.isnan(level):
        return interval
    with np.errstate(invalid="ignore"):
        error = float(np.std(seed_means, ddof=1)) / math.sqrt(len(seed_means))
    half = float(scipy.stats.t.ppf((1 + level) / 2, len(seed_means) - 1)) * error
    return (
        estimate,
        estimate - math.hypot(estimate - low, half),
        estimate + math.hypot(high - estimate, half),
        level,
    )
