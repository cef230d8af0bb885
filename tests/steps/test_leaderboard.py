"""Studies of several machines and people on one page: what is merged, what is told apart, what is refused."""

import functools
import json

import numpy as np
import pandas as pd
import pytest

from interslice.cli import main
from interslice.common.errors import InputError
from interslice.data.volumes import Volume, write_volume
from interslice.scoring.longtable import frame_means
from interslice.steps.leaderboard import read_studies, write_leaderboard
from phantoms import ellipsoids
from synthetic_scores import CONTROLS, LABELS, synthetic_scores

OURS, THEIRS = ["oracle", "linear", "cae"], ["linear", "bspline"]


@functools.cache
def of_all_methods():
    return synthetic_scores(subjects=2, slices=9)


def write_study(root, name, methods, *, shift=0.0, gaps=1, seconds=2.0):
    """The results of a study as a run leaves them, with volumes, costs and tables."""
    scores = of_all_methods()
    scores = scores[scores["method"].isin(methods) & (scores["metric"] == "ssim")]
    scores = scores[(scores["slice"] // scores["K"]) % gaps == 0]
    results = root / "results" / name
    results.mkdir(parents=True)
    frame_means(scores).to_parquet(results / "means.parquet", index=False)
    for number, subject in enumerate(sorted(scores["subject"].unique())):
        volume = Volume(ellipsoids((9, 16, 16), number)[np.newaxis] + np.float32(shift), np.eye(4), 2)
        write_volume(volume, root / "volumes" / name / f"{subject}.nii")
    for factor in (2, 4):
        for method in methods:
            place = results / "score_method" / "t1_embedded" / f"K{factor}" / method / "seed0"
            made = root / "made" / name / method
            for folder in (place, made):
                folder.mkdir(parents=True, exist_ok=True)
            folders = {
                "normalised": f"volumes/{name}",
                "low": "none",
                "interpolated": f"made/{name}/{method}",
            }
            (place / "0.json").write_text(json.dumps(folders))
            (made / "costs.json").write_text(json.dumps([{"seconds": seconds}]))
    shown = pd.DataFrame({"method": methods, "label": [LABELS[one] for one in methods]})
    shown = shown.assign(control=shown["method"].isin(CONTROLS), supervised=False)
    (results / "tables").mkdir()
    shown.to_csv(results / "tables" / "synthesised_whole.csv", index=False)
    return results


@pytest.mark.page
def test_the_page_can_be_read_by_all_and_on_a_phone(tmp_path, check_page):
    ours, theirs = (
        write_study(tmp_path / "here", "ours", OURS),
        write_study(tmp_path / "there", "theirs", THEIRS),
    )
    assert main(["leaderboard", str(ours), str(theirs), "-o", str(tmp_path / "both")]) == 0
    check_page(tmp_path / "both" / "index.html")


def test_studies_of_two_machines_are_one_page_that_can_be_merged_again(tmp_path, capsys, monkeypatch):
    ours = write_study(tmp_path / "here", "ours", OURS)
    theirs = write_study(tmp_path / "there", "theirs", THEIRS, seconds=7.0)
    sent = tmp_path / "sent"
    monkeypatch.setattr("interslice.steps.leaderboard.__version__", "9.9")
    assert main(["leaderboard", str(theirs), "-o", str(sent)]) == 0
    monkeypatch.undo()
    assert main(["leaderboard", str(ours), str(sent / "means.parquet"), "-o", str(tmp_path / "both")]) == 0
    assert "theirs: Linear (theirs), B-spline" in capsys.readouterr().out
    page = (tmp_path / "both" / "index.html").read_text()
    for text in (
        "Linear (ours)",
        "Linear (theirs)",
        "B-spline",
        "CAE (λ = 0.05)",
        "t1_embedded: 2",
        "interslice differs",
        "ranks on synthesised slices",
        "theirs: 9.9",
    ):
        assert text in page, text
    (first, one), (second, two) = read_studies(tmp_path / "both")
    assert sorted(first["method"].unique()) == ["cae", "linear@ours", "oracle"]
    assert sorted(second["method"].unique()) == ["bspline", "linear@theirs"]
    assert (one["seconds"]["t1_embedded K2 cae"], two["seconds"]["t1_embedded K2 bspline"]) == (2.0, 7.0)
    expected = pd.read_parquet(ours / "means.parquet")
    values = first["value"]
    assert sorted(values) == sorted(expected["value"]), "no score is changed or lost"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shift": 0.01}, r"theirs: subject sub-00 of t1_embedded is another volume than in ours"),
        (
            {"gaps": 2},
            r"theirs: scores every 2 gaps of t1_embedded K2, ours every 1; allowed is one gap_step",
        ),
    ],
)
def test_what_was_scored_otherwise_is_refused_and_nothing_is_written(tmp_path, changes, message):
    ours = write_study(tmp_path / "here", "ours", OURS)
    theirs = write_study(tmp_path / "there", "theirs", THEIRS, **changes)
    with pytest.raises(InputError, match=message):
        write_leaderboard([ours, theirs], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_tables_without_a_record_and_other_protocols_are_refused(tmp_path):
    ours = write_study(tmp_path / "here", "ours", OURS)
    with pytest.raises(InputError, match="is neither the results of a study"):
        write_leaderboard([ours / "means.parquet"], tmp_path / "both")
    means = pd.read_parquet(ours / "means.parquet").assign(protocol="as_published")
    means.to_parquet(ours / "means.parquet", index=False)
    with pytest.raises(InputError, match="found protocol as_published, allowed is strict"):
        write_leaderboard([ours], tmp_path / "both")
