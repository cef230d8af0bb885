"""The audit on long tables whose answer is known: which switch flips which ranking, and what is said of it."""

import numpy as np
import pandas as pd
import pytest

from interslice.analysis.audit import (
    AHEAD,
    EXPLAINED,
    FAILS,
    HOLDS,
    TITLES,
    UNDEFINED,
    audit,
    claim,
    switched_scores,
)
from interslice.analysis.published import beside, read_published
from interslice.common.errors import InputError
from interslice.common.files import write_csv
from interslice.report.audit_figure import audit_figure
from interslice.report.audit_tables import (
    ITEMS_TEXT,
    OWN,
    PAPERS,
    by_origin,
    shown_audit,
    shown_claims,
    shown_summary,
)
from interslice.report.formatting import markdown
from interslice.scoring.longtable import COLUMNS, check_scores
from interslice.scoring.released_protocol import AS_PUBLISHED, ITEMS, PROTOCOLS, SCORED
from interslice.steps.audit import plot_audit, write_audit_page
from settings import ROOT

SETTINGS = {"brain": ["heads"], "confidence": 0.95}
LABELS = {"bspline": "Cubic B-spline", "cae": "CAE"}
GAP = {"ssim": -0.05, "psnr": -2.0}  # CAE behind under strict


def scores(subjects=6, frames=2):
    """CAE is behind by GAP; on kept slices ahead in SSIM by 0.2; every subject has its own level."""
    rows = []
    for s in range(subjects):
        for frame in range(frames):
            for i in range(5):
                kind = "kept" if i % 2 == 0 else "synthesised"
                for metric, gap in GAP.items():
                    level = {"ssim": 0.7, "psnr": 25.0}[metric] + 0.01 * s + 0.001 * frame
                    ahead = 0.2 if (kind, metric) == ("kept", "ssim") else gap * (1 + 0.01 * s)
                    for method, value in (("bspline", level), ("cae", level + ahead)):
                        place = ("heads", method, 2, 1, "strict", f"s{s}", frame, i, kind, "whole", metric)
                        rows.append((*place, value))
    return check_scores(pd.DataFrame(rows, columns=COLUMNS))


def rescored(strict, shift=3.0):
    """The shift costs B-spline `shift` dB; the legacy SSIM raises both alike; the scaling halves the PSNR gap."""
    psnr, ssim = strict[strict["metric"] == "psnr"], strict[strict["metric"] == "ssim"]
    bspline, cae = psnr[psnr["method"] == "bspline"], psnr[psnr["method"] == "cae"]
    parts = [
        bspline.assign(protocol="shifted_baselines", value=bspline["value"] - shift),
        ssim.assign(protocol="legacy_ssim", value=ssim["value"] / 2 + 0.5),
        cae.assign(protocol="separate_scaling", value=cae["value"] + 1),
        bspline.assign(protocol=AS_PUBLISHED, value=bspline["value"] - shift),
        cae.assign(protocol=AS_PUBLISHED, value=cae["value"] + 1),
        ssim.assign(protocol=AS_PUBLISHED, value=ssim["value"] / 2 + 0.5),
    ]
    return check_scores(pd.concat(parts, ignore_index=True))


@pytest.fixture(scope="module")
def table():
    strict = scores()
    return audit(strict, rescored(strict), [("cae", "bspline")], **SETTINGS)


def at(table, metric, protocol):
    (row,) = [row for _, row in table.iterrows() if (row["metric"], row["protocol"]) == (metric, protocol)]
    return row


def test_a_row_per_protocol_in_order(table):
    assert list(table["metric"].unique()) == ["ssim", "psnr"]
    for _, rows in table.groupby("metric"):
        assert list(rows["protocol"]) == list(PROTOCOLS)


def test_the_shift_alone_flips_psnr_and_leaves_ssim(table):
    strict, shifted = at(table, "psnr", "strict"), at(table, "psnr", "shifted_baselines")
    assert strict["estimate"] == pytest.approx(-2 * 1.025)
    assert strict["claim"] == FAILS
    assert shifted["estimate"] == pytest.approx(3 - 2 * 1.025)
    assert shifted["flipped"]
    assert shifted["p"] == 1 / 32, "two-sided"
    assert shifted["claim"] == HOLDS
    other = at(table, "ssim", "shifted_baselines")
    assert not other["changed"]
    assert not other["flipped"]


def test_items_that_change_a_difference_without_flipping_it(table):
    scaled = at(table, "psnr", "separate_scaling")
    assert scaled["estimate"] == pytest.approx(-2 * 1.025 + 1)
    assert scaled["changed"]
    assert not scaled["flipped"]
    legacy = at(table, "ssim", "legacy_ssim")
    assert legacy["estimate"] == pytest.approx(at(table, "ssim", "strict")["estimate"] / 2)


def test_all_slices_bring_in_the_kept_ones(table):
    # Three kept slices at +0.2 and two synthesised at about -0.05 a subject.
    row = at(table, "ssim", "all_slices")
    assert row["estimate"] == pytest.approx((3 * 0.2 - 2 * 0.05 * 1.025) / 5)
    assert row["flipped"]


def test_frames_count_as_samples(table):
    row = at(table, "psnr", "frames_as_samples")
    assert (row["n"], row["unit"]) == (12, "frame")
    assert at(table, "psnr", "strict")["n"] == 6
    assert at(table, "psnr", AS_PUBLISHED)["p"] == 2.0**-12


def test_bonferroni_multiplies_by_the_family():
    strict = scores()
    third = strict.assign(method=strict["method"].replace("cae", "vae"))
    both = check_scores(pd.concat([strict, third[third["method"] == "vae"]], ignore_index=True))
    found = audit(both, rescored(both), [("cae", "bspline"), ("vae", "bspline")], **SETTINGS)
    row = found[(found["protocol"] == AS_PUBLISHED) & (found["metric"] == "psnr")].iloc[0]
    assert row["correction"] == "bonferroni"
    assert row["p_corrected"] == pytest.approx(2 * row["p"])
    assert row["alternative"] == "greater"
    strict_rows = found[found["protocol"] == "strict"]
    assert set(zip(strict_rows["correction"], strict_rows["alternative"], strict=True)) == {
        ("false discovery rate", "two-sided")
    }


def test_kept_slices_that_are_passed_through_are_infinite_and_stay():
    strict = scores()
    passed = (strict["method"] == "bspline") & (strict["kind"] == "kept") & (strict["metric"] == "psnr")
    strict.loc[passed, "value"] = np.inf
    found = audit(strict, rescored(scores()), [("cae", "bspline")], **SETTINGS)
    row = at(found, "psnr", "all_slices")
    assert row["estimate"] == -np.inf
    assert row["claim"] == FAILS
    assert row["nonfinite"] == passed.sum()
    assert "∞" in text_of(shown_audit(found, LABELS))


@pytest.mark.parametrize(
    ("difference", "p", "expected"),
    [
        (1, 0.01, HOLDS),
        (1, 0.05, AHEAD),
        (0, 1, FAILS),
        (-1, 0.01, FAILS),
        (-1, 1, FAILS),
        (np.nan, 0.5, UNDEFINED),
        (1, np.nan, UNDEFINED),
    ],
)
def test_claims(difference, p, expected):
    assert claim(difference, p) == expected


def test_a_score_of_a_slice_that_strict_lacks_is_refused():
    strict = scores()
    with pytest.raises(InputError, match="which the strict table lacks"):
        switched_scores(strict[strict["slice"] != 1], rescored(strict), "shifted_baselines")


def test_what_is_not_finite_is_dropped_as_released_and_counted():
    strict = scores()
    published = rescored(strict)
    place = (
        (published["protocol"] == AS_PUBLISHED)
        & (published["method"] == "bspline")
        & (published["metric"] == "psnr")
    )
    published.loc[place & (published["slice"] == 0), "value"] = np.inf
    found = audit(strict, published, [("cae", "bspline")], **SETTINGS)
    row = at(found, "psnr", AS_PUBLISHED)
    assert row["dropped"] == 12  # subjects, frames
    assert row["estimate"] == pytest.approx(at(audit_of(strict), "psnr", AS_PUBLISHED)["estimate"])
    assert (found[found["protocol"] != AS_PUBLISHED]["dropped"] == 0).all()
    assert "left out, as released: all, as published 12" in text_of(shown_audit(found, LABELS))
    everything = published.assign(value=published["value"].where(~place, np.inf))
    assert (
        at(audit(strict, everything, [("cae", "bspline")], **SETTINGS), "psnr", AS_PUBLISHED)["claim"]
        == FAILS
    )


def audit_of(strict):
    return audit(strict, rescored(strict), [("cae", "bspline")], **SETTINGS)


def test_every_item_has_its_words():
    assert set(TITLES) == set(PROTOCOLS)
    assert set(EXPLAINED) == set(ITEMS)
    assert set(SCORED) < set(PROTOCOLS)


def test_separate_scaling_is_of_brains_alone(table):
    strict = scores()
    hearts = audit(strict, rescored(strict), [("cae", "bspline")], brain=[], confidence=0.95)
    assert "separate_scaling" not in set(hearts["protocol"])
    assert len(hearts) == len(table) - 2  # metrics
    summary = shown_summary("x", hearts)
    assert [row.cells[1].text for row in summary.rows if row.cells[0].text == "separate scaling"] == ["0"]
    (row,) = [row for row in shown_claims("x", hearts, LABELS).rows if row.cells[3].text == "SSIM"]
    assert "–" in [cell.text for cell in row.cells]


# --- tables and figure: they follow the numbers


def text_of(shown):
    return markdown([one for tables in shown.values() for one in tables])


def test_the_tables_are_grouped_by_dataset_factor_and_metric(table):
    shown = shown_audit(table, LABELS)
    assert list(shown) == ["heads, K = 2, SSIM", "heads, K = 2, PSNR (dB)"]
    (psnr,) = shown["heads, K = 2, PSNR (dB)"]
    assert [row.cells[0].text for row in psnr.rows] == list(TITLES.values())
    assert psnr.rows[0].cells[4].text.startswith("-2.050 [")
    assert [row.cells[-1].text for row in psnr.rows[:2]] == ["", "flipped"]


def test_the_summary_counts_what_each_protocol_changes(table):
    counts = {
        row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in shown_summary("x", table).rows
    }
    assert counts["strict"] == ["2", "0", "0", "0", "0", "0"]
    assert counts["shifted baselines"] == ["2", "1", "1", "1", "1", "1"]
    assert counts["VIF that wraps"] == ["2", "0", "0", "0", "0", "0"]
    assert counts["all slices"] == ["2", "1", "1", "1", "1", "1"]


def test_claims_carry_the_difference_and_what_holds_and_flips(table):
    shown = shown_claims("x", table, LABELS)
    psnr = next(row for row in shown.rows if row.cells[3].text == "PSNR (dB)")
    assert [cell.text for cell in psnr.cells[:3]] == ["CAE – Cubic B-spline", "heads", "2"]
    by_protocol = dict(zip(shown.columns, (cell.text for cell in psnr.cells), strict=True))
    assert by_protocol["strict"] == "-2.05"
    assert by_protocol["shifted baselines"] == "0.95 ●★"


def test_the_papers_methods_and_ours_are_apart(table):
    assert list(by_origin(table, frozenset())) == [PAPERS]
    both = pd.concat([table, table.assign(method="cae_residual")])
    parts = by_origin(both, frozenset({"cae_residual", "cae_multi"}))
    assert {title: set(part["method"]) for title, part in parts.items()} == {
        PAPERS: {"cae"},
        OWN: {"cae_residual"},
    }


def test_what_is_switched_is_named_for_every_item():
    assert all(TITLES[item] in ITEMS_TEXT for item in ITEMS)


def test_the_figure_marks_flips_and_claims(table):
    figure = audit_figure(table, dataset="heads", method="cae", labels=LABELS)
    marks = [line.get_gid() for axes in figure.axes for line in axes.lines]
    assert marks.count("flip") == table["flipped"].sum() > 0
    assert marks.count("flip") + marks.count("point") == len(table)
    assert marks.count("holds") == (table["claim"] == HOLDS).sum() > 0
    with pytest.raises(InputError, match="no row of dataset 'hearts'"):
        audit_figure(table, dataset="hearts", method="cae", labels=LABELS)


@pytest.mark.page
def test_the_page_is_for_everybody(check_page, table, tmp_path):
    strict, config = scores(), {"config": {"factors": [2]}, "datasets": {}, "methods": {}}
    files = {name: str(tmp_path / f"{name}.csv") for name in ("table", "published", "budgets")}
    write_csv(table, files["table"])
    write_csv(
        beside(read_published(ROOT / "config/published.csv"), strict, rescored(strict), config),
        files["published"],
    )
    write_csv(pd.DataFrame([{"method": "cae", "ended": "budget"}]), files["budgets"])
    plot_audit(files["table"], files["budgets"], "heads", "cae", LABELS, [str(tmp_path / "flips.png")])
    write_audit_page(
        *files.values(), {str(tmp_path / "flips.png"): "Where CAE is ahead of B-spline"}, labels=LABELS,
        datasets={"heads": "Heads"}, own=[], study="a", page=str(tmp_path / "a.html"), prose=str(tmp_path / "a.md"),
    )  # fmt: skip
    check_page(tmp_path / "a.html")
