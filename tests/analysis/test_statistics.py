"""Paired statistics against scipy, statsmodels and cases worked by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from interslice.analysis.statistics import (
    COLUMNS,
    adjusted,
    compare,
    median_interval,
    rank_biserial,
    signed_rank_p,
)
from interslice.common.errors import InputError
from interslice.scoring.longtable import subject_means


def subject_table(
    values: dict[str, list[float]], metric: str = "ssim", K: int = 2, dataset: str = "heads"
) -> pd.DataFrame:
    """The columns of longtable.subject_means: method -> one value per subject."""
    rows = [
        {"method": method, "subject": f"s{i}", "value": float(value)}
        for method, column in values.items()
        for i, value in enumerate(column)
    ]
    fixed = {"dataset": dataset, "K": K, "protocol": "strict", "metric": metric}
    return pd.DataFrame(rows).assign(**fixed, slices=10, nonfinite=0, seed_sd=math.nan)


def one(values: dict[str, list[float]], metric: str = "ssim", **settings: object) -> pd.Series:
    table = compare(subject_table(values, metric), ["cae"], ["linear"], bootstrap=200, **settings)
    assert len(table) == 1
    return table.iloc[0]


def brute_force_p(differences: np.ndarray) -> float:
    """P(T+ >= observed) over every sign pattern of the Pratt midranks."""
    ranks = np.where(differences == 0, 0, stats.rankdata(np.abs(differences)))
    observed = ranks[differences > 0].sum()
    sums = [ranks @ np.array(signs) for signs in itertools.product((0, 1), repeat=len(ranks))]
    return float(np.mean([total >= observed - 1e-9 for total in sums]))


def test_a_metric_with_two_wrong_sides_is_compared_by_distance() -> None:
    row = one(
        {"cae": [0.9, 1.1, 0.95, 1.0, 1.05], "linear": [1.4, 1.3, 1.2, 0.7, 1.5]}, "lesion_contrast_6mm"
    )
    assert row["p"] == 1 / 32
    assert row["median_difference"] == pytest.approx(0.3)  # of 0.3, 0.2, 0.15, 0.3, 0.45
    assert one({"cae": [0.5] * 5, "linear": [1.2] * 5}, "lesion_contrast_3mm")["effect"] == -1


# --- the test itself


@pytest.mark.parametrize("n", [1, 2, 5, 9, 20, 50])
def test_p_equals_scipy_exact_without_ties(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    expected = stats.wilcoxon(differences, method="exact", alternative="greater").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-12)


def test_five_subjects_all_better_give_one_in_32() -> None:
    row = one({"cae": [0.9, 0.8, 0.85, 0.7, 0.95], "linear": [0.89, 0.78, 0.82, 0.66, 0.9]})
    assert row["p"] == 1 / 32 == row["p_min"]
    assert row["n"] == 5
    assert row["effect"] == 1


def test_ties_by_hand() -> None:
    # |d| = 1, 1, 2 has midranks 1.5, 1.5, 3. T+ = 1.5 + 3 = 4.5. Of the 8 sign patterns, the sums are
    # 0, 1.5, 1.5, 3, 3, 4.5, 4.5, 6: three reach 4.5.
    assert signed_rank_p(np.array([1.0, -1.0, 2.0])) == 3 / 8


def test_zeros_by_hand() -> None:
    # Pratt: |d| = 0, 1, 2 has ranks 1, 2, 3; the zero counts for no side: sums are 0, 2, 3, 5 and T+ = 3.
    assert signed_rank_p(np.array([0.0, -1.0, 2.0])) == 2 / 4
    # Pratt ranks 2, 3, 4: T+ = 5 of {0, 2, 3, 4, 5, 6, 7, 9}. Dropping the zero first would rank 1, 2, 3:
    # T+ = 3 of {0, 1, 2, 3, 3, 4, 5, 6}, and p = 5/8.
    assert signed_rank_p(np.array([0.0, 1.0, 2.0, -3.0])) == 4 / 8
    assert signed_rank_p(np.zeros(4)) == 1


@pytest.mark.parametrize("seed", range(8))
def test_ties_and_zeros_equal_the_enumeration_of_all_signs(seed: int) -> None:
    differences = np.random.default_rng(seed).integers(-3, 5, 11).astype(float)
    assert signed_rank_p(differences) == pytest.approx(brute_force_p(differences), abs=1e-12)


def test_beyond_50_subjects_the_normal_approximation_is_near_the_exact_p(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    differences = np.round(np.random.default_rng(1).normal(0.25, 1, 51), 1)
    approximate = one({"cae": list(differences), "linear": [0.0] * 51})
    assert "normal approximation" in approximate["note"]
    monkeypatch.setattr("interslice.analysis.statistics.LARGEST_EXACT", 51)
    exact = signed_rank_p(differences)
    assert exact != approximate["p"] == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("magnitudes", [(1, 2, 3, 4, 5, 6, 7), (1, 1, 2, 2, 2, 3, 3), (0, 0, 1, 2, 2, 3, 4)])
def test_p_is_exact_under_the_null_hypothesis(magnitudes: tuple[float, ...]) -> None:
    # All signs equally likely: a p of at most x must come up with probability x, for every p that can be.
    patterns = itertools.product((-1.0, 1.0), repeat=len(magnitudes))
    p = np.array([signed_rank_p(np.array(signs) * magnitudes) for signs in patterns])
    for level in np.unique(p):
        assert np.mean(p <= level) == level


# --- direction, effect, median


def test_lower_lpips_is_better() -> None:
    values = {"cae": [0.1, 0.2, 0.3, 0.1, 0.2], "linear": [0.2, 0.31, 0.42, 0.23, 0.34]}
    lower = one(values, "lpips")
    assert (lower["p"], lower["effect"]) == (1 / 32, 1)
    assert lower["median_difference"] == pytest.approx(0.12)  # baseline - method
    higher = one(values, "vif")
    assert (higher["p"], higher["effect"]) == (1, -1)
    assert higher["median_difference"] == pytest.approx(-0.12)
    assert (higher["ci_low"], higher["ci_high"]) == (-lower["ci_high"], -lower["ci_low"])


def test_rank_biserial_by_hand() -> None:
    assert rank_biserial(np.array([1.0, 2.0, 3.0])) == 1
    assert rank_biserial(np.array([-1.0, -2.0, -3.0])) == -1
    assert rank_biserial(np.array([1.0, 2.0, -3.0])) == 0  # 1 + 2 against 3
    assert rank_biserial(np.array([-1.0, 2.0, 3.0, 4.0])) == pytest.approx((9 - 1) / 10)
    assert rank_biserial(np.array([0.0, 1.0, -2.0])) == pytest.approx((2 - 3) / 5)  # Pratt ranks 1, 2, 3
    assert rank_biserial(np.zeros(3)) == 0


def test_rank_biserial_follows_the_statistic_of_scipy() -> None:
    differences = np.random.default_rng(3).normal(0.2, 1, 12)
    favourable = stats.wilcoxon(differences, alternative="greater").statistic
    assert rank_biserial(differences) == pytest.approx(2 * favourable / (12 * 13 / 2) - 1)


# --- intervals


def test_interval_of_five_is_the_observed_range() -> None:
    # A resample of five has the minimum as its median where it holds it three times or more: 0.058 > 0.025.
    differences = np.array([3.0, -1.0, 4.0, 1.0, 5.0])
    assert median_interval(differences, confidence=0.95, bootstrap=10_000, seed=0) == (-1, 5)


def test_interval_is_deterministic_and_needs_the_seed() -> None:
    differences = np.random.default_rng(0).normal(size=40)
    settings = {"confidence": 0.9, "bootstrap": 99}
    first = median_interval(differences, seed=1, **settings)
    assert first == median_interval(differences, seed=1, **settings)
    assert first != median_interval(differences, seed=2, **settings)


def test_interval_grows_with_confidence() -> None:
    differences = np.random.default_rng(0).normal(size=40)
    wide = median_interval(differences, confidence=0.99, bootstrap=2000, seed=0)
    narrow = median_interval(differences, confidence=0.5, bootstrap=2000, seed=0)
    assert wide[0] < narrow[0] < np.median(differences) < narrow[1] < wide[1]


def test_interval_covers_the_true_median() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(300):
        low, high = median_interval(rng.normal(2, 1, 25), confidence=0.9, bootstrap=300, seed=0)
        covered += low <= 2 <= high
    assert 0.84 < covered / 300 < 0.96


# --- Holm


def test_holm_by_hand() -> None:
    # Raw p of 5 subjects: cae 1/32 against both; mse 1/32 against nearest and 1 against linear (it is worse).
    # Sorted 1, 1, 1, 32 (of 32) times 4, 3, 2, 1, then the running maximum: 4, 4, 4, 32.
    base = [0.5, 0.6, 0.7, 0.8, 0.9]
    step = np.array([1, 2, 3, 4, 5]) / 100
    values = {
        "nearest": list(np.array(base) - 3 * step),
        "linear": base,
        "cae": list(base + step),
        "mse": list(base - step),
    }
    table = compare(subject_table(values), ["cae", "mse"], ["nearest", "linear"], bootstrap=50)
    assert list(table["p"]) == [1 / 32, 1 / 32, 1 / 32, 1]
    assert list(table["p_holm"]) == pytest.approx([4 / 32, 4 / 32, 4 / 32, 1])
    assert (
        table["note"].str.contains("Holm over 4 comparisons: no p_holm can be below 0.125", regex=False).all()
    )


def test_holm_families_equal_statsmodels() -> None:
    rng = np.random.default_rng(7)
    methods = ["cae", "mse", "linear", "nearest"]
    parts = [
        subject_table({m: list(rng.normal(i == 0, 1, 12)) for i, m in enumerate(methods)}, metric, K, dataset)
        for metric, K, dataset in itertools.product(["ssim", "lpips"], [2, 4], ["a", "b"])
    ]
    means = pd.concat(parts, ignore_index=True)
    table = compare(means, methods[:2], methods[2:], bootstrap=50)
    assert list(table.columns) == COLUMNS
    families = table.groupby(["dataset", "protocol", "metric"])
    assert len(families) == 4
    for _, rows in families:
        assert len(rows) == 8  # 2 K x 2 methods x 2 baselines
        np.testing.assert_allclose(rows["p_holm"], multipletests(rows["p"], method="holm")[1])
    per_k = compare(means, methods[:2], methods[2:], bootstrap=50, family=["dataset", "K", "metric"])
    for _, rows in per_k.groupby(["dataset", "K", "metric"]):
        np.testing.assert_allclose(rows["p_holm"], multipletests(rows["p"], method="holm")[1])
    assert not np.allclose(per_k["p_holm"], table["p_holm"])


def test_a_row_does_not_depend_on_the_other_rows() -> None:
    rng = np.random.default_rng(2)
    values = {m: list(rng.normal(size=8)) for m in ("cae", "mse", "linear")}
    raw = ["p", "median_difference", "ci_low", "ci_high", "effect"]
    together = compare(subject_table(values), ["mse", "cae"], ["linear"], bootstrap=99).set_index("method")
    alone = compare(subject_table(values), ["cae"], ["linear"], bootstrap=99).set_index("method")
    assert together.loc["cae", raw].tolist() == alone.loc["cae", raw].tolist()


# --- what is missing or not finite


def test_nan_subject_is_counted_and_never_dropped() -> None:
    base = [0.5, 0.6, 0.7, 0.8, 0.9, 0.4]
    better = [0.6, 0.7, 0.8, math.nan, 1.0, 0.5]
    means = subject_table({"cae": better, "mse": [0.6, 0.8, 0.9, 1.0, 1.1, 0.8], "linear": base})
    means.loc[means["value"].isna(), "nonfinite"] = 3
    means.loc[means["method"] == "linear", "nonfinite"] = 1
    table = compare(means, ["cae", "mse"], ["linear"], bootstrap=50).set_index("method")
    cae, mse = table.loc["cae"], table.loc["mse"]
    assert cae[["p", "p_holm", "effect", "median_difference", "ci_low", "ci_high"]].isna().all()
    assert (cae["n"], cae["nonfinite"]) == (6, 3 + 6)
    assert "1 of 6 subjects" in cae["note"]
    assert mse["p_holm"] == mse["p"] == 1 / 64  # the row without a p does not count in the family


def test_infinite_psnr() -> None:
    inf = math.inf
    row = one({"cae": [inf, inf, 31, 32, 35], "linear": [30, inf, 30, 33, 32]}, "psnr")
    # Differences inf, 0 (both infinite), 1, -1, 3: Pratt ranks 5, 1, 2.5, 2.5, 4 and T+ = 11.5.
    assert row["p"] == brute_force_p(np.array([9.0, 0, 1, -1, 3]))
    assert row["effect"] == pytest.approx((11.5 - 2.5) / 14)
    assert row["median_difference"] == 1
    assert math.isnan(row["ci_low"])
    assert math.isnan(row["ci_high"])
    assert "1 of 5 differences are infinite" in row["note"]
    assert "1 of 5 differences are 0, so no p can be below 0.0625" in row["note"]


def test_few_subjects_are_tested_and_noted() -> None:
    row = one({"cae": [2, 3, 4, 5], "linear": [1, 1, 1, 1]})
    assert row["p"] == row["p_min"] == 1 / 16
    assert "with 4 subjects no p can be below 0.0625" in row["note"]
    assert one({"cae": [2, 3, 4, 5, 6], "linear": [1, 1, 1, 1, 1]})["note"] == ""


def test_one_subject() -> None:
    row = one({"cae": [0.9], "linear": [0.8]})
    assert (row["p"], row["p_min"], row["effect"]) == (0.5, 0.5, 1)
    assert row["median_difference"] == pytest.approx(0.1)
    assert math.isnan(row["ci_low"])
    assert "an interval needs 2 subjects" in row["note"]
    assert one({"cae": [0.7], "linear": [0.8]})["p"] == 1


def test_subjects_pair_by_name_not_by_order() -> None:
    means = subject_table({"cae": [1, 2, 3, 4, 5], "linear": [0.9, 1.8, 2.7, 3.6, 4.5]})
    shuffled = means.sample(frac=1, random_state=0)
    expected = compare(means, ["cae"], ["linear"], bootstrap=50)
    pd.testing.assert_frame_equal(compare(shuffled, ["cae"], ["linear"], bootstrap=50), expected)


def test_missing_subject_is_named() -> None:
    means = subject_table({"cae": [1, 2, 3], "linear": [1, 2, 3]})
    lost = means[~((means["method"] == "linear") & (means["subject"] == "s1"))]
    with pytest.raises(
        InputError, match=r"subjects \['s1'\] found for only one of cae and linear .*metric ssim"
    ):
        compare(lost, ["cae"], ["linear"])


def test_takes_the_subject_means_of_the_long_table() -> None:
    scores = pd.DataFrame(
        itertools.product(["cae", "linear"], ["a", "b", "c", "d", "e"], [1, 2, 3], [0.5]),
        columns=["method", "subject", "slice", "value"],
    ).assign(dataset="heads", K=2, seed=0, protocol="strict", frame=0, kind="synthesised", region="whole")
    scores["metric"] = "psnr"
    scores.loc[scores["method"] == "cae", "value"] += scores["slice"]
    scores.loc[0, "value"] = math.inf
    row = compare(subject_means(scores), ["cae"], ["linear"], bootstrap=50).iloc[0]
    assert (row["n"], row["p"], row["nonfinite"], row["median_difference"]) == (5, 1 / 32, 1, 2)


def test_no_trained_method_gives_an_empty_table() -> None:
    table = compare(subject_table({"linear": [1, 2]}), [], ["linear"])
    assert table.empty
    assert list(table.columns) == COLUMNS


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({}, {"trained": ["gan"]}, "no values of gan found for dataset heads, K 2"),
        ({}, {"baselines": ["linear", "cae"]}, "each method once"),
        ({"metric": "mae"}, {}, r"metrics \['mae'\] found"),
        ({"subject": "s0"}, {}, "twice"),
        ({"nonfinite": None}, {}, r"columns \['nonfinite'\] are missing"),
        ({}, {"confidence": 95}, "confidence: 95 found"),
        ({}, {"bootstrap": 0}, "bootstrap: 0 resamples"),
        ({}, {"family": ["subject"]}, r"family: \['subject'\] found"),
    ],
)
def test_bad_input(change: dict, settings: dict, message: str) -> None:
    means = subject_table({"cae": [1, 2, 3], "linear": [1, 2, 3]})
    means = means.drop(columns=[k for k, v in change.items() if v is None])
    means = means.assign(**{k: v for k, v in change.items() if v is not None})
    with pytest.raises(InputError, match=message):
        compare(means, **{"trained": ["cae"], "baselines": ["linear"], **settings})


@pytest.mark.parametrize("method", ["holm", "bonferroni"])
def test_corrections_equal_statsmodels(method: str) -> None:
    for size in (1, 2, 12):
        p = np.round(np.random.default_rng(size).random(size) / 3, 2)  # with ties
        assert adjusted(p, method) == pytest.approx(multipletests(p, method=method)[1], abs=1e-15)
