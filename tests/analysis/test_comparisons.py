"""Comparisons of methods: the unit, the direction, the family, the primary one, and what is missing or not finite."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from interslice.analysis.comparisons import (
    BETTER,
    BONFERRONI,
    COLUMNS,
    FALSE_DISCOVERY,
    FAMILY,
    SAME,
    UNDECIDED,
    WORSE,
    compare,
    corrected,
    judged,
    study_comparisons,
    unit_values,
)
from interslice.common.errors import InputError
from interslice.scoring.longtable import KEYS, check_scores, frame_means
from synthetic_scores import BASELINES, TRAINED, synthetic_scores

PAIR = [("cae", "linear")]
PRIMARY = {"method": "cae", "baseline": "bspline", "metric": "ssim", "kind": "synthesised", "region": "whole"}
PRIMARY |= {"factor": None, "alternative": "two-sided"}
SETTINGS = {"confidence": 0.95, "margins": {}, "primary": PRIMARY}


def scores_of(values: dict[str, list[float]], metric: str = "ssim", **place: object) -> pd.DataFrame:
    """A long table: method to one value per subject, one synthesised slice each."""
    rows = [
        ("heads", method, 2, 1, "strict", f"s{i}", 0, 1, "synthesised", "whole", metric, float(value))
        for method, column in values.items()
        for i, value in enumerate(column)
    ]
    return check_scores(pd.DataFrame(rows, columns=[*KEYS, "value"]).assign(**place))


def one(values: dict[str, list[float]], metric: str = "ssim", **settings: object) -> pd.Series:
    tests = compare(
        unit_values(frame_means(scores_of(values, metric))), PAIR, **{"confidence": 0.95, **settings}
    )
    assert len(tests) == 1
    return tests.iloc[0]


# --- the unit


def test_a_subjects_value_is_the_mean_over_slices_then_frames_then_seeds():
    table = pd.DataFrame(
        [(1, 0, 1, 0.0), (1, 0, 3, 0.2), (1, 1, 1, 0.5), (2, 0, 1, 0.9)],
        columns=["seed", "frame", "slice", "value"],
    )
    scores = (
        scores_of({"cae": [0]}).drop(columns=["seed", "frame", "slice", "value"]).merge(table, how="cross")
    )
    values = unit_values(frame_means(check_scores(scores))).set_index("seed")["shortfall"]
    assert list(values) == pytest.approx(
        [-(0.1 + 0.5) / 2, -0.9]
    )  # not -.7 / 3: the second frame has fewer slices


def test_overshoot_and_undershoot_do_not_cancel():
    """Two slices at .5 and 1.5 of the best value 1 are .5 away each, not 0."""
    two = pd.concat(
        [
            scores_of({"cae": [x] * 5, "linear": [1.4] * 5}, "lesion_contrast_6mm", slice=i)
            for i, x in ((1, 0.5), (3, 1.5))
        ]
    )
    row = compare(unit_values(frame_means(two)), PAIR, confidence=0.95).iloc[0]
    assert row["estimate"] == pytest.approx(0.4 - 0.5)


def test_lower_lpips_is_better():
    values = {"cae": [0.1, 0.2, 0.3, 0.1, 0.2], "linear": [0.2, 0.31, 0.42, 0.23, 0.34]}
    lower, higher = one(values, "lpips"), one(values, "vif")
    assert lower["p"] == higher["p"] == 1 / 16
    assert lower["estimate"] == pytest.approx(0.12)
    assert [-higher[c] for c in ("estimate", "ci_high", "ci_low")] == [
        lower[c] for c in ("estimate", "ci_low", "ci_high")
    ]
    assert one(values, "lpips", alternative="greater")["p"] == 1 / 32
    assert one(values, "vif", alternative="greater")["p"] == 1


def test_seeds_are_averaged_paired_and_in_the_interval():
    bonus = {1: 0.3, 2: 0.1, 3: 0.2}
    cae = pd.concat(
        [scores_of({"cae": np.arange(7) / 100 + 0.5 + b}, seed=seed) for seed, b in bonus.items()]
    )
    linear = scores_of({"linear": [0.5] * 7})
    row = compare(unit_values(frame_means(pd.concat([cae, linear]))), PAIR, confidence=0.95).iloc[0]
    alone = one({"cae": np.arange(7) / 100 + 0.7, "linear": [0.5] * 7})
    assert (row["n"], row["seeds"], alone["seeds"]) == (7, 3, 1)
    assert row["estimate"] == pytest.approx(alone["estimate"])
    assert row["ci_low"] < alone["ci_low"] - 0.2  # t of 2 degrees of freedom: 4.2 x .1 / sqrt 3
    both = pd.concat(
        [cae, *(part.assign(method="linear", value=part["value"] - 0.1) for _, part in cae.groupby("seed"))]
    )
    paired = compare(unit_values(frame_means(both)), PAIR, confidence=0.95).iloc[0]
    assert paired["ci_low"] == pytest.approx(0.1), "what both methods share of a seed cancels"
    with pytest.raises(InputError, match=r"seeds \[1, 2, 3\] of cae and \[2, 3\] of linear"):
        compare(
            unit_values(frame_means(both[(both["seed"] != 1) | (both["method"] == "cae")])),
            PAIR,
            confidence=0.95,
        )


def test_subjects_pair_by_name_not_by_order():
    scores = scores_of({"cae": [1, 2, 3, 4, 5], "linear": [0.9, 1.8, 2.7, 3.6, 4.5]})
    expected = compare(unit_values(frame_means(scores)), PAIR, confidence=0.95)
    shuffled = compare(unit_values(frame_means(scores.sample(frac=1, random_state=0))), PAIR, confidence=0.95)
    pd.testing.assert_frame_equal(shuffled, expected)


# --- family and verdict


@pytest.mark.parametrize(("correction", "method"), [(FALSE_DISCOVERY, "fdr_bh"), (BONFERRONI, "bonferroni")])
def test_corrections_equal_statsmodels_within_each_family(correction: str, method: str):
    draw = np.random.default_rng(7)
    places = itertools.product(["ssim", "lpips"], [2, 4], ["a", "b"])
    scores = pd.concat(
        scores_of(
            {m: draw.normal(i == 0, 1, 12) for i, m in enumerate(["cae", "mse", "linear"])},
            metric,
            K=K,
            dataset=d,
        )
        for metric, K, d in places
    )
    tests = compare(
        unit_values(frame_means(scores)),
        [("cae", "linear"), ("mse", "linear"), ("cae", "mse")],
        confidence=0.9,
    )
    tests = corrected(tests, correction)
    families = list(tests.groupby(FAMILY))
    assert [len(rows) for _, rows in families] == [6] * 4  # 2 K x 3 pairs
    for _, rows in families:
        assert list(rows["p_corrected"]) == pytest.approx(list(multipletests(rows["p"], method=method)[1]))


@pytest.mark.parametrize(
    ("p", "low", "high", "margin", "verdict"),
    [
        (0.01, 0.1, 0.3, math.nan, BETTER),
        (0.01, -0.3, -0.1, 0.5, WORSE),
        (0.06, 0.1, 0.3, math.nan, UNDECIDED),
        (0.01, -0.1, 0.3, math.nan, UNDECIDED),  # other trainings might differ
        (0.9, -0.1, 0.3, 0.4, SAME),
        (0.9, -0.1, 0.5, 0.4, UNDECIDED),  # a large p is no equality
        (math.nan, math.nan, math.nan, 0.4, UNDECIDED),
    ],
)
def test_verdicts(p, low, high, margin, verdict):
    row = pd.DataFrame({"p_corrected": [p], "ci_low": [low], "ci_high": [high], "margin": [margin]})
    assert list(judged(row)["verdict"]) == [verdict]


# --- a study


def test_the_primary_comparison_stands_first_uncorrected_over_all_factors():
    scores = synthetic_scores(subjects=7, slices=5)
    pairs = list(itertools.product(TRAINED, BASELINES))
    tests = study_comparisons(frame_means(scores), pairs, SETTINGS)
    assert list(tests.columns) == COLUMNS
    assert list(tests["role"]) == ["primary"] + ["exploratory"] * (
        2 * 4 * 2 * 6
    )  # regions, metrics, K, pairs
    first = tests.iloc[0]
    chosen = scores[
        (scores["metric"] == "ssim") & (scores["region"] == "whole") & (scores["kind"] == "synthesised")
    ]
    means = chosen.groupby(["method", "K", "subject"])["value"].mean().groupby(["method", "subject"]).mean()
    differences = (means["cae"] - means["bspline"]).to_numpy()
    walsh = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(differences, 2)]
    assert first["estimate"] == pytest.approx(np.median(walsh))
    assert math.isnan(first["K"])
    assert first["p_corrected"] == first["p"] == 1 / 64
    assert first["verdict"] == BETTER, "seven subjects can show a difference"


def test_a_primary_comparison_at_one_factor_is_not_repeated_as_exploratory():
    scores = synthetic_scores(subjects=3, slices=5)
    pairs = [("cae", "bspline"), ("cae", "linear")]
    tests = study_comparisons(frame_means(scores), pairs, SETTINGS | {"primary": PRIMARY | {"factor": 4}})
    at = tests[(tests["metric"] == "ssim") & (tests["region"] == "whole")]
    assert list(zip(at["role"], at["K"], at["baseline"], strict=True)) == [
        ("primary", 4, "bspline"), ("exploratory", 2, "bspline"), ("exploratory", 2, "linear"), ("exploratory", 4, "linear"),
    ]  # fmt: skip
    assert "with 3 subjects no p can be below 0.25" in at["note"].iloc[0]


@pytest.mark.parametrize("pairs", [[], [("bspline", "linear")]])
def test_a_study_without_a_trained_method_or_primary_comparison_has_a_table_too(pairs):
    tests = study_comparisons(
        frame_means(synthetic_scores(subjects=3, slices=5)), pairs, SETTINGS | {"primary": None}
    )
    assert list(tests.columns) == COLUMNS
    assert len(tests) == 16 * len(pairs)


# --- what is missing or not finite


def test_a_nan_subject_is_counted_and_never_dropped():
    base = [0.5, 0.6, 0.7, 0.8, 0.9, 0.4]
    scores = scores_of(
        {
            "cae": [0.6, 0.7, 0.8, math.nan, 1, 0.5],
            "mse": np.array(base) + np.arange(1, 7) / 10,
            "linear": base,
        }
    )
    tests = corrected(
        compare(unit_values(frame_means(scores)), [*PAIR, ("mse", "linear")], confidence=0.95),
        FALSE_DISCOVERY,
    )
    cae, mse = (tests.iloc[i] for i in range(2))
    assert cae[["p", "p_corrected", "estimate", "ci_low", "ci_high"]].isna().all()
    assert (cae["n"], cae["nonfinite"]) == (6, 1)
    assert "1 of 6 subjects" in cae["note"]
    assert mse["p_corrected"] == mse["p"] == 1 / 32, "the row without a p does not count in the family"


def test_infinite_psnr():
    row = one({"cae": [math.inf, math.inf, 31, 32, 35], "linear": [30, math.inf, 30, 33, 32]}, "psnr")
    # Differences inf, 0 (both infinite), 1, -1, 3; the eighth of the 15 Walsh averages is 1.5.
    assert (row["estimate"], row["ci_low"], row["ci_high"]) == (1.5, -1, math.inf)
    assert row["nonfinite"] == 3
    assert "1 of 5 differences are 0; 1 of 5 differences are infinite" in row["note"]


def test_one_subject_has_an_estimate_and_no_interval():
    row = one({"cae": [0.9], "linear": [0.8]})
    assert (row["p"], row["p_min"]) == (1, 1)
    assert row["estimate"] == pytest.approx(0.1)
    assert math.isnan(row["ci_low"])
    assert "an interval needs 2 subjects" in row["note"]


@pytest.mark.parametrize(
    ("pairs", "confidence", "message"),
    [
        ([("gan", "linear")], 0.95, "no values of gan found for dataset heads, K 2"),
        ([("cae", "short")], 0.95, r"subjects \['s2'\] found for only one of cae and short .*metric ssim"),
        (PAIR, 95, "confidence: 95 found"),
    ],
)
def test_bad_input(pairs, confidence, message):
    values = unit_values(frame_means(scores_of({"cae": [1, 2, 3], "linear": [1, 2, 3], "short": [1, 2]})))
    with pytest.raises(InputError, match=message):
        compare(values, pairs, confidence=confidence)
    with pytest.raises(InputError, match=r"metric \['mae'\] found"):
        unit_values(frame_means(scores_of({"cae": [1]}).assign(metric="mae")))


def test_seven_subjects_can_show_a_difference_after_the_correction_of_a_whole_study():
    """Two thirds of the pairs clear in every subject: their p of 1/64 stays below 0.05; the primary one needs no correction."""
    rng = np.random.default_rng(1)
    values = {f"m{i}": list((0.8 if i < 4 else 0.7) + 0.02 * rng.random(7)) for i in range(7)}
    scores = scores_of(values)
    pairs = list(itertools.combinations(values, 2))
    primary = PRIMARY | {"method": "m0", "baseline": "m6"}
    tests = study_comparisons(frame_means(scores), pairs, SETTINGS | {"primary": primary})
    first = tests.iloc[0]
    assert (first["role"], first["p"], first["verdict"]) == ("primary", 1 / 64, BETTER)
    clear = tests[(tests["p"] == 1 / 64) & (tests["region"] == "whole")]
    assert len(clear) >= 12
    assert (clear["verdict"] == BETTER).all()
