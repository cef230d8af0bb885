"""A study's scores against those of other libraries: a sample passes where all is right, and nothing that is wrong does."""

import itertools
import json
import shutil
from pathlib import Path

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
from interslice.steps.recheck import recheck_scores, sample
from interslice.training.lpips import load_lpips
from phantoms import ellipsoids
from settings import small_settings

METRICS = ["ssim", "psnr", "vif", "lpips"]


@pytest.fixture(scope="module")
def study(tmp_path_factory, lpips_weights):
    """Two subjects by nearest and linear interpolation at K = 2, their volumes, scores and where they lie."""
    folder = tmp_path_factory.mktemp("study")
    network, places = load_lpips("alex", lpips_weights["alex"]), []
    for method in ("nearest", "linear"):
        tables = []
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
        write_scores(
            pd.concat(tables, ignore_index=True), folder / f"score_method/d/K2/{method}/seed1/0.parquet"
        )
        place = folder / f"score_method/d/K2/{method}/seed1/0.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        folders = {"normalised": "normalised", "low": "low", "interpolated": method}
        place.write_text(json.dumps({name: str(folder / where) for name, where in folders.items()}))
        places.append(str(place))
    return folder, places, ("alex", lpips_weights["alex"])


def shards(folder):
    """The long tables of both methods."""
    return [str(folder / f"score_method/d/K2/{method}/seed1/0.parquet") for method in ("nearest", "linear")]


def check(study, change=None):
    folder, places, backbone = study
    tables = shards(folder)
    if change is not None:
        changed = [path.replace("score_method", "changed") for path in tables]
        for path, copy in zip(tables, changed, strict=True):
            write_scores(change(read_scores(path)), Path(copy))
        tables = changed
    output = folder / "recheck.csv"
    recheck_scores(tables, places, {"d": 48}, backbone=backbone, output=output)
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
    def moved(scores):
        return scores.assign(
            value=scores["value"] + off * ((scores["metric"] == metric) & np.isfinite(scores["value"]))
        )

    with pytest.raises(
        InputError, match=rf"found {metric} .* of dataset d, K 2, method .*; allowed is a difference of"
    ):
        check(study, moved)
    with pytest.raises(InputError, match=f"found {metric} nan of"):
        check(study, lambda scores: scores.assign(value=scores["value"].mask(scores["metric"] == metric)))


def test_scores_of_other_volumes_than_those_on_the_disk_are_found(study, tmp_path):
    """As after a mix-up of folders: the scores of nearest interpolation with the volumes of the linear one."""
    folder, _, backbone = study
    own = tmp_path / "score_method/d/K2"
    shutil.copytree(folder / "score_method/d/K2", own)
    shutil.copy(own / "linear/seed1/0.json", own / "nearest/seed1/0.json")
    moved = [str(own / f"{method}/seed1/0.json") for method in ("nearest", "linear")]
    with pytest.raises(InputError, match=r"method nearest"):
        recheck_scores(shards(folder), moved, {"d": 48}, backbone=backbone, output=tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_every_run_is_in_the_sample_which_is_the_same_every_time(study, tmp_path):
    one = read_scores(shards(study[0])[1])
    tables = []
    for method, shard in itertools.product(range(32), range(2)):
        tables.append(str(tmp_path / f"d/K2/m{method}/seed1/{shard}.parquet"))
        write_scores(one.assign(method=f"m{method}", subject=one["subject"] + str(shard)), Path(tables[-1]))
    chosen = sample(tables)
    assert set(chosen["method"]) == {f"m{method}" for method in range(32)}
    assert len(chosen) == 4 * 32, "one slice of each of 32 methods, by four metrics"
    assert chosen["subject"].nunique() > 2, "of several shards"
    pd.testing.assert_frame_equal(chosen, sample(tables))
    assert set(chosen["region"]) == {"whole"}
