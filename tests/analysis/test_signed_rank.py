"""The signed-rank test and its interval against scipy, published tables, cases by hand and simulations of what is claimed."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from interslice.analysis import signed_rank
from interslice.analysis.signed_rank import (
    LARGEST_EXACT,
    hodges_lehmann,
    null_distribution,
    ranks_left_out,
    signed_rank_p,
    smallest_p,
    walsh_average,
    walsh_averages,
    widened_by_seeds,
)


def permuted_p(differences: np.ndarray, alternative: str) -> float:
    """scipy's permutation test of the sum of Pratt's signed midranks, over every sign."""
    ranks = np.sign(differences) * stats.rankdata(np.abs(differences))
    test = stats.permutation_test(
        (ranks,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", n_resamples=2 ** len(ranks),
        alternative=alternative, vectorized=True,
    )  # fmt: skip
    return float(test.pvalue)


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
@pytest.mark.parametrize("n", [1, 2, 5, 9, 20, 50])
def test_p_equals_scipy_exact_without_ties(n: int, alternative: str):
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    expected = stats.wilcoxon(differences, method="exact", alternative=alternative).pvalue
    assert signed_rank_p(differences, alternative) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
@pytest.mark.parametrize("seed", range(4))
def test_p_with_ties_and_zeros_equals_scipys_permutation_test(seed: int, alternative: str):
    differences = np.random.default_rng(seed).integers(-3, 5, 10).astype(float)
    assert signed_rank_p(differences, alternative) == pytest.approx(
        permuted_p(differences, alternative), abs=1e-12
    )


def test_ties_zeros_and_infinities_by_hand():
    # |d| = 1, 1, 2 has midranks 1.5, 1.5, 3. Of the sums 0, 1.5, 1.5, 3, 3, 4.5, 4.5, 6 three reach T+ = 4.5.
    assert signed_rank_p(np.array([1.0, -1.0, 2.0]), "greater") == 3 / 8
    # Pratt ranks 2, 3, 4: T+ = 5 of {0, 2, 3, 4, 5, 6, 7, 9}. Dropping the zero first would give 5/8.
    assert signed_rank_p(np.array([0.0, 1.0, 2.0, -3.0]), "greater") == 4 / 8
    assert signed_rank_p(np.zeros(4)) == 1
    infinite, large = (np.array([x, 0, 1, -1, 3]) for x in (np.inf, 9.0))
    assert signed_rank_p(infinite) == signed_rank_p(large) < 1
    assert math.isnan(signed_rank_p(np.array([1.0, np.nan])))


def test_all_of_five_one_way_is_the_smallest_p_there_is():
    assert signed_rank_p(np.arange(1.0, 6)) == smallest_p(5) == 1 / 16
    assert signed_rank_p(np.arange(1.0, 6), "greater") == smallest_p(5, "greater") == 1 / 32
    assert signed_rank_p(np.arange(1.0, 8)) == smallest_p(7) == 1 / 64


def test_beyond_the_exact_range_the_approximation_is_near_it():
    differences = np.round(np.random.default_rng(1).normal(0.25, 1, LARGEST_EXACT + 1), 1)
    doubled = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)
    exact = null_distribution(doubled[differences != 0])[doubled[differences > 0].sum() :].sum()
    assert exact != signed_rank_p(differences, "greater") == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("magnitudes", [(1, 2, 3, 4, 5, 6, 7), (1, 1, 2, 2, 2, 3, 3), (0, 0, 1, 2, 2, 3, 4)])
def test_p_is_exact_under_the_null_hypothesis(magnitudes: tuple[float, ...]):
    """All signs equally likely: a one-sided p of at most x comes up with probability x, a two-sided one with x or less."""
    patterns = [
        np.array(signs) * magnitudes for signs in itertools.product((-1.0, 1.0), repeat=len(magnitudes))
    ]
    one, two = (np.array([signed_rank_p(d, side) for d in patterns]) for side in ("greater", "two-sided"))
    assert all(np.mean(one <= level) == level for level in np.unique(one))
    assert all(np.mean(two <= level) <= level for level in np.unique(two))


# --- estimate and interval

LEVELS = {5: 0.9375, 6: 0.96875, 7: 0.953125, 8: 0.9609375, 10: 0.951171875, 12: 0.95751953125}


@pytest.mark.parametrize(("n", "level"), LEVELS.items())
def test_the_level_is_what_the_table_of_the_statistic_gives(n: int, level: float):
    """P(T+ <= t) at the published critical values, two-sided .05: 0 at n = 6, 2 at 7, 3 at 8, 8 at 10, 13 at 12; none at 5."""
    assert hodges_lehmann(np.random.default_rng(n).normal(size=n), 0.95)[3] == level


def test_estimate_and_interval_by_hand():
    # Walsh averages of 1, 2, 6: 1, 1.5, 2, 3.5, 4, 6; n = 3 has no more than 1 - 2/8, from the first to the last.
    assert hodges_lehmann(np.array([6.0, 1.0, 2.0]), 0.95) == (2.75, 1, 6, 0.75)
    assert hodges_lehmann(np.array([6.0, 1.0, 2.0]), 0.5) == (2.75, 1.5, 4, 0.5)
    estimate, *interval = hodges_lehmann(np.array([3.0]), 0.95)
    assert estimate == 3
    assert np.isnan(interval).all()
    assert np.isnan(hodges_lehmann(np.array([3.0, np.nan]), 0.95)).all()
    assert hodges_lehmann(np.array([1.0, 2.0, np.inf, 3.0, 2.5]), 0.95)[:3] == (2.5, 1, np.inf)


@pytest.mark.parametrize("n", [5, 7, 12])
def test_the_interval_holds_what_the_test_does_not_reject(n: int):
    """It inverts the test: shifted to a point inside it p is above 1 - level, outside it is not."""
    differences = np.random.default_rng(n).normal(1, 1, n)
    _, low, high, level = hodges_lehmann(differences, 0.95)
    for end, outward in ((low, -1e-6), (high, 1e-6)):
        assert signed_rank_p(differences - end - outward) <= 1 - level + 1e-12
        assert signed_rank_p(differences - end + outward) > 1 - level + 1e-12


@pytest.mark.parametrize("n", [40, 61])
def test_many_subjects_have_the_estimate_and_nearly_the_interval_of_all_walsh_averages(n: int, monkeypatch):
    """Above LARGEST_INTERVAL no average is made but those of the ranks that count; the level is by the normal approximation."""
    differences = np.round(np.random.default_rng(n).normal(0.3, 1, n), 2)  # with ties
    exact = hodges_lehmann(differences, 0.95)
    monkeypatch.setattr(signed_rank, "LARGEST_INTERVAL", 20)
    ranks_left_out.cache_clear()
    found = hodges_lehmann(differences, 0.95)
    assert found == pytest.approx(exact, abs=0.02)
    assert found[0] == pytest.approx(exact[0], abs=1e-12)
    ranks = range(1, n * (n + 1) // 2 + 1)
    every = [walsh_average(np.sort(differences), rank) for rank in ranks]
    assert every == pytest.approx(walsh_averages(differences), abs=1e-12)
    ranks_left_out.cache_clear()


# --- seeds


def test_one_seed_or_seeds_that_agree_leave_the_interval_as_it_is():
    interval = (1.0, 0.0, 3.0, 0.95)
    assert widened_by_seeds(interval, np.array([1.0])) == interval
    assert widened_by_seeds(interval, np.array([1.0, 1.0, 1.0])) == interval


def test_without_spread_of_subjects_the_interval_is_the_t_interval_of_seeds():
    seeds = np.array([0.1, 0.4, 0.3, 0.8])
    expected = stats.ttest_1samp(seeds, 0).confidence_interval(0.95)
    _, low, high, _ = widened_by_seeds((0.4, 0.4, 0.4, 0.95), seeds)
    assert (low, high) == pytest.approx((expected.low, expected.high))


def simulated(n: int, seeds: int, spread: float, repetitions: int = 400) -> tuple[float, float, float, float]:
    """(coverage without seeds, with seeds, share of NaN, level) for a true difference of 1, subject SD 1, seed SD `spread`."""
    draw = np.random.default_rng([n, seeds])
    hits, undefined, level = np.zeros(2), 0, 0.0
    for _ in range(repetitions):
        training = draw.normal(0, spread, (seeds, 1))
        both = 1 + draw.normal(0, 1, n) + training + draw.normal(0, 0.3, (seeds, n))
        alone = hodges_lehmann(both.mean(axis=0), 0.95)
        wider = widened_by_seeds(alone, both.mean(axis=1))
        hits += [low <= 1 <= high for _, low, high, _ in (alone, wider)]
        undefined += int(not np.isfinite([*wider, signed_rank_p(both.mean(axis=0))]).all())
        level = wider[3]
    return *(hits / repetitions), undefined / repetitions, level


@pytest.mark.parametrize("n", [5, 7])
def test_simulated_coverage_is_the_stated_level(n: int):
    alone, wider, undefined, level = simulated(n, 1, 0.0, 1000)
    assert undefined == 0
    assert alone == wider == pytest.approx(level, abs=0.02)  # standard error .007


@pytest.mark.parametrize(("n", "seeds", "spread"), [(5, 2, 1.0), (7, 3, 0.3), (7, 3, 1.0), (12, 3, 1.0)])
def test_simulated_coverage_with_seeds_is_not_below_the_stated_level(n: int, seeds: int, spread: float):
    alone, wider, undefined, level = simulated(n, seeds, spread)
    assert undefined == 0
    assert wider >= level - 0.02
    if spread == 1:
        assert alone < level - 0.1, (
            "without the seeds' variance the interval is too narrow: the simulation can tell"
        )


def test_simulated_p_keeps_its_level():
    draws = np.random.default_rng(3).standard_t(3, (2000, 7))
    share = np.mean([signed_rank_p(differences) <= 0.05 for differences in draws])
    assert share == pytest.approx(3 / 64, abs=0.015)  # P(T+ <= 2) twice
