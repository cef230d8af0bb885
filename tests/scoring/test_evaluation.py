"""What is interpolated, kept and scored: the central square, the gaps that are asked for, what a stop left to do."""

import json
import re
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from interslice.common.errors import InputError
from interslice.data.interpolated import read_interpolated, write_interpolated
from interslice.data.parts import write_record
from interslice.data.volumes import Volume, central, decimate, open_volume, write_volume
from interslice.methods import build_method
from interslice.methods.conventional import Nearest
from interslice.scoring.evaluation import TestCase as Case
from interslice.scoring.evaluation import evaluate
from interslice.scoring.longtable import frame_means, read_means, read_scores
from interslice.steps import as_published as audit_step
from interslice.steps import interpolate as step
from interslice.steps.evaluate import score_method
from interslice.steps.interpolate import interpolate_subject
from interslice.steps.train import validation_pairs
from phantoms import ellipsoids
from settings import small_settings

EVALUATION = {"metrics": ["psnr"], "gap_step": 2}


@pytest.fixture
def case(tmp_path):
    """A reference of noise, 3 frames of 13 slices of 20 x 25, and every third of its slices."""
    rng = np.random.default_rng(0)
    volume = Volume(rng.random((3, 13, 20, 25), dtype=np.float32), np.eye(4), 0)
    write_volume(volume, tmp_path / "reference.nii")
    write_volume(decimate(open_volume(tmp_path / "reference.nii"), 3, "none"), tmp_path / "low.nii")
    return Case("A", tmp_path / "reference.nii", tmp_path / "low.nii", tmp_path / "interpolated.nii.gz")


def score(method, case, **options):
    """What a method makes of a case with K = 3, kept as the workflow keeps it, and scored."""
    frames, _ = interpolate_subject(method, case.subject, case.reference, case.low, 3, None)
    write_interpolated(frames, open_volume(case.low), 3, case.interpolated, exact=method.needs_reference)
    return evaluate(case, 3, **(EVALUATION | options))


def psnr_by_hand(case, frame, place, rows, columns):
    """Nearest interpolation by 3: slice 3 i + 1 is slice 3 i, and 3 i + 2 is slice 3 i + 3."""
    reference = np.asarray(nib.load(case.reference).dataobj)
    stack = np.moveaxis(open_volume(case.reference).data[frame], 0, 0)
    assert reference.size == 3 * stack.size
    copied = stack[3 * round(place / 3)]
    return -10 * np.log10(((copied - stack[place])[rows, columns].astype(np.float64) ** 2).mean())


@pytest.mark.parametrize(
    ("side", "rows", "columns"),
    [(None, slice(0, 20), slice(0, 25)), (12, slice(4, 16), slice(6, 18)), (22, slice(0, 20), slice(1, 23))],
)
def test_scores_are_those_of_the_central_square_and_of_every_second_gap(case, side, rows, columns):
    table = score(build_method(small_settings("nearest")), case, score_px=side)
    table = table[(table["region"] == "whole") & (table["kind"] == "synthesised")]
    assert sorted(table["slice"].unique()) == [1, 2, 7, 8]
    for row in table.itertuples():
        assert row.value == pytest.approx(psnr_by_hand(case, row.frame, row.slice, rows, columns), abs=1e-4)


def test_the_central_square_is_about_the_centre():
    volume = np.zeros((2, 21, 30))
    volume[:, 10, 14:16] = 1
    cut = central(volume, 5)
    assert cut.shape == (2, 5, 5)
    assert cut[0, 2].sum() == 2
    assert central(volume, None) is volume


def test_the_oracle_is_right_and_passed_slices_are_exact(case):
    """Sixteen bits must not turn the infinite PSNR of equal slices into a finite one."""
    oracle, linear = (score(build_method(small_settings(name)), case) for name in ("oracle", "linear"))
    assert (oracle["value"] == np.inf).all()
    kept = linear[linear["kind"] == "kept"]
    assert len(kept) == 3 * 3 * 2  # frames, slices 0, 6 and 12, regions
    assert (kept["value"] == np.inf).all()
    assert np.isfinite(linear.loc[linear["kind"] == "synthesised", "value"]).all()


def test_lesions_are_scored_in_a_second_interpolation(tmp_path):
    """A method that is given the answer brings back all of the contrast, nearest interpolation less."""
    volume = Volume(
        np.moveaxis(ellipsoids((72, 70, 61), seed=1), 2, 0)[None].astype(np.float32), np.eye(4), 2
    )
    write_volume(volume, tmp_path / "reference.nii")
    write_volume(decimate(volume, 3, "none"), tmp_path / "low.nii")
    files = [tmp_path / f"{name}.nii.gz" for name in ("interpolated", "lesions")]
    case = Case("A", tmp_path / "reference.nii", tmp_path / "low.nii", *files)
    found = {}
    for name in ("oracle", "nearest"):
        method = build_method(small_settings(name))
        for lesions, file in zip((None, {"slice_profile": "none", "score_px": None}), files, strict=True):
            frames, _ = interpolate_subject(method, "A", case.reference, case.low, 3, lesions)
            write_interpolated(frames, open_volume(case.low), 3, file, exact=method.needs_reference)
        found[name] = evaluate(case, 3, metrics=["lesion_contrast_6mm"], gap_step=2)["value"]
    np.testing.assert_allclose(found["oracle"], 1, rtol=1e-5)
    assert (found["nearest"] < 0.95).all()


class Counted(Nearest):
    """Nearest interpolation that counts its volumes and is stopped at one of them."""

    def __init__(self, stopped_at=None):
        super().__init__(small_settings("nearest"))
        self.volumes, self.stopped_at = 0, stopped_at

    def _interpolate(self, volume, factor):
        self.volumes += 1
        if self.volumes == self.stopped_at:
            raise KeyboardInterrupt
        return super()._interpolate(volume, factor)


@pytest.fixture
def shard(case, tmp_path):
    """The folders of references and of low-resolution volumes of three subjects of three frames."""
    folders = tmp_path / "references", tmp_path / "lows"
    for file, folder in zip((case.reference, case.low), folders, strict=True):
        folder.mkdir()
        write_record(folder, "0123456789")
        for subject in "ABC":
            shutil.copyfile(file, folder / f"{subject}.nii")
    return folders


@pytest.fixture
def interpolate_shard(shard, tmp_path, monkeypatch):
    """A function that interpolates a shard with a method, into a folder of its own."""

    def run(method, name, **changes):
        monkeypatch.setattr(step, "load_method", lambda settings, checkpoint: method)
        options = {
            "settings": small_settings("nearest"),
            "told": {},
            "lesions": None,
            "unseen_of": None,
            "digest": "code",
        } | changes
        output, resume = tmp_path / name / "0", tmp_path / name / "0_resume"
        step.interpolate_volumes(*shard, None, factor=3, threads=1, resume=resume, output=output, **options)
        return output

    return run


def test_an_interpolation_that_was_stopped_does_what_is_left(interpolate_shard, tmp_path, capsys):
    """The log of a slow one says how far it is."""
    whole = interpolate_shard(Counted(), "whole")
    with pytest.raises(KeyboardInterrupt):
        interpolate_shard(Counted(stopped_at=5), "again")  # the second subject's second frame
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["0_resume"]
    capsys.readouterr()
    method = Counted()
    again = interpolate_shard(method, "again")
    assert method.volumes == 6
    names = {path.name for path in again.iterdir()}
    assert names == {"A.nii.gz", "B.nii.gz", "C.nii.gz", "costs.json", "made_of.json"}
    for subject in "ABC":
        volumes = [read_interpolated(folder / f"{subject}.nii.gz").data for folder in (again, whole)]
        np.testing.assert_array_equal(*volumes)
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["0"]
    assert re.search(r"subjects done: 100%.* 3/3 \[", capsys.readouterr().err)


def test_every_subject_says_what_it_took(interpolate_shard):
    costs = json.loads((interpolate_shard(Counted(), "whole") / "costs.json").read_text())
    assert [one["subject"] for one in costs] == ["A", "B", "C"]
    assert all(one["seconds"] > 0 and one["peak_mib"] > 1 for one in costs)
    assert {(one["frames"], one["voxels"], one["threads"]) for one in costs} == {(3, 13 * 20 * 25, 1)}
    learned = interpolate_shard(Counted(), "elsewhere", told={"learns_from": "scan"}) / "costs.json"
    ends = [one["training"]["ended"] for one in json.loads(learned.read_text())]
    assert ends == ["budget"] * 3, "what changes no volume is no setting of it, and yet is said"


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "edited"},
        {"settings": small_settings("nearest") | {"lobes": 3}},
        {"lesions": {"slice_profile": "none", "score_px": 12}},
    ],
)
def test_what_was_interpolated_otherwise_is_done_again(interpolate_shard, changes):
    with pytest.raises(KeyboardInterrupt):
        interpolate_shard(Counted(stopped_at=5), "again")
    method = Counted()
    interpolate_shard(method, "again", **changes)
    assert method.volumes == 9


def test_what_was_interpolated_from_another_file_is_done_again(interpolate_shard, shard):
    with pytest.raises(KeyboardInterrupt):
        interpolate_shard(Counted(stopped_at=8), "again")  # A and B are done
    volume = open_volume(shard[1] / "A.nii")
    write_volume(replace(volume, data=volume.data[..., ::-1]), shard[1] / "A.nii")
    method = Counted()
    interpolate_shard(method, "again")
    assert method.volumes == 6


KEYS = {"dataset": "d", "method": "nearest", "K": 3, "seed": 1}


def score_shard(shard, interpolated, folder, **changes):
    """Score an interpolated shard into a folder."""
    options = {"metrics": ["psnr"], "gap_step": 2, "slice_profile": "none", "score_px": None} | changes
    places = {"resume": folder / "0_resume", "scores": folder / "0.parquet", "places": folder / "0.json"}
    places["means"] = folder / "means" / "0.parquet"
    score_method(
        *shard,
        interpolated,
        None,
        keys=KEYS,
        lpips="alex",
        backbone=None,
        threads=1,
        digest="code",
        **options,
        **places,
    )
    return places


def test_scores_are_of_the_kept_volumes_alone(interpolate_shard, shard, tmp_path, monkeypatch):
    interpolated = interpolate_shard(Counted(), "whole")
    monkeypatch.setattr(step, "load_method", None)
    places = score_shard(shard, interpolated, tmp_path / "scores")
    table = read_scores(places["scores"])
    assert set(table["subject"]) == {"A", "B", "C"}
    assert set(table["protocol"]) == {"strict"}
    pd.testing.assert_frame_equal(read_means(places["means"]), frame_means(table))
    assert not places["resume"].exists()
    record = json.loads(places["places"].read_text())
    assert record == {"normalised": str(shard[0]), "low": str(shard[1]), "interpolated": str(interpolated)}
    every = read_scores(score_shard(shard, interpolated, tmp_path / "every", gap_step=1)["scores"])
    assert len(every) > len(table)


def test_volumes_of_another_preprocessing_are_refused(interpolate_shard, shard, tmp_path):
    interpolated = interpolate_shard(Counted(), "whole")
    write_record(shard[0], "9876543210")
    with pytest.raises(InputError, match="made of the preprocessing 0123456789, those of .* of 9876543210"):
        score_shard(shard, interpolated, tmp_path / "scores")
    with pytest.raises(InputError, match="allowed are volumes of one preprocessing"):
        interpolate_shard(Counted(), "again")
    (shard[0] / "made_of.json").unlink()
    with pytest.raises(InputError, match=r"references: found no made_of.json"):
        interpolate_shard(Counted(), "again")


def audit_shard(method, shard, interpolated, output, monkeypatch):
    """Score a shard as published, into a folder."""
    monkeypatch.setattr(audit_step, "load_method", lambda settings, checkpoint: method)
    audit_step.score_as_published(
        *shard,
        interpolated,
        None,
        keys=KEYS,
        settings=small_settings("nearest"),
        metrics=["ssim", "psnr"],
        gap_step=2,
        score_px=None,
        separate_scaling=True,
        threads=1,
        digest="code",
        resume=output / "0_resume",
        output=output / "0.parquet",
    )


def test_an_audit_that_was_stopped_does_what_is_left(interpolate_shard, shard, tmp_path, monkeypatch):
    """A frame is interpolated anew only where it is scaled by its own extremes: else the kept volume is scored."""
    interpolated = interpolate_shard(Counted(), "whole")
    audit_shard(Counted(), shard, interpolated, tmp_path / "audit", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        audit_shard(Counted(stopped_at=5), shard, interpolated, tmp_path / "again", monkeypatch)
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["0_resume"]
    method = Counted()
    audit_shard(method, shard, interpolated, tmp_path / "again", monkeypatch)
    assert method.volumes == 6
    again, whole = (tmp_path / name / "0.parquet" for name in ("again", "audit"))
    assert again.read_bytes() == whole.read_bytes()
    assert [path.name for path in again.parent.iterdir()] == ["0.parquet"]


def test_a_shard_without_test_subjects_has_tables_without_rows(
    interpolate_shard, shard, tmp_path, monkeypatch
):
    for path in [*shard[0].glob("*.nii"), *shard[1].glob("*.nii")]:
        path.unlink()
    interpolated = interpolate_shard(Counted(), "whole")
    audit_shard(Counted(), shard, interpolated, tmp_path / "audit", monkeypatch)
    assert read_scores(tmp_path / "audit" / "0.parquet").empty
    places = score_shard(shard, interpolated, tmp_path / "scores")
    assert read_scores(places["scores"]).empty
    assert read_means(places["means"]).empty


def test_validation_takes_the_frames_that_are_asked_for(case):
    files = {"A": case.reference}, {"A": case.low}
    assert len(validation_pairs(*files, 3, None)) == 3
    (pair,) = validation_pairs(*files, 3, [1, 15])
    np.testing.assert_array_equal(pair.low, open_volume(case.low).data[1])
    np.testing.assert_array_equal(pair.reference[::3], pair.low)
    with pytest.raises(
        InputError, match=r"validation_frames: found \[4, 11\], no validation volume has that many"
    ):
        validation_pairs(*files, 3, [4, 11])
