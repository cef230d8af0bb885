"""Ranks, how far they can be trusted, and the map of what is better than what."""

import numpy as np
import pandas as pd
import pytest
import scipy
from statsmodels.stats.multitest import multipletests

from interslice.analysis.ranks import DRAWS, OVER_METRICS, kendall_tau, rank_tables, significance_map
from interslice.report.ranks import NOTHING, rank_figure, shown_agreement, shown_ranks
from interslice.scoring.longtable import KEYS, check_scores, frame_means


def scores_of(values, subjects=7):
    """(dataset, metric) to method to one value per subject, one synthesised slice each, K = 2; "control" among them."""
    rows = [
        (dataset, method, 2, 1, "strict", f"s{i}", 0, 1, "synthesised", "whole", metric, float(value))
        for (dataset, metric), methods in values.items()
        for method, column in {**methods, "control": [9.0] * subjects}.items()
        for i, value in enumerate(column)
    ]
    return check_scores(pd.DataFrame(rows, columns=[*KEYS, "value"]))


def apart(*means, subjects=7, spread=0.0):
    """Methods a, b, ... with these means, in all subjects alike but for a seeded spread."""
    rng = np.random.default_rng(3)
    return {
        name: mean + spread * rng.normal(size=subjects) for name, mean in zip("abcdefgh", means, strict=False)
    }


def ranked(values, **options):
    return rank_tables(frame_means(scores_of(values, **options)), ["control"], confidence=0.95)


def test_what_is_ahead_in_every_subject_is_first_in_every_draw_whichever_way_the_metric_points():
    values = {("d", "psnr"): apart(30, 32, 31), ("d", "lpips"): apart(0.3, 0.1, 0.2)}
    ranks, agreement = ranked(values)
    for metric in ("psnr", "lpips", OVER_METRICS):
        own = ranks[ranks["metric"] == metric].set_index("method")
        assert own["rank"].to_dict() == {"a": 3, "b": 1, "c": 2}
        assert (own["ci_low"] == own["rank"]).all()
        assert own["first"].to_dict() == {"a": 0, "b": 1, "c": 0}
    assert "control" not in set(ranks["method"])
    assert (agreement["tau"] == 1).all()
    assert set(agreement["between"]) == {"subjects", "metrics"}
    reversed_values = {("d", "psnr"): apart(30, 32, 31), ("e", "psnr"): apart(32, 30, 31)}
    (row,) = ranked(reversed_values)[1].query("between == 'datasets'").itertuples()
    assert (row.tau, row.dataset, row.other, row.methods) == (-1, "d", "e", 3)


def test_two_methods_that_take_turns_share_ranks_and_intervals_span_both():
    turns = np.array([1.0, -1.0] * 4)
    values = {("d", "psnr"): {"a": 30 + turns, "b": 30 - turns, "c": np.full(8, 20.0)}}
    ranks = ranked(values, subjects=8)[0].set_index("method")
    assert ranks["rank"].to_dict() == {"a": 1.5, "b": 1.5, "c": 3}
    assert ranks.loc["a", ["ci_low", "ci_high"]].tolist() == [1, 2]
    assert ranks.loc["c", ["ci_low", "ci_high"]].tolist() == [3, 3]
    # The draws in which a has at least as many turns as b: half, and half of the ties.
    ties = scipy.stats.binom.pmf(4, 8, 0.5)
    assert ranks.loc["a", "first"] == pytest.approx((1 + ties) / 2, abs=3 * 0.5 / np.sqrt(DRAWS))


def test_the_same_subjects_are_drawn_wherever_they_are_scored():
    """Else rankings of two degradations of the same scans would seem to disagree by chance."""
    noisy = apart(30, 30.05, 30.1, spread=0.1)
    _, agreement = ranked({("d", "psnr"): noisy, ("e", "psnr"): {name: v + 5 for name, v in noisy.items()}})
    own = agreement.set_index("between")
    assert own.loc["datasets", ["tau", "ci_low", "ci_high"]].tolist() == [1, 1, 1]
    assert own.loc["subjects", "tau"].max() < 1


def test_kendall_tau_is_scipys():
    rng = np.random.default_rng(0)
    one, two = rng.integers(1, 6, (40, 7)), rng.integers(1, 6, (40, 7))
    expected = [scipy.stats.kendalltau(*pair).statistic for pair in zip(one, two, strict=True)]
    np.testing.assert_allclose(kendall_tau(one, two), expected, atol=1e-12)
    assert np.isnan(kendall_tau(np.ones((1, 3)), one[:1, :3])).all()


def test_a_mean_that_is_not_defined_ranks_last():
    values = {("d", "vif"): apart(0.3, 0.4) | {"c": [np.nan, *[0.9] * 6]}}
    assert ranked(values)[0].set_index("method")["rank"].to_dict() == {"a": 2, "b": 1, "c": 3}


def test_seven_subjects_can_show_differences_and_the_map_is_of_corrected_tests():
    """The smallest two-sided p is 1/64; among 28 pairs it survives the correction where most pairs are that clear."""
    found = significance_map(
        frame_means(scores_of({("d", "psnr"): apart(*range(30, 38), spread=0.1)})),
        ["control"],
        "psnr",
        confidence=0.95,
    )
    pairs = found[found["method"] < found["baseline"]]
    assert len(pairs) == 28
    assert len(found) == 56
    assert (pairs["p"] == 1 / 64).all()
    np.testing.assert_allclose(pairs["p_corrected"], multipletests(pairs["p"], method="fdr_bh")[1])
    assert {(row.method, row.baseline) for row in found[found["better"]].itertuples()} == {
        (one, two) for one in "abcdefgh" for two in "abcdefgh" if one > two
    }
    close = significance_map(
        frame_means(scores_of({("d", "psnr"): apart(30, 30, 30, spread=1.0)})),
        ["control"],
        "psnr",
        confidence=0.95,
    )
    assert not close["better"].any()


def test_table_and_figure_say_ranks_and_what_is_better():
    values = {
        ("d", "psnr"): apart(*range(30, 36), spread=0.1),
        ("d", "ssim"): apart(0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
    }
    scores = scores_of(values)
    ranks, agreement = rank_tables(frame_means(scores), ["control"], confidence=0.95)
    labels = {name: name.upper() for name in "abcdef"}
    (shown,) = shown_ranks(ranks, labels)
    assert shown.columns == ("Method", OVER_METRICS, "First", "SSIM", "PSNR (dB)")
    assert shown.caption.endswith("n = 7 subjects")
    by_name = {row.cells[0].text: [cell.text for cell in row.cells] for row in shown.rows}
    assert by_name["F"][3:] == ["6 [6, 6]", "1 [1, 1]"]
    texts = [[cell.text for cell in row.cells] for row in shown_agreement(agreement).rows]
    assert ["metrics", "d, K = 2, SSIM", "PSNR (dB)", "-1.00 [-1.00, -1.00]"] in texts
    tests = significance_map(frame_means(scores), ["control"], "psnr", confidence=0.95)
    figure = rank_figure(ranks, tests, "psnr", labels)
    marks = {text.get_gid() for axes in figure.axes for text in axes.texts}
    assert {"f a ▲", "a f ▼", "a a "} <= marks
    empty = rank_tables(frame_means(scores[scores["subject"] == "s1"]), ["control"], confidence=0.95)[0]
    assert rank_figure(empty, tests, "psnr", labels).texts[0].get_text() == NOTHING


def test_the_figure_of_many_places_with_long_names_is_not_cut_off():
    datasets = [f"data {i}, with a slice profile of a long name" for i in range(3)]
    scores = scores_of({(name, "psnr"): apart(*range(5), spread=0.5) for name in datasets})
    labels = {name: f"Method {name} (ours), pretrained‡" for name in "abcdefgh"}
    ranks, _ = rank_tables(frame_means(scores), ["control"], confidence=0.95)
    tests = significance_map(frame_means(scores), ["control"], "psnr", confidence=0.95)
    figure = rank_figure(ranks, tests, "psnr", labels)
    figure.draw_without_rendering()
    assert len(figure.axes) == 2 * len(datasets)
    content, page = figure.get_tightbbox(), figure.bbox_inches
    assert min(content.x0, content.y0, page.width - content.x1, page.height - content.y1) >= -0.01
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.get_yticklabels()]
    frames = [axes.get_window_extent() for axes in figure.axes]
    assert not any(frame.overlaps(box) for frame in frames for box in boxes)
