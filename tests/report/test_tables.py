import io
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from interslice.analysis.results import group_means, results_table
from interslice.common.errors import InputError
from interslice.report.comparison_tables import ONE_SEED, SEVERAL_SEEDS, shown_comparisons, shown_primary
from interslice.report.formatting import format_p, format_value, latex, latex_escape, markdown, plain
from interslice.report.tables import (
    PAPERS,
    WITH_OWN,
    shown_groups,
    shown_results,
)
from interslice.scoring.longtable import KEYS, check_scores, frame_means
from synthetic_scores import CONTROLS, LABELS, TRAINED, synthetic_comparisons, synthetic_scores


def as_markdown(table: pd.DataFrame) -> str:
    return markdown(shown_results(table))


def as_latex(table: pd.DataFrame) -> str:
    return latex(shown_results(table))


def table_of(
    means: dict[str, list[float]], metric: str = "ssim", controls: set[str] = frozenset(), **options
):
    """A results table from subject values by method, one synthesised slice each."""
    rows = [
        ("d", method, 2, 0, "strict", f"s{i}", 0, 1, "synthesised", "whole", metric, value)
        for method, values in means.items()
        for i, value in enumerate(values)
    ]
    labels = {method: method for method in means}
    scores = check_scores(pd.DataFrame(rows, columns=[*KEYS, "value"]))
    return results_table(frame_means(scores), labels=labels, controls=controls, **options)


def marked(markdown: str) -> set[str]:
    """Names of the rows of a Markdown table that have a bold cell."""
    rows = [line.split("|") for line in markdown.splitlines() if line.startswith("| ")]
    return {row[1].strip() for row in rows if any("**" in cell for cell in row)}


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return synthetic_scores()


@pytest.fixture(scope="module")
def table(scores: pd.DataFrame) -> pd.DataFrame:
    return results_table(frame_means(scores), labels=LABELS, controls=CONTROLS)


def test_mean_and_sd_are_over_subjects_not_slices():
    rows = [
        ("d", "linear", 2, 0, "strict", subject, 0, i, "synthesised", "whole", "ssim", value)
        for subject, values in {"a": [0.1, 0.3], "b": [0.6], "c": [0.9, 0.9, 0.9]}.items()
        for i, value in enumerate(values)
    ]
    scores = check_scores(pd.DataFrame(rows, columns=[*KEYS, "value"]))
    row = results_table(frame_means(scores), labels={"linear": "Linear"}, controls=set()).iloc[0]
    # Subject means 0.2, 0.6, 0.9: mean 17/30; squared deviations sum to .740/3, over n - 1 = 2.
    assert row["ssim_mean"] == pytest.approx(17 / 30)
    assert row["ssim_sd"] == pytest.approx(np.sqrt(0.74 / 6))
    assert (row["ssim_n"], row["ssim_slices_min"], row["ssim_slices_max"]) == (3, 1, 3)
    assert np.isnan(row["ssim_seed_sd"])


def test_rows_follow_the_labels_within_dataset_and_factor(table: pd.DataFrame):
    assert table["K"].tolist() == [2] * 7 + [4] * 7
    assert table["method"].tolist() == list(LABELS) * 2
    backwards = dict(reversed(LABELS.items()))
    scores = synthetic_scores(slices=5, subjects=2)
    again = results_table(frame_means(scores), labels=backwards, controls=CONTROLS)
    assert again["method"].tolist() == list(backwards) * 2


def test_kind_and_region_choose_the_slices(scores: pd.DataFrame):
    counts = {
        kind: results_table(frame_means(scores), kind=kind, labels=LABELS, controls=CONTROLS)[
            "ssim_slices_max"
        ].tolist()
        for kind in ("kept", "synthesised", "all")
    }
    assert counts == {"kept": [5] * 7 + [3] * 7, "synthesised": [4] * 7 + [6] * 7, "all": [9] * 14}
    whole, inner = (
        results_table(frame_means(scores), region=r, labels=LABELS, controls=CONTROLS)
        for r in ("whole", "foreground")
    )
    assert (whole["ssim_mean"][1:7] > inner["ssim_mean"][1:7]).all()


def test_infinite_values_are_counted_and_shown(scores: pd.DataFrame):
    kept = results_table(frame_means(scores), kind="kept", labels=LABELS, controls=CONTROLS).set_index(
        ["K", "method"]
    )
    assert kept.loc[(2, "linear"), "psnr_mean"] == np.inf
    assert kept.loc[(2, "linear"), "psnr_nonfinite"] == 25
    assert kept.loc[(2, "cae"), "psnr_nonfinite"] == 0
    text = as_markdown(kept.reset_index())
    assert re.search(r"\| Linear \|.*\| \*\*∞\*\* \|", text)
    assert "Oracle 25, Nearest 25, Linear 25, B-spline 25, Lanczos 25" in text


def test_one_infinite_subject_makes_the_mean_infinite():
    table = table_of({"a": [20.0, np.inf, 30.0], "b": [20.0, np.nan, 30.0], "c": [1.0, 2.0, 3.0]}, "psnr")
    assert table["psnr_mean"].tolist()[0] == np.inf
    assert np.isnan(table["psnr_mean"][1])
    assert table["psnr_nonfinite"].tolist() == [1, 1, 0]
    text = as_markdown(table)
    assert "| b | NaN |" in text
    assert "| c | 2.00 ± 1.00 |" in text
    assert marked(text) == {"a"}


def test_numbers_survive_a_csv(scores: pd.DataFrame):
    table = results_table(
        frame_means(scores), kind="kept", labels=LABELS, controls=CONTROLS, supervised={"cae"}
    )
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    pd.testing.assert_frame_equal(table, again, check_dtype=False, check_exact=True)
    assert as_markdown(again) == as_markdown(table)


def test_seed_spread_is_of_the_mean_over_subjects():
    scores = synthetic_scores(seeds=(0, 1, 2), slices=5, subjects=3)
    table = results_table(frame_means(scores), labels=LABELS, controls=CONTROLS).set_index(["K", "method"])
    chosen = scores.query("K == 2 and method == 'cae' and metric == 'vif'")
    chosen = chosen.query("kind == 'synthesised' and region == 'whole'")
    per_seed = [
        np.mean([s["value"].mean() for _, s in g.groupby("subject")]) for _, g in chosen.groupby("seed")
    ]
    assert table.loc[(2, "cae"), "vif_seed_sd"] == pytest.approx(np.std(per_seed, ddof=1), rel=1e-12)
    assert table.loc[(2, "cae"), "vif_mean"] == pytest.approx(np.mean(per_seed), rel=1e-12)
    assert table["seeds"].to_dict() == {(k, m): 3 if m in TRAINED else 1 for k in (2, 4) for m in LABELS}
    text = as_markdown(table.reset_index())
    assert text.count("over 3 seeds: SSIM 0.") == 4
    assert "Linear, standard deviation" not in text


@pytest.mark.parametrize(("metric", "best"), [("ssim", "c"), ("psnr", "c"), ("vif", "c"), ("lpips", "b")])
def test_best_follows_the_direction_and_skips_controls(metric: str, best: str):
    means = {"top": [9.0, 9.2], "a": [0.5, 0.5], "b": [0.3, 0.4], "c": [0.7, 0.6], "bottom": [0.0, 0.1]}
    assert marked(as_markdown(table_of(means, metric, {"top", "bottom"}))) == {best}


def test_overshoot_is_no_better_than_falling_short():
    means = {"short": [0.7, 0.7], "near": [0.9, 0.9], "over": [1.4, 1.4]}
    text = as_markdown(table_of(means, "lesion_contrast_6mm"))
    assert marked(text) == {"near"}
    assert "Contrast, 6 mm lesions → 1" in text
    assert marked(as_markdown(table_of({"a": [0.4], "b": [1.4]}, "lesion_contrast_3mm"))) == {"b"}
    cancelled = {"a": [0.5, 1.5], "b": [0.9, 0.9]}  # a's mean is 1, and none of its subjects is near it
    assert marked(as_markdown(table_of(cancelled, "lesion_contrast_3mm"))) == {"b"}


def test_a_control_as_good_as_the_best_is_not_marked():
    means = {"oracle": [0.7, 0.7], "a": [0.7, 0.7], "b": [0.6, 0.6]}
    assert marked(as_markdown(table_of(means, controls={"oracle"}))) == {"a"}


def test_ties_at_printed_precision_are_all_marked():
    means = {"a": [0.70004] * 2, "b": [0.69996] * 2, "c": [0.6994] * 2}
    assert marked(as_markdown(table_of(means))) == {"a", "b"}
    psnr = {"a": [30.004] * 2, "b": [30.006] * 2}
    assert marked(as_markdown(table_of(psnr, "psnr"))) == {"b"}


def test_one_table_per_factor_and_controls_in_italics(table: pd.DataFrame):
    text = as_markdown(table)
    assert re.findall(
        r"\*\*t1_embedded, K = (\d): synthesised slices, whole image, protocol strict\*\*", text
    ) == ["2", "4"]
    assert text.count("| *Oracle* |") == text.count("| *Nearest* |") == 2
    assert text.count("n = 5; slices scored per subject: 4, of all gaps.") == 1
    assert "SSIM ↑ | PSNR (dB) ↑ | VIF ↑ | LPIPS ↓" in text


def test_the_footnote_says_which_gaps_were_scored():
    scores = synthetic_scores(slices=41)
    part = scores[scores["slice"] // scores["K"] % 5 == 0]
    shown = as_markdown(results_table(frame_means(part), labels=LABELS, controls=CONTROLS))
    assert re.findall(r"slices scored per subject: (.*)\.", shown) == [
        "4, of every 5th gap",
        "6, of every 5th gap",
    ]


def test_a_method_scored_on_fewer_subjects_is_named():
    table = table_of({"a": [0.1, 0.2, 0.3], "b": [0.1, 0.2]})
    text = as_markdown(table)
    assert "n = 2–3" in text
    assert "not all scored on the same subjects and slices: a 3 subjects of 1 slices; b 2 subjects" in text


def test_a_metric_not_scored_for_a_method_is_not_a_zero():
    table = pd.concat([table_of({"a": [0.1, 0.2]}), table_of({"a": [0.1, 0.2]}, "lpips")])
    scores = pd.concat(
        pd.DataFrame(
            [("d", m, 2, 0, "strict", s, 0, 1, "synthesised", "whole", metric, 0.5)], columns=[*KEYS, "value"]
        )
        for m, metric in (("a", "ssim"), ("a", "lpips"), ("b", "ssim"))
        for s in ("s0", "s1")
    )
    table = results_table(frame_means(scores), labels={"a": "a", "b": "b"}, controls=set())
    assert table["lpips_n"].tolist() == [2, 0]
    assert "| b | **0.500 ± 0.000** | not scored |" in as_markdown(table)


def test_supervised_methods_carry_a_dagger(scores: pd.DataFrame):
    text = as_markdown(
        results_table(frame_means(scores), labels=LABELS, controls=CONTROLS, supervised={"cae_mse"})
    )
    assert "| cae_mse† |" in text
    assert "Lanczos†" not in text
    assert "† trained on high-resolution" in text


def test_latex_escapes_and_marks(table: pd.DataFrame):
    text = as_latex(table)
    assert r"cae\_mse &" in text
    assert not re.search(r"(?<!\\)_", text)
    assert r"CAE ($\lambda$ = 0.05) & \textbf{" in text
    assert r"\textit{Oracle} & 1.000 $\pm$ 0.000 & $\infty$ &" in text
    for word in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(word) == 2
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert text.isascii()
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == 2


def test_latex_escape_covers_every_special_character():
    assert latex_escape("a_b & 5% $x$ #1 {y} ~ ^ \\") == (
        r"a\_b \& 5\% \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert latex_escape("λ Ω ∞ ±") == r"$\lambda$ $\Omega$ $\infty$ $\pm$"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex with booktabs")
def test_latex_compiles_within_the_text_width(table: pd.DataFrame, tmp_path):
    head = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{booktabs}\begin{document}"
    (tmp_path / "t.tex").write_text(head + as_latex(table) + r"\end{document}")
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-2000:]
    assert "Overfull" not in run.stdout


def test_summary_fits_a_terminal_and_says_what_it_leaves_out(table: pd.DataFrame):
    lines = plain(shown_results(table))
    assert max(map(len, lines)) <= 100
    best = [line for line in lines if line.startswith("CAE")]
    assert len(best) == 2
    assert all(line.count(" *") == 4 for line in best)
    assert any("∞" in line for line in lines)
    narrow = plain(shown_results(table), 50)
    assert max(map(len, narrow)) <= 50
    assert "Not shown here for width: VIF ↑, LPIPS ↓." in narrow


@pytest.fixture(scope="module")
def comparisons(scores: pd.DataFrame) -> pd.DataFrame:
    return synthetic_comparisons(scores)


def test_comparisons_are_ordered_by_metric_and_labels(comparisons: pd.DataFrame):
    changed = comparisons.copy()
    first = changed.query("metric == 'ssim'").index[0]
    changed.loc[first, ["p", "p_corrected"]] = np.nan
    changed.loc[first, "note"] = "one | two"
    two = shown_comparisons(changed.sample(frac=1, random_state=0), LABELS)
    assert [one.caption.split(",")[1] for one in two] == [" K = 2", " K = 4"]
    rows = [[cell.text for cell in row.cells] for one in two for row in one.rows]
    assert [row[0] for row in rows] == (["SSIM"] * 6 + ["PSNR (dB)"] * 6 + ["VIF"] * 6 + ["LPIPS"] * 6) * 2
    assert [row[2] for row in rows[:3]] == ["Linear", "B-spline", "Lanczos"]
    assert rows[0][6] == rows[0][7] == "not tested"
    assert " one \\| two |" in markdown(two)


def test_a_comparison_shows_its_numbers_and_what_they_cover(comparisons: pd.DataFrame):
    """Against values set here, not computed: the row is passed through as it is."""
    row = {
        "estimate": 0.012345,
        "ci_low": -0.001,
        "ci_high": 0.02,
        "level": 0.9375,
        "p": 0.0625,
        "p_corrected": 0.09,
    }
    one = comparisons.iloc[[0]].assign(**row, verdict="undecided", nonfinite=3, note="")
    (shown,) = shown_comparisons(one, LABELS)
    texts = dict(zip(shown.columns, (cell.text for cell in shown.rows[0].cells), strict=True))
    assert texts["Difference [interval]"] == "0.0123 [-0.0010, 0.0200]"
    assert texts["Level"] == "93.8 %"
    assert texts["p"] == "p = 0.062 (smallest)"
    assert (texts["p corrected"], texts["Verdict"], texts["Not finite"]) == ("p = 0.09", "undecided", "3")
    assert ONE_SEED in shown.notes
    (several,) = shown_comparisons(one.assign(seeds=3), LABELS)
    assert SEVERAL_SEEDS in several.notes


def test_the_primary_comparison_is_a_table_of_its_own(comparisons: pd.DataFrame):
    assert shown_primary(comparisons, LABELS) is None
    one = comparisons.iloc[[0]].assign(role="primary", K=np.nan, alternative="two-sided")
    both = pd.concat([one, comparisons])
    shown = shown_primary(both, LABELS)
    assert [cell.text for cell in shown.rows[0].cells[:2]] == ["t1_embedded", "mean over all"]
    assert shown.notes[0].startswith("Declared in the study file; two-sided, not corrected.")
    assert sum(len(part.rows) for part in shown_comparisons(both, LABELS)) == len(comparisons)


def test_this_projects_own_methods_have_a_table_of_their_own(table: pd.DataFrame):
    apart = [one for one in shown_results(table, own={"cae"}) if "K = 4" in one.caption]
    assert [one.caption.split(":")[0] for one in apart] == [
        f"t1_embedded, K = 4{text}" for text in (PAPERS, WITH_OWN)
    ]
    names = [[row.cells[0].text for row in one.rows] for one in apart]
    assert names == [[label for label in LABELS.values() if label != LABELS["cae"]], list(LABELS.values())]
    best = [{row.cells[0].text for row in one.rows if row.cells[1].best} for one in apart]
    assert best[0] == {"cae_mse"}, "our own method takes no mark from the paper's"
    assert best[1] == {LABELS["cae"]}
    assert len(shown_results(table, own={"another"})) == 2


def test_groups_of_subjects_have_columns_of_their_own(scores: pd.DataFrame):
    subjects = sorted(scores["subject"].unique())
    groups = {"t1_embedded": {"in-site": subjects[:1], "elsewhere": subjects[1:4]}}
    means = group_means(frame_means(scores), groups, LABELS)
    rows = scores[(scores["kind"] == "synthesised") & (scores["region"] == "whole")]
    rows = rows[(rows["method"] == "linear") & (rows["K"] == 4) & (rows["metric"] == "psnr")]
    own = means[(means["method"] == "linear") & (means["K"] == 4) & (means["metric"] == "psnr")].set_index(
        "group"
    )
    for group, chosen in groups["t1_embedded"].items():
        expected = np.mean([rows[rows["subject"] == subject]["value"].mean() for subject in chosen])
        assert own.loc[group, "mean"] == pytest.approx(expected)
    assert list(own["n"]) == [1, 3]
    shown = shown_groups(means, {"t1_embedded": subjects[:2]})
    assert [one.caption.split(":")[0] for one in shown] == ["t1_embedded, K = 2", "t1_embedded, K = 4"]
    assert shown[1].columns[3:5] == ("PSNR (dB) ↑, in-site", "PSNR (dB) ↑, elsewhere")
    linear = next(row for row in shown[1].rows if row.cells[0].text == LABELS["linear"])
    assert linear.cells[3].text == f"{own.loc['in-site', 'mean']:.2f}"
    assert shown[1].notes[0] == "Test subjects: in-site n = 1, elsewhere n = 3."
    assert f"Scores of {subjects[0]}, {subjects[1]} were seen" in shown[1].notes[1]
    assert shown_groups(group_means(frame_means(scores), {}, LABELS), {}) == []


def test_phases_of_one_subject_have_columns_of_their_own():
    rows = [
        (
            "cine",
            "linear",
            2,
            1,
            "strict",
            "p",
            frame,
            i,
            "synthesised",
            "whole",
            "ssim",
            0.5 + 0.01 * frame + 0.1 * i,
        )
        for frame in range(12)
        for i in (1, 3)
    ]
    scores = check_scores(pd.DataFrame(rows, columns=[*KEYS, "value"]))
    means = group_means(frame_means(scores), {"cine": {}}, LABELS)
    np.testing.assert_allclose(means["mean"], 0.7 + 0.01 * np.arange(12))
    (shown,) = shown_groups(means, {})
    assert shown.columns == ("Method", *(f"SSIM ↑, frame {i}" for i in range(12)))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.03125, 0.03125), "p = 0.031 (smallest)"),
        ((0.0625, 0.03125), "p = 0.062"),
        ((3e-7, 1e-9), "p < 0.0001"),
        ((1.0,), "p = 1"),
        ((float("nan"), 0.03125), "not tested"),
    ],
)
def test_format_p(arguments: tuple, text: str):
    assert format_p(*arguments) == text


def test_format_value_has_no_negative_zero():
    assert [format_value(v, 2) for v in (-0.001, -np.inf, np.inf, np.nan, 1.005)] == [
        "0.00",
        "-∞",
        "∞",
        "NaN",
        "1.00",
    ]


def test_bad_input_is_refused_with_what_was_found(scores: pd.DataFrame):
    labels = {method: label for method, label in LABELS.items() if method != "cae"}
    with pytest.raises(InputError, match=r"method \['cae'\] found"):
        results_table(frame_means(scores), labels=labels, controls=CONTROLS)
    with pytest.raises(InputError, match="kind 'synthetic'"):
        results_table(frame_means(scores), kind="synthetic", labels=LABELS, controls=CONTROLS)
    with pytest.raises(InputError, match="no row of protocol 'as_published'"):
        results_table(frame_means(scores), protocol="as_published", labels=LABELS, controls=CONTROLS)
    with pytest.raises(InputError, match="sharpness"):
        results_table(
            frame_means(scores.replace({"metric": {"vif": "sharpness"}})), labels=LABELS, controls=CONTROLS
        )
    with pytest.raises(InputError, match=r"method \['cae'\]"):
        shown_comparisons(synthetic_comparisons(scores), labels)


def test_one_subject_and_one_metric_are_a_table_too():
    table = table_of({"a": [0.8], "b": [0.7]})
    assert table["ssim_mean"].tolist() == [0.8, 0.7]
    assert table["ssim_n"].tolist() == [1, 1]
