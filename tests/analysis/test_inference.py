"""As good as, frames within patients, smallest detectable difference: against closed forms and other tests."""

import math

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from interslice.analysis.inference import equivalence_p, mixed_model, not_worse_p, smallest_effect, supplement
from interslice.analysis.statistics import compare
from interslice.common.provenance import environment_record
from interslice.config import load_study
from interslice.report.formatting import markdown
from interslice.report.inference_tables import shown_inference
from interslice.report.methods_text import methods_paragraph
from interslice.scoring.longtable import check_scores, subject_means
from settings import ROOT
from synthetic_scores import LABELS, synthetic_scores, synthetic_statistics

FAMILY = ["dataset", "protocol", "metric"]
SETTINGS = {"family": FAMILY, "confidence": 0.95, "power": 0.8}


def patients(counts, seed=1, spread=1.0):
    """Differences of frames with a level per patient: (differences, patients)."""
    draw = np.random.default_rng(seed)
    names = [f"p{i}" for i, count in enumerate(counts) for _ in range(count)]
    level = {f"p{i}": draw.normal(0.5, spread) for i in range(len(counts))}
    return np.array([level[name] + draw.normal(0, 0.3) for name in names]), names


# --- as good as


def test_not_worse_and_equivalent_by_hand():
    differences = np.array([-0.1, -0.2, 0.1, 0.05, -0.05])
    assert not_worse_p(differences, 0.3) == 1 / 32  # all are above -0.3
    assert equivalence_p(differences, 0.3) == 1 / 32
    # Differences + 0.15 are .05, -.05, .25, .2, .1: the negative one has midrank 1.5, and 3 of 32 sums reach 13.5.
    assert not_worse_p(differences, 0.15) == 3 / 32
    assert equivalence_p(np.full(6, 0.4) + np.arange(6) / 100, 0.3) == 1, (
        "better by more than the margin is not equal"
    )
    assert math.isnan(not_worse_p(differences, math.nan))


def test_a_large_p_is_no_equality():
    """The usual mistake: no significant difference is not "as good as"."""
    noisy = np.array([-3.0, 2.0, 4.0, -2.5, 1.0, -1.2])
    assert stats.wilcoxon(noisy).pvalue > 0.5
    assert equivalence_p(noisy, 0.5) > 0.3


# --- frames within patients


def test_equally_many_frames_are_the_paired_t_test_of_patients():
    differences, names = patients([4] * 7)
    means = differences.reshape(7, 4).mean(axis=1)
    expected = stats.ttest_1samp(means, 0, alternative="greater")
    interval = stats.ttest_1samp(means, 0).confidence_interval(0.9)
    mean, low, high, p = mixed_model(differences, names, 0.9)
    assert mean == pytest.approx(means.mean(), abs=1e-9)
    assert (low, high) == pytest.approx((interval.low, interval.high), rel=1e-3)
    assert p == pytest.approx(expected.pvalue, rel=1e-2)


def test_frames_as_samples_would_be_too_sure():
    differences, names = patients([10] * 6)
    assert (
        mixed_model(differences, names, 0.95)[3]
        > 5 * stats.ttest_1samp(differences, 0, alternative="greater").pvalue
    )


def test_unequal_frames_are_weighted_between_frames_and_patients():
    differences, names = patients([1, 9, 2, 8, 5], seed=4)
    by_patient = pd.Series(differences).groupby(names).mean().mean()
    low, high = sorted([by_patient, differences.mean()])
    assert low <= mixed_model(differences, names, 0.95)[0] <= high


@pytest.mark.parametrize("counts", [[1, 1, 1, 1], [5]])
def test_no_estimate_without_frames_or_patients(counts):
    assert np.isnan(mixed_model(*patients(counts), 0.95)).all()
    differences, names = patients([2, 2, 2])
    differences[0] = np.inf
    assert np.isnan(mixed_model(differences, names, 0.95)).all()


# --- power


@pytest.mark.parametrize(("n", "power"), [(5, 0.8), (5, 0.5), (6, 0.9)])
def test_detectable_in_closed_form_where_all_must_be_positive(n, power):
    level = 2.0**-n * 1.5  # only the largest rank sum is significant: power = P(z > -effect)^n
    assert smallest_effect(n, level, power) == pytest.approx(stats.norm.ppf(power ** (1 / n)), abs=0.05)


def test_detectable_is_near_the_t_tests_for_many():
    from statsmodels.stats.power import TTestPower

    t_test = TTestPower().solve_power(nobs=40, alpha=0.05, power=0.8, alternative="larger")
    assert t_test < smallest_effect(40, 0.05, 0.8) < 1.06 * t_test  # efficiency 3 / pi


def test_nothing_is_detectable_below_the_smallest_p():
    assert smallest_effect(5, 0.05 / 12, 0.8) == math.inf
    assert smallest_effect(4, 0.05, 0.8) == math.inf


# --- together


@pytest.fixture(scope="module")
def scores():
    table = synthetic_scores(slices=5)
    second = table.assign(frame=1, value=table["value"] + 0.01)
    return check_scores(pd.concat([table, second], ignore_index=True))


@pytest.fixture(scope="module")
def tests(scores):
    compared = synthetic_statistics(scores)
    return supplement(compared, scores, region="whole", margins={"ssim": 0.05, "psnr": 0.5}, **SETTINGS)


def test_columns_follow_the_differences(scores, tests):
    means = subject_means(scores)
    row = tests[(tests["metric"] == "psnr") & (tests["K"] == 4)].iloc[0]
    values = means[(means["metric"] == "psnr") & (means["K"] == 4)].pivot(
        index="subject", columns="method", values="value"
    )
    differences = (values[row["method"]] - values[row["baseline"]]).to_numpy()
    assert row["mean_difference"] == pytest.approx(differences.mean())
    assert row["sd_difference"] == pytest.approx(differences.std(ddof=1))
    assert row["p_equivalent"] == equivalence_p(differences, 0.5)
    assert row["detectable"] == pytest.approx(differences.std(ddof=1) * smallest_effect(5, 0.05, 0.8))
    assert row["detectable_holm"] == math.inf
    assert row["frames"] == 10
    assert row["mixed_difference"] == pytest.approx(differences.mean())


def test_holm_of_equivalence_is_within_the_family(tests):
    from statsmodels.stats.multitest import multipletests

    for metric in ("ssim", "psnr"):
        own = tests[tests["metric"] == metric]
        assert list(own["p_equivalent_holm"]) == list(multipletests(own["p_equivalent"], method="holm")[1])
    assert tests[tests["metric"] == "vif"]["p_equivalent_holm"].isna().all()


def test_a_declared_family_is_used(scores):
    means = subject_means(scores)
    narrow = compare(means, ["cae"], ["linear"], bootstrap=100, family=["dataset", "K", "protocol", "metric"])
    assert (narrow["p_holm"] == narrow["p"]).all()
    wide = compare(means, ["cae"], ["linear"], bootstrap=100, family=["dataset"])
    assert (wide["p_holm"] >= wide["p"]).all()
    assert (wide["p_holm"] > wide["p"]).any()


def test_the_table_shows_margins_and_reach(tests):
    text = markdown(shown_inference(tests, LABELS))
    assert "as good as, and what 5 subjects can show" in text
    assert "| ∞ |" in text
    assert "–" in text


def test_the_methods_paragraph_follows_the_configuration(tests):
    dataset = {
        "title": "heads", "factors": None, "slice_profile": "gaussian", "trained_on": None,
        "intensity": {"scaling": "percentile", "low": 1, "high": 99.8, "per": "volume"},
    }  # fmt: skip
    training = {"steps": 5000, "batch": 12, "crop": 64, "learning_rate": 0.001}
    methods = {
        "linear": {"label": "Linear", "role": "baseline"},
        "self_sr": {"label": "Self-SR", "role": "baseline"},
        "cae": {"label": "CAE", "role": "trained", "method": "cae", "training": training},
    }
    statistics = SETTINGS | {"bootstrap": 10_000, "margins": {"psnr": 0.5}}
    config = {
        "factors": [2, 4], "seeds": [1, 2], "statistics": statistics,
        "evaluation": {"metrics": ["ssim", "psnr"], "gap_step": 4},
    }  # fmt: skip
    study = {"config": config, "datasets": {"t1_embedded": dataset}, "methods": methods, "variants": {}}
    text = methods_paragraph(study, tests.assign(region="whole"), environment_record())
    for words in (
        "Baselines, which learn from no other subject, were Linear and Self-SR",
        "5 test subjects", "K = 2 and 4", "percentiles 1 and 99.8", "Gaussian slice profile", "5,000 updates of 12 triplets",
        "2 repetitions", "(12 comparisons)", "95 % percentile bootstrap interval (10,000 resamples)", "0.5 for PSNR (dB)",
        "With 5 subjects no p can be below 0.0312", "no comparison can reach 0.05", "random intercept per subject", "numpy",
    ):  # fmt: skip
        assert words in text, words
    config["statistics"]["family"] = ["dataset", "K", "protocol", "metric"]
    changed = methods_paragraph(study, tests.assign(region="whole"), environment_record())
    assert "combination of dataset, K, protocol and metric and image region (6 comparisons)" in changed


def test_the_methods_paragraph_has_the_budget_of_each_dataset_and_what_a_batch_holds(tests):
    """The settings of `datasets.mnist` in cae.yaml, not those of heads; no borrowed models; patches where a method has them."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    names = ["t1", "t1_shifted", "mnist"]
    study = load_study(config | {"datasets": names, "factors": [4], "methods": ["cae", "unet"]}, ROOT)
    text = methods_paragraph(study.resolved, tests.assign(region="whole"), environment_record())
    heads = "250 updates of 12 triplets, crops of 64 pixels, peak learning rate 0.001 (t1)"
    digits = "500 updates of 32 triplets, crops of 32 pixels, peak learning rate 0.001 (mnist)"
    assert f"CAE was trained per dataset and K for {heads}; {digits}." in text
    assert "U-Net was trained per dataset and K for 200 updates of 4 high-resolution patches, crops" in text
