import os
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from interslice.common.errors import InputError
from interslice.methods.base import Method
from interslice.scan.grid import Grid
from interslice.scan.models import Model, conventional
from interslice.scan.own_training import hold_out
from interslice.scan.preview import preview_figure, turned_to_ras, write_preview
from interslice.scan.scans import read_scan, scan_from_image
from interslice.scan.trust import (
    AS_IT_CAME,
    Score,
    check_methods,
    check_report,
    recommendation,
    whether_it_helped,
)
from interslice.scan.trust import Score as S
from interslice.scan.upsampling import upsample_scan
from phantoms import ellipsoids
from scan_files import FILES, PLAIN


def scan_of(slices, affine=PLAIN):
    """A scan of float32 slices (n, rows, columns)."""
    return scan_from_image(nib.Nifti1Image(np.moveaxis(slices, 0, 2), affine), "phantom")


def grid_of(scan, factor):
    return Grid(scan.stored.shape[scan.axis], factor)


class Watcher(Method):
    """Linear interpolation that remembers what it was given."""

    def __init__(self):
        super().__init__({})
        self.seen = []

    def _interpolate(self, volume, factor):
        self.seen.append((volume.copy(), factor))
        return conventional("linear").method.interpolate(volume, factor)


def test_check_scores_every_second_slice_from_the_others_alone():
    slices = ellipsoids((11, 24, 20))
    watcher = Watcher()
    scores = check_methods(scan_of(slices), {"watcher": watcher})
    low, high = np.percentile(slices.astype(np.float64), (1, 99.8))
    data = np.clip((slices - low) / (high - low), 0, 1).astype(np.float32)
    ((seen, factor),) = watcher.seen
    np.testing.assert_allclose(seen, data[::2], atol=1e-6)
    assert factor == 2
    expected = peak_signal_noise_ratio(data[1::2], (data[:-2:2] + data[2::2]) / 2, data_range=1)
    assert scores["watcher"].psnr == pytest.approx(expected, abs=1e-4)


def test_check_of_chosen_slices_uses_neither_them_nor_their_parity():
    slices = ellipsoids((11, 24, 20))
    watcher = Watcher()
    check_methods(scan_of(slices), {"watcher": watcher}, held_out=[4, 7])
    assert sorted(len(volume) for volume, _ in watcher.seen) == [5, 6]
    changed = slices.copy()
    changed[[4, 7]] = slices[[4, 7]] * 0.9
    again = Watcher()
    check_methods(scan_of(changed), {"watcher": again}, held_out=[4])
    assert len(again.seen) == 1


def test_check_recommends_the_better_method():
    """Smooth in the slice direction: cubic must beat repetition. The report names both and the winner."""
    report = check_report(scan_of(ellipsoids((15, 30, 30))), conventional("nearest"), None)
    assert "recommended for this scan: bspline (better by both" in report
    assert report.count("SSIM") == report.count("PSNR") == 2
    assert "at 10 mm" in report
    report = check_report(scan_of(ellipsoids((15, 30, 30))), conventional("bspline"), None)
    assert "bspline " in report
    assert "linear " in report


def test_check_says_where_held_out_slices_show_more_than_there_is():
    scan = scan_of(ellipsoids((9, 24, 24)))  # 5 mm apart
    for thickness_mm, said in ((None, "may be as thick"), (5.0, "are as thick"), (4.0, None), (1.0, None)):
        report = check_report(replace(scan, thickness_mm=thickness_mm), conventional("linear"), None)
        told = [line for line in report.splitlines() if "methods differ less than these scores do" in line]
        assert len(told) == (said is not None)
        assert all(f"the slices {said} as they are apart" in line for line in told)


def test_check_says_when_the_model_has_seen_the_scan():
    scan = scan_of(ellipsoids((9, 24, 24)))
    seen = Model("cae", Watcher(), "model.pt", "0" * 64, ("phantom", "other"))
    assert "model.pt was trained on a scan of this name" in check_report(scan, seen, None)
    assert "was trained on" not in check_report(scan, seen, [3])
    assert "was trained on" not in check_report(scan, Model("cae", Watcher(), "m.pt", "0", ("other",)), None)


def test_recommendations():
    assert "cae (better" in recommendation("cae", "bspline", {"cae": S(0.9, 30), "bspline": S(0.8, 29)})
    assert "bspline (better" in recommendation("cae", "bspline", {"cae": S(0.7, 28), "bspline": S(0.8, 29)})
    assert "bspline (the measures disagree" in recommendation(
        "cae", "bspline", {"cae": S(0.9, 28), "bspline": S(0.8, 29)}
    )
    assert "as well as" in recommendation("linear", "bspline", {"linear": S(0.9, 28), "bspline": S(0.8, 29)})


def test_check_of_a_perfect_prediction_is_infinite_and_of_few_slices_refused():
    slices = ellipsoids((7, 24, 24))
    slices[3] = slices[4]  # half-way, nearest takes the slice above
    scores = check_methods(scan_of(slices), {"nearest": conventional("nearest").method}, held_out=[3])
    assert scores["nearest"] == S(1, np.inf)
    with pytest.raises(InputError, match="found no contrast in what is held out"):
        check_methods(scan_of(np.ones((7, 24, 24))), {"linear": conventional("linear").method})
    with pytest.raises(InputError, match="found slices of 24 x 9 pixels, --check needs 11 a side"):
        check_methods(scan_of(slices[:, :, :9]), {"linear": conventional("linear").method})
    with pytest.raises(InputError, match="found 3 slices, --check needs at least 4"):
        check_methods(scan_of(ellipsoids((3, 24, 24))), {"linear": conventional("linear").method})


@pytest.mark.parametrize("name", ["plain", "sagittal", "flipped", "oblique", "series_4d"])
def test_preview_is_true_to_scale_and_upright(tmp_path, name):
    scan = read_scan(FILES[name](tmp_path))
    fine = upsample_scan(scan, grid_of(scan, 4), conventional("bspline").method)
    figure = preview_figure(scan, fine, grid_of(scan, 4), "bspline")
    assert len(figure.axes) == 6
    scales = []
    for axes in figure.axes:
        width, height = axes.get_position().size * figure.get_size_inches()
        wide, tall = np.diff(axes.get_xlim())[0], np.diff(axes.get_ylim())[0]
        scales += [width / wide, height / tall]
        assert axes.get_aspect() == 1
        (image,) = axes.get_images()
        assert image.origin == "lower"
    np.testing.assert_allclose(scales, scales[0], rtol=1e-6)  # inches per mm
    for before, after in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        assert before.get_xlim() == after.get_xlim()
        assert before.get_ylim() == after.get_ylim()


@pytest.mark.parametrize("name", [b"$a_{$b$.nii", b"sch\xe4del.nii"])
def test_preview_of_a_file_of_any_name(tmp_path, name):
    """Dollars are no formula, and bytes that are no text are escaped."""
    scan = replace(read_scan(FILES["plain"](tmp_path)), name=os.fsdecode(name))
    fine = upsample_scan(scan, grid_of(scan, 2), conventional("linear").method)
    write_preview(scan, fine, grid_of(scan, 2), "linear", tmp_path / os.fsdecode(name + b".png"))
    assert len(list(tmp_path.glob("*.png"))) == 1


def test_preview_turns_the_scan_to_the_patient(tmp_path):
    """A bright voxel near the right, posterior, superior corner of the patient, however it is stored."""
    for name in ("plain", "flipped", "sagittal", "flipped_slices"):
        image = nib.load(FILES[name](tmp_path))
        centre = nib.affines.apply_affine(image.affine, (np.array(image.shape) - 1) / 2)
        voxel = np.linalg.solve(
            image.affine[:3, :3], centre + np.array([6, -6, 6]) - image.affine[:3, 3]
        ).round()
        data = np.zeros(image.shape, np.float32)
        data[tuple(voxel.astype(int))] = 1
        scan = scan_from_image(nib.Nifti1Image(data, image.affine), name)
        turned, sizes, axis = turned_to_ras(scan)
        found = np.array(np.unravel_index(turned.argmax(), turned.shape)) - (np.array(turned.shape) - 1) / 2
        assert (np.sign(found) == [1, -1, 1]).all(), name
        assert axis == (0 if name == "sagittal" else 2)
        assert sizes[axis] == pytest.approx(5)


@pytest.mark.parametrize("with_check", [False, True])
def test_held_out_slices_leave_every_one_its_neighbours_and_a_triplet_to_train_on(with_check):
    fewest = 6 + 3 * with_check
    for slices in range(2, fewest):
        with pytest.raises(
            InputError, match=f"found {slices} slices, training on it needs at least {fewest}"
        ):
            hold_out(slices, with_check)
    for slices in range(fewest, 200):
        held = hold_out(slices, with_check)
        chosen = sorted(held.both)
        assert len(chosen) == len(held.select) + len(held.check)
        assert chosen[0] >= 1
        assert chosen[-1] <= slices - 2
        assert min(np.diff(chosen), default=2) >= 2
        assert bool(held.check) == with_check
        assert len(chosen) <= max(2, slices / 5)


def test_whether_a_training_helped_is_said():
    before, score = conventional("linear"), Score(0.9, 30.0)
    said = {
        after: whether_it_helped(before, after, score)
        for after in (score, Score(0.91, 30.5), Score(0.91, 29.9))
    }
    assert list(said.values()) == [
        "the training changed nothing: linear is taken as it came",
        "the training helped: +0.50 dB PSNR, +0.0100 SSIM",
        "the training did not help by both measures (-0.10 dB PSNR, +0.0100 SSIM): "
        "--method linear without --train-here is safer",
    ]
    scan = scan_of(ellipsoids((15, 30, 30)))
    report = check_report(scan, conventional("nearest"), None, before=before)
    after, plain = check_methods(scan, {"a": conventional("nearest").method, "b": before.method}).values()
    assert f"{AS_IT_CAME:<12} SSIM {plain.ssim:.4f}" in report
    assert whether_it_helped(before, after, plain) in report
