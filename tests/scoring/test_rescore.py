"""A study's scores against those of other libraries: a sample passes where all is right, and nothing that is wrong does."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from interslice.common.errors import InputError
from interslice.data.interpolated import write_interpolated
from interslice.data.volumes import Volume, decimate, write_volume
from interslice.methods import build_method
from interslice.scoring.evaluation import TestCase as Case
from interslice.scoring.evaluation import evaluate
from interslice.scoring.longtable import read_scores, write_scores
from interslice.scoring.rescore import deviation
from interslice.steps.recheck import recheck_scores, sample
from interslice.training.lpips import load_lpips
from phantoms import ellipsoids
from settings import small_settings

METRICS = ["ssim", "psnr", "vif", "lpips"]


@pytest.fixture(scope="module")
def study(tmp_path_factory, lpips_weights):
    """Two subjects by nearest and linear interpolation at K = 2, their volumes, scores and where they lie."""
    folder = tmp_path_factory.mktemp("study")
    network, places, tables = load_lpips("alex", lpips_weights["alex"]), [], []
    for method in ("nearest", "linear"):
        for subject in ("A", "B"):
            data = np.moveaxis(ellipsoids((56, 52, 13), seed=ord(subject)), 2, 0)[np.newaxis]
            reference = Volume(data, np.diag([1, 1, 2.0, 1]), 2)
            low = decimate(reference, 2, "none")
            case = Case(subject, *(folder / where / f"{subject}.nii" for where in ("normalised", "low")),
                        folder / method / f"{subject}.nii.gz")  # fmt: skip
            write_volume(reference, case.reference)
            write_volume(low, case.low)
            frames = build_method(small_settings(method)).interpolate(low.data[0], 2)[np.newaxis]
            write_interpolated(frames, low, 2, case.interpolated)
            table = evaluate(case, 2, metrics=METRICS, gap_step=2, score_px=48, lpips_network=network)
            tables.append(table.assign(dataset="d", method=method, K=2, seed=1, protocol="strict"))
        place = folder / f"score_method/d/K2/{method}/seed1/0.json"
        place.parent.mkdir(parents=True)
        folders = {"normalised": "normalised", "low": "low", "interpolated": method}
        place.write_text(json.dumps({name: str(folder / where) for name, where in folders.items()}))
        places.append(str(place))
    write_scores(pd.concat(tables, ignore_index=True), folder / "scores.parquet")
    return folder, places, ("alex", lpips_weights["alex"])


def check(study, scores=None):
    folder, places, backbone = study
    table = folder / "scores.parquet"
    if scores is not None:
        table = folder / "changed.parquet"
        write_scores(scores, table)
    output = folder / "recheck.csv"
    recheck_scores(str(table), places, {"d": 48}, backbone=backbone, output=output)
    return pd.read_csv(output).set_index("metric")


def test_right_scores_pass_and_their_largest_deviation_is_said(study):
    found = check(study)
    assert list(found.index) == METRICS
    assert list(found["library"]) == ["scikit-image", "scikit-image", "sewar", "lpips"]
    assert (found["slices"] == found["slices"].iloc[0]).all()
    assert found["slices"].iloc[0] >= 12
    assert (found["largest"] <= 1e-6).all()


@pytest.mark.parametrize(("metric", "off"), [("ssim", 2e-5), ("psnr", 2e-5), ("vif", -2e-5), ("lpips", 2e-3)])
def test_a_score_that_is_off_is_named_in_one_sentence(study, metric, off):
    scores = read_scores(study[0] / "scores.parquet")
    changed = scores.assign(
        value=scores["value"] + off * ((scores["metric"] == metric) & np.isfinite(scores["value"]))
    )
    with pytest.raises(
        InputError, match=rf"found {metric} .* of dataset d, K 2, method .*; allowed is a difference of"
    ):
        check(study, changed)
    nothing = scores.assign(value=scores["value"].mask(scores["metric"] == metric))
    with pytest.raises(InputError, match=f"found {metric} nan of"):
        check(study, nothing)


def test_scores_of_other_volumes_than_those_on_the_disk_are_found(study, tmp_path):
    """As after a mix-up of folders: the scores of nearest interpolation with the volumes of the linear one."""
    folder, _, backbone = study
    own = tmp_path / "score_method/d/K2"
    shutil.copytree(folder / "score_method/d/K2", own)
    shutil.copy(own / "linear/seed1/0.json", own / "nearest/seed1/0.json")
    moved = [str(own / f"{method}/seed1/0.json") for method in ("nearest", "linear")]
    with pytest.raises(InputError, match=r"method nearest"):
        recheck_scores(
            str(folder / "scores.parquet"), moved, {"d": 48}, backbone=backbone, output=tmp_path / "x.csv"
        )
    assert not (tmp_path / "x.csv").exists()


def test_every_run_is_in_the_sample_which_is_the_same_every_time(study):
    scores = read_scores(study[0] / "scores.parquet")
    many = pd.concat([scores.assign(method=f"{method}{i}", dataset="d") for i in range(30) for method in ("x",)
                      ] + [scores]).drop_duplicates(["method", "subject", "slice", "region", "metric"])  # fmt: skip
    chosen = sample(many)
    assert set(chosen["method"]) == set(many["method"])
    assert len(chosen) == 4 * 32, "one slice of each of 32 methods, by four metrics"
    pd.testing.assert_frame_equal(chosen, sample(many))
    assert set(chosen["region"]) == {"whole"}


@pytest.mark.parametrize(
    ("ours", "theirs", "apart"),
    [
        (1.0, 1.5, 0.5),
        (np.inf, np.inf, 0),
        (np.nan, np.nan, 0),
        (np.inf, 90.0, np.inf),
        (np.nan, 0.3, np.inf),
        (-np.inf, np.inf, np.inf),
    ],
)
def test_deviation_of_what_is_not_finite(ours, theirs, apart):
    assert deviation(ours, theirs) == apart
