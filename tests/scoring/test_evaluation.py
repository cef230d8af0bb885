"""What is scored: the central square, the frames of the validation, and only the gaps that are asked for."""

import re
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from interslice.common.errors import InputError
from interslice.data.volumes import Volume, central, decimate, open_volume, write_volume
from interslice.methods import build_method
from interslice.methods.conventional import Nearest
from interslice.scoring.evaluation import TestCase as Case
from interslice.scoring.evaluation import evaluate
from interslice.scoring.longtable import read_scores
from interslice.steps import as_published as audit_step
from interslice.steps import evaluate as step
from interslice.steps.train import validation_pairs
from settings import small_settings

EVALUATION = {"metrics": ["psnr"], "gap_step": 2}


@pytest.fixture
def case(tmp_path):
    """A reference of noise, 3 frames of 13 slices of 20 x 25, and every third of its slices."""
    rng = np.random.default_rng(0)
    volume = Volume(rng.random((3, 13, 20, 25), dtype=np.float32), np.eye(4), 0)
    write_volume(volume, tmp_path / "reference.nii")
    write_volume(decimate(open_volume(tmp_path / "reference.nii"), 3, "none"), tmp_path / "low.nii")
    return Case("A", tmp_path / "reference.nii", tmp_path / "low.nii")


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
    table = evaluate(build_method(small_settings("nearest")), case, 3, evaluation=EVALUATION, score_px=side)
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


def test_gaps_that_are_not_scored_change_no_score(case, tmp_path):
    """A subject whose volume is kept is interpolated whole; the scores are the same."""
    method = build_method(small_settings("cae"))
    method.network.eval()
    some, whole = (
        evaluate(method, case, 3, evaluation=EVALUATION, keep=keep) for keep in (None, tmp_path / "kept.nii")
    )
    np.testing.assert_allclose(some["value"], whole["value"], rtol=1e-5)
    assert some["value"].notna().all()
    assert np.isfinite(open_volume(tmp_path / "kept.nii").data).all()


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
def score_shard(case, tmp_path, monkeypatch):
    """A function that evaluates a shard of three subjects of three frames with a method, into a folder of its own."""
    for subject in "ABC":
        for source, folder in ((case.reference, "references"), (case.low, "lows")):
            (tmp_path / folder / "test").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, tmp_path / folder / "test" / f"{subject}.nii")

    def run(method, name, **changes):
        monkeypatch.setattr(step, "load_method", lambda settings, checkpoint: method)
        keys = {"dataset": "d", "method": "nearest", "K": 3, "seed": 1}
        options = {
            "settings": small_settings("nearest"), "evaluation": EVALUATION | {"keep": "all"}, "slice_profile": "none",
            "score_px": None, "origin": "d", "keep": None, "threads": 1, "digest": "code",
        } | changes  # fmt: skip
        places = {"scores": "0.parquet", "volumes": "0_volumes", "resume": "0_resume"}
        places = {key: tmp_path / name / file for key, file in places.items()}
        step.evaluate_method(
            tmp_path / "references", tmp_path / "lows", None, keys=keys, backbone=None, **options, **places
        )
        return places

    return run


def test_an_evaluation_that_was_stopped_does_what_is_left(score_shard, tmp_path, capsys):
    """The log of a slow one says how far it is."""
    whole = score_shard(Counted(), "whole")
    with pytest.raises(KeyboardInterrupt):
        score_shard(Counted(stopped_at=5), "again")  # the second subject's second frame
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["0_resume"]
    capsys.readouterr()
    method = Counted()
    again = score_shard(method, "again")
    assert method.volumes == 6
    assert again["scores"].read_bytes() == whole["scores"].read_bytes()
    for subject in "ABC":
        kept = [places["volumes"] / f"{subject}.nii" for places in (again, whole)]
        assert kept[0].read_bytes() == kept[1].read_bytes()
    assert not again["resume"].exists()
    assert re.search(r"subjects scored: 100%.* 3/3 \[", capsys.readouterr().err)


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "edited"},
        {"settings": small_settings("nearest") | {"label": "other"}},
        {"evaluation": EVALUATION | {"keep": "all", "gap_step": 1}},
        {"score_px": 12},
    ],
)
def test_what_was_scored_otherwise_is_scored_again(score_shard, changes):
    with pytest.raises(KeyboardInterrupt):
        score_shard(Counted(stopped_at=5), "again")
    method = Counted()
    score_shard(method, "again", **changes)
    assert method.volumes == 9


def test_what_was_scored_from_another_file_is_scored_again(score_shard, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        score_shard(Counted(stopped_at=8), "again")  # A and B are done
    volume = open_volume(tmp_path / "lows" / "test" / "A.nii")
    write_volume(replace(volume, data=volume.data[..., ::-1]), tmp_path / "lows" / "test" / "A.nii")
    method = Counted()
    score_shard(method, "again")
    assert method.volumes == 6


def audit_shard(method, folder, output, monkeypatch):
    """Score the shard in `folder` as published, into a folder beside it."""
    monkeypatch.setattr(audit_step, "load_method", lambda settings, checkpoint: method)
    audit_step.score_as_published(
        folder / "references",
        folder / "lows",
        None,
        keys={"dataset": "d", "method": "nearest", "K": 3, "seed": 1},
        settings=small_settings("nearest"),
        evaluation={"metrics": ["ssim", "psnr"], "gap_step": 2},
        separate_scaling=True,
        score_px=None,
        threads=1,
        digest="code",
        resume=output / "0_resume",
        output=output / "0.parquet",
    )


@pytest.mark.usefixtures("score_shard")
def test_an_audit_that_was_stopped_does_what_is_left(tmp_path, monkeypatch):
    """A subject takes two volumes a frame: on its own grid, and scaled by its own extremes."""
    audit_shard(Counted(), tmp_path, tmp_path / "whole", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        audit_shard(Counted(stopped_at=8), tmp_path, tmp_path / "again", monkeypatch)
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["0_resume"]
    method = Counted()
    audit_shard(method, tmp_path, tmp_path / "again", monkeypatch)
    assert method.volumes == 12
    again, whole = (tmp_path / name / "0.parquet" for name in ("again", "whole"))
    assert again.read_bytes() == whole.read_bytes()
    assert [path.name for path in again.parent.iterdir()] == ["0.parquet"]


def test_a_shard_without_test_subjects_has_an_audit_without_rows(tmp_path, monkeypatch):
    audit_shard(Counted(), tmp_path, tmp_path / "audit", monkeypatch)
    assert read_scores(tmp_path / "audit" / "0.parquet").empty


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
