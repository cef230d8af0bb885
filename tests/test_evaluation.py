"""What is scored: the central square, the frames of the validation, and only the gaps that are asked for."""

import re

import nibabel as nib
import numpy as np
import pytest

from interslice.errors import InputError
from interslice.evaluation import TestCase as Case
from interslice.evaluation import evaluate
from interslice.methods import build_method
from interslice.steps.train import validation_pairs
from interslice.volumes import Volume, central, decimate, open_volume, write_volume
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
    table = evaluate(build_method(small_settings("nearest")), [case], 3, evaluation=EVALUATION, score_px=side)
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
        evaluate(method, [case], 3, evaluation=EVALUATION, keep=keep)
        for keep in (None, {"A": tmp_path / "kept.nii"})
    )
    np.testing.assert_allclose(some["value"], whole["value"], rtol=1e-5)
    assert some["value"].notna().all()
    assert np.isfinite(open_volume(tmp_path / "kept.nii").data).all()


def test_the_log_of_a_slow_evaluation_says_how_far_it_is(case, capsys):
    evaluate(build_method(small_settings("nearest")), [case, case], 3, evaluation=EVALUATION)
    assert re.search(r"subjects scored: 100%.* 2/2 \[", capsys.readouterr().err)


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
