import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from interslice.common.errors import InputError
from interslice.data.preprocess import normalise_case
from interslice.data.sources import Case
from interslice.data.volumes import (
    Volume,
    decimate,
    find_slice_axis,
    open_volume,
    output_positions,
    output_size,
    profile_blur,
    reference_slices,
    scale_intensities,
    write_volume,
)
from phantoms import ellipsoids

PERCENTILE = {"scaling": "percentile", "low": 1, "high": 99.8}
# Left-handed, permuted and oblique: what a real scanner may write.
AFFINES = {
    "ras": np.diag([1.0, 1.1, 1.2, 1]),
    "las_offset": np.array([[-1.0, 0, 0, 90], [0, 1, 0, -70], [0, 0, 1.5, -60], [0, 0, 0, 1]]),
    "permuted": np.array([[0, 0, 1.2, -40], [-1.0, 0, 0, 80], [0, 1.1, 0, -50], [0, 0, 0, 1]]),
    "oblique": np.array(
        [[0.98, -0.17, 0.1, -30], [0.17, 0.98, -0.05, 12], [-0.09, 0.07, 2.0, 7], [0, 0, 0, 1]]
    ),
}


def normalise(path, slice_axis, intensity, margin_mm):
    """What the workflow does to a 3-D scan of a dataset without resampling, padding or background removal."""
    case = Case("d", "s", "test", str(path), 1, 0, (1, 1, 1), (1.0, 1.0, 1.0), slice_axis, "")
    crop = {"margin_mm": margin_mm, "centre_px": None}
    options = {"in_plane_mm": None, "background": "keep", "pad_px": None, "appearance": "as_is"}
    return normalise_case(case, {"intensity": {"per": "volume"} | intensity, "crop": crop} | options)


def write_scan(path, affine, landmark=(14, 20, 11), shape=(30, 34, 24)):
    """A phantom in raw units with one voxel that is brighter than all others."""
    data = 900 * ellipsoids(shape)
    data[landmark] = 5000
    nib.save(nib.Nifti1Image(data.astype(np.int16), affine), path)
    return nib.affines.apply_affine(affine, landmark)


def brightest_point(volume: Volume) -> np.ndarray:
    """World coordinates in mm of the maximum of a volume."""
    array = np.moveaxis(volume.data[0], 0, volume.slice_axis)
    return nib.affines.apply_affine(volume.affine, np.unravel_index(array.argmax(), array.shape))


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_a_landmark_stays_where_it_was_in_the_world(tmp_path, name, slice_axis):
    point = write_scan(tmp_path / "scan.nii.gz", AFFINES[name])
    volume = normalise(tmp_path / "scan.nii.gz", slice_axis, PERCENTILE | {"high": 100}, margin_mm=3)
    write_volume(volume, tmp_path / "normalised.nii")
    again = open_volume(tmp_path / "normalised.nii")
    np.testing.assert_allclose(brightest_point(again), point, atol=1e-4)
    assert nib.aff2axcodes(again.affine) == ("R", "A", "S")
    assert again.slice_axis == slice_axis
    assert again.data.min() >= 0
    assert again.data.max() <= 1


def test_normalised_file_is_memory_mapped_float32(tmp_path):
    write_scan(tmp_path / "scan.nii.gz", AFFINES["ras"])
    write_volume(normalise(tmp_path / "scan.nii.gz", 2, PERCENTILE, 3), tmp_path / "normalised.nii")
    data = open_volume(tmp_path / "normalised.nii").data
    base = data
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert data.dtype == np.float32


def test_a_different_program_reads_the_same_geometry(tmp_path):
    """SimpleITK (LPS) must place voxels where nibabel (RAS) does."""
    write_scan(tmp_path / "scan.nii.gz", AFFINES["las_offset"])
    volume = normalise(tmp_path / "scan.nii.gz", 2, PERCENTILE, 3)
    write_volume(decimate(volume, 3, "none"), tmp_path / "low.nii")
    image = sitk.ReadImage(str(tmp_path / "low.nii"))
    low = open_volume(tmp_path / "low.nii")
    assert image.GetSpacing() == pytest.approx((1.0, 1.0, 4.5))
    point = np.array(image.TransformIndexToPhysicalPoint((5, 6, 3))) * [-1, -1, 1]
    np.testing.assert_allclose(point, nib.affines.apply_affine(low.affine, (5, 6, 3)), atol=1e-4)
    assert sitk.GetArrayFromImage(image)[3, 6, 5] == pytest.approx(low.data[0, 3, 5, 6])


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_decimation_keeps_every_kth_slice_in_place(factor, slice_axis):
    data = ellipsoids((23, 16, 18))[np.newaxis]
    volume = Volume(data, AFFINES["oblique"], slice_axis)
    low = decimate(volume, factor, "none")
    kept = (23 - 1) // factor + 1
    np.testing.assert_array_equal(low.data[0], data[0, : (kept - 1) * factor + 1 : factor])
    assert low.spacing[0] == pytest.approx(volume.spacing[0] * factor)
    assert low.spacing[1:] == pytest.approx(volume.spacing[1:])
    for index in (0, kept - 1):
        voxel, low_voxel = np.zeros(3), np.zeros(3)
        voxel[slice_axis], low_voxel[slice_axis] = index * factor, index
        np.testing.assert_allclose(
            nib.affines.apply_affine(low.affine, low_voxel),
            nib.affines.apply_affine(volume.affine, voxel),
            atol=1e-9,
        )
    assert reference_slices(data, factor).shape[1] == output_size(kept, factor)


def test_gaussian_profile_has_full_width_at_half_maximum_k():
    """An impulse blurred with sigma K / 2.355 falls to half its peak K / 2 voxels away."""
    data = np.zeros((1, 81, 4, 4), dtype=np.float32)
    data[:, 40] = 1
    low = decimate(Volume(data, np.eye(4), 2), 8, "gaussian")
    profile = low.data[0, :, 0, 0]
    assert profile[5] == pytest.approx(
        ndimage.gaussian_filter1d(data[0, :, 0, 0], 8 / 2.355, mode="nearest")[40]
    )
    half = ndimage.gaussian_filter1d(data[0, :, 0, 0], 8 / 2.355, mode="nearest")
    assert half[44] / half[40] == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize(
    ("factor", "weights"), [(2, [0.3, 1, 0.3]), (4, [0.1, 1, 1, 1, 0.1]), (5, [0.5, 1, 1, 1, 0.5])]
)
def test_slab_profile_is_the_mean_over_a_slab_with_gaps(factor, weights):
    """0.8 K voxels: a ramp stays one, and an impulse shows each voxel's share of the slab, which ends between voxels."""
    ramp = np.arange(41, dtype=np.float64)[np.newaxis, :, np.newaxis, np.newaxis]
    low = decimate(Volume(ramp, np.eye(4), 2), factor, "slab").data[0, :, 0, 0]
    np.testing.assert_allclose(low[1:-1], np.arange(0, 41, factor)[1:-1])
    impulse = np.zeros((1, 41, 1, 1))
    impulse[:, 20] = 1
    seen = profile_blur(impulse, factor, "slab", axis=1)[0, :, 0, 0]
    assert sum(weights) == pytest.approx(0.8 * factor)
    np.testing.assert_allclose(seen[seen > 0], np.array(weights) / sum(weights))
    with pytest.raises(InputError, match="slice_profile: found 'box', allowed are none, gaussian, slab"):
        profile_blur(impulse, factor, "box", axis=1)


def test_four_dimensional_volumes_are_decimated_frame_by_frame(tmp_path):
    frames = np.stack([ellipsoids((12, 16, 14), seed) for seed in range(3)])
    write_volume(Volume(frames, np.diag([1.4, 1.4, 8, 1]), 2), tmp_path / "cine.nii")
    volume = open_volume(tmp_path / "cine.nii")
    np.testing.assert_array_equal(volume.data, frames)
    low = decimate(volume, 2, "gaussian")
    alone = decimate(Volume(frames[1:2], volume.affine, 2), 2, "gaussian")
    np.testing.assert_array_equal(low.data[1], alone.data[0])


def test_grid():
    assert output_size(3, 4) == 9
    np.testing.assert_array_equal(output_positions(3, 4), [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2])


def test_scaling_by_percentiles_is_numpys():
    data = np.random.default_rng(0).normal(100, 20, (10, 11, 12))
    low, high = np.percentile(data, (1, 99.8))
    scaled = scale_intensities(data, PERCENTILE, "scan")
    np.testing.assert_allclose(scaled, np.clip((data - low) / (high - low), 0, 1), atol=1e-6)


def test_slice_axis():
    assert find_slice_axis((1, 1, 5), "auto") == 2
    assert find_slice_axis((5, 1, 1), "auto") == 0
    assert find_slice_axis((1, 1, 1), "auto") == 2
    assert find_slice_axis((5, 1, 1), "coronal") == 1
    with pytest.raises(InputError, match=r"slice_axis: found 'z', allowed are auto"):
        find_slice_axis((1, 1, 1), "z")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.full((8, 8, 8), np.nan), "NaN or infinite"),
        (np.ones((8, 8, 8)), "constant image"),
        (np.ones((8, 8)), "allowed are 3-D and 4-D"),
        (np.ones((4, 4, 4, 2, 2)), "allowed are 3-D and 4-D"),
    ],
)
def test_unusable_images_are_refused_by_name(tmp_path, data, message):
    nib.save(nib.Nifti1Image(data.astype(np.float32), np.eye(4)), tmp_path / "bad.nii")
    with pytest.raises(InputError, match=message) as raised:
        normalise(tmp_path / "bad.nii", 2, PERCENTILE, None)
    assert "bad.nii" in str(raised.value)


def test_broken_files_are_refused_by_name(tmp_path):
    write_scan(tmp_path / "whole.nii.gz", np.eye(4))
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "whole.nii.gz").read_bytes()[:4000])
    (tmp_path / "text.nii").write_text("not an image")
    for name in ("cut.nii.gz", "text.nii", "missing.nii"):
        with pytest.raises(InputError, match=name):
            normalise(tmp_path / name, 2, PERCENTILE, 3)


def test_a_volume_without_slice_axis_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), tmp_path / "plain.nii")
    with pytest.raises(InputError, match="no slice axis"):
        open_volume(tmp_path / "plain.nii")


def test_too_few_slices_are_refused():
    with pytest.raises(InputError, match="leaves 1 of 4 slices"):
        reference_slices(np.zeros((1, 4, 8, 8)), 4)
    with pytest.raises(InputError, match="K: found 1"):
        reference_slices(np.zeros((1, 4, 8, 8)), 1)
