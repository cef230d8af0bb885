"""Label maps keep their labels; scans are not taken for them."""

import nibabel as nib
import numpy as np
import pytest

import interslice
from interslice.common.errors import InputError
from interslice.data.volumes import output_positions
from interslice.scan.batch import run_batch
from interslice.scan.labels import interpolate_labels, why_labels
from interslice.scan.options import Options
from interslice.scan.scans import read_scan, scan_from_image
from phantoms import ellipsoids

THICK = np.diag([1.0, 1.0, 4.0, 1.0])


def discs(radii, side=40, centre=(20, 20), label=7):
    rows, columns = np.mgrid[:side, :side]
    return np.stack(
        [label * (np.hypot(rows - centre[0], columns - centre[1]) < r).astype(np.uint8) for r in radii]
    )


def segmentation():
    """Values as of a segmentation of a head, in boxes: 0, 2, 10 and 41."""
    data = np.zeros((30, 30, 8), np.uint8)
    data[5:20, 5:20, 2:6], data[8:14, 8:14, 3:5], data[20:28, 5:10, 1:4] = 2, 41, 10
    return data


def save(data, path, affine=THICK, intent=None):
    image = nib.Nifti1Image(data, affine)
    if intent:
        image.header.set_intent(intent)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("factor", [2, 4, 5])
def test_a_cone_gets_its_radii_in_between(factor):
    """A disc that shrinks from 16 to 8 pixels: its area half-way is that of 12, which neither slice has."""
    fine = interpolate_labels(discs([16, 8]), output_positions(2, factor))
    for index in range(factor + 1):
        radius = 16 - 8 * index / factor
        smallest, largest = (discs([radius + margin]) for margin in (-0.6, 0.6))
        assert (smallest == 7).sum() <= (fine[index] == 7).sum() <= (largest == 7).sum()
    assert set(np.unique(fine)) == {0, 7}


def test_a_rim_of_nan_stays_one_and_makes_no_new_labels():
    labels = discs([16, 8]).astype(np.float32)
    labels[:, 0] = np.nan
    scan = scan_from_image(nib.Nifti1Image(np.moveaxis(labels, 0, 2), THICK), "sub-1_dseg.nii")
    assert why_labels(scan)
    fine = interpolate_labels(labels, output_positions(2, 4))
    assert np.isnan(fine[:, 0]).all()
    np.testing.assert_array_equal(
        fine[:, 1:], interpolate_labels(discs([16, 8]), output_positions(2, 4))[:, 1:]
    )


def test_a_label_that_ends_does_so_half_way():
    fine = interpolate_labels(discs([12, 0]), output_positions(2, 8))
    areas = [(part == 7).sum() for part in fine]
    assert areas == sorted(areas, reverse=True)
    assert areas[3] > 0
    assert areas[4:] == [0] * 5


def test_every_voxel_has_a_label_of_a_slice_beside_it_and_slices_stay():
    frame = np.moveaxis(segmentation(), 2, 0)
    fine = interpolate_labels(frame, output_positions(8, 3))
    np.testing.assert_array_equal(fine[::3], frame)
    for index in range(len(frame) - 1):
        between = fine[3 * index : 3 * index + 4]
        assert set(np.unique(between)) <= set(np.unique(frame[index : index + 2]))
    # What is one label in both slices stays that label.
    both = frame[:-1] == frame[1:]
    for step in (1, 2):
        np.testing.assert_array_equal(fine[step::3][both], frame[:-1][both])


@pytest.mark.parametrize(
    ("name", "data", "intent", "reason"),
    [
        ("aseg.nii.gz", segmentation(), None, "it has few values, in flat areas"),
        ("aseg.nii.gz", segmentation().astype(np.float32), None, "it has few values, in flat areas"),
        ("lesion.nii.gz", (segmentation() > 0).astype(np.uint8), None, "it has few values, in flat areas"),
        (
            "sub-01_dseg.nii.gz",
            np.random.default_rng(0).integers(0, 40, (9, 9, 5)),
            None,
            "its name ends in dseg",
        ),
        ("empty_mask.nii.gz", np.zeros((9, 9, 5)), None, "its name ends in mask"),
        ("x.nii.gz", np.random.default_rng(0).integers(0, 999, (9, 9, 5)), "label", "its header says so"),
    ],
)
def test_label_maps_are_recognised(tmp_path, name, data, intent, reason):
    data = data.astype(np.int16) if data.dtype == np.int64 else data
    assert why_labels(read_scan(save(data, tmp_path / name, intent=intent))) == reason


@pytest.mark.parametrize(
    "values",
    [
        (900 * ellipsoids((30, 28, 9))).astype(np.int16),
        (255 * ellipsoids((30, 28, 9))).astype(np.uint8),
        np.random.default_rng(0).integers(0, 30, (30, 28, 9)).astype(np.uint8),
        ellipsoids((30, 28, 9)),
    ],
)
def test_scans_are_not_taken_for_label_maps(values):
    assert why_labels(scan_from_image(nib.Nifti1Image(values, THICK), "scan.nii")) == ""


def test_a_folder_keeps_the_labels_of_its_label_maps(tmp_path):
    data = segmentation()
    save((900 * ellipsoids((30, 30, 8))).astype(np.int16), tmp_path / "in" / "patient001_frame01.nii.gz")
    save(data, tmp_path / "in" / "patient001_frame01_gt.nii.gz")
    said = []
    run_batch(Options(tmp_path / "in", tmp_path / "out", factor="4"), said.append)
    fine = nib.load(tmp_path / "out" / "patient001_frame01_gt_desc-interslice.nii.gz")
    assert set(np.unique(np.asarray(fine.dataobj))) == set(np.unique(data))
    assert sum("label map" in line for line in said) == 1


def test_from_python_and_where_labels_cannot_be():
    image = nib.Nifti1Image(segmentation(), THICK)
    fine = np.asarray(interslice.upsample(image, 4).dataobj)
    assert set(np.unique(fine)) == {0, 2, 10, 41}
    assert len(np.unique(np.asarray(interslice.upsample(image, 4, label=False).dataobj))) > 4
    grey = nib.Nifti1Image(ellipsoids((30, 28, 9)), THICK)
    with pytest.raises(InputError, match="--label is for whole numbers"):
        interslice.upsample(grey, 4, label=True)


def with_nan():
    data = ellipsoids((24, 22, 9))
    absent = np.zeros(data.shape, bool)
    absent[:4] = absent[-4:] = True
    absent[10:14, 10:14, 4:6] = True
    data[absent] = np.nan
    return data, absent


def test_nan_stays_where_it_is_and_is_not_spread():
    data, absent = with_nan()
    fine = np.asarray(interslice.upsample(nib.Nifti1Image(data, THICK), 4, "bspline").dataobj)
    np.testing.assert_array_equal(fine[:, :, ::4], data)
    np.testing.assert_array_equal(np.isnan(fine[:, :, 1::4]), absent[:, :, :-1])
    np.testing.assert_array_equal(np.isnan(fine[:, :, 3::4]), absent[:, :, 1:])
    known = np.where(absent, ellipsoids((24, 22, 9)), data)
    whole = np.asarray(interslice.upsample(nib.Nifti1Image(known, THICK), 4, "bspline").dataobj)
    far = ~np.isnan(fine)
    far[9:15, 9:15] = False  # beside the hole, what is in it matters to a spline
    np.testing.assert_allclose(fine[far], whole[far], atol=1e-6)


def test_nan_stays_in_frames_without_contrast_too():
    data, absent = with_nan()
    frames = np.stack([data, np.where(absent, np.nan, 5), np.full_like(data, np.nan)], axis=3)
    fine = np.asarray(
        interslice.upsample(nib.Nifti1Image(frames.astype(np.float32), THICK), 2, "bspline").dataobj
    )
    assert np.isnan(fine[..., 2]).all()
    np.testing.assert_array_equal(np.isnan(fine[..., 1]), np.isnan(fine[..., 0]))
    assert set(fine[..., 1][~np.isnan(fine[..., 1])]) == {5}


def test_nan_may_be_zero_or_refused():
    data, absent = with_nan()
    image = nib.Nifti1Image(data, THICK)
    fine = np.asarray(interslice.upsample(image, 4, nan="zero").dataobj)
    assert not np.isnan(fine).any()
    assert (fine[:, :, ::4][absent] == 0).all()
    with pytest.raises(InputError, match=f"found {absent.sum()} voxels that are NaN; --nan keep leaves them"):
        interslice.upsample(image, 4, nan="refuse")
    with pytest.raises(InputError, match="nan: found 'drop', allowed are keep, zero, refuse"):
        interslice.upsample(image, 4, nan="drop")
