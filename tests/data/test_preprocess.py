import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import rescale

from generators import cine, write_nifti
from interslice.common.schemas import read_yaml
from interslice.data.dataset_files import load_dataset
from interslice.data.masks import foreground_mask
from interslice.data.preprocess import fit_in_plane, normalise_case, resample_in_plane, scale_frames
from interslice.data.sources import Case
from interslice.data.volumes import Volume, crop, foreground_box, read_volume, scale_intensities
from phantoms import ellipsoids
from settings import ROOT

SCHEMA = read_yaml(ROOT / "workflow" / "schemas" / "dataset.schema.yaml")
OBLIQUE = np.array([[0.98, -0.17, 0.1, -30], [0.17, 0.98, -0.05, 12], [-0.09, 0.07, 8.0, 7], [0, 0, 0, 1]])


def case_of(path, shape, frames=1, first=0, slice_axis=2):
    return Case("d", "s", "test", str(path), frames, first, shape, (1.0, 1.0, 8.0), slice_axis, "")


def published(name, **changes):
    path = ROOT / "config" / "datasets" / f"{name}.yaml"
    return load_dataset(str(path), SCHEMA, ROOT) | changes


def blob(points, centre):
    """A smooth function of the world: a Gaussian of sigma 9 mm in plane."""
    return np.exp(-((points - centre)[..., :2] ** 2).sum(-1) / (2 * 9.0**2))


def world(volume):
    """World coordinates of every voxel of the first frame, (slices, rows, columns, 3)."""
    moved = np.moveaxis(np.indices(array_shape(volume)), 0, -1)
    return np.moveaxis(nib.affines.apply_affine(volume.affine, moved), volume.slice_axis, 0)


def array_shape(volume):
    _, slices, rows, columns = volume.data.shape
    return tuple(np.insert([rows, columns], volume.slice_axis, slices))


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [0.7, 1.4, 2.3])
def test_resampling_keeps_every_point_of_the_world_in_place(slice_axis, spacing):
    """The volume samples a smooth function of the world; the resampled one must sample the same function."""
    affine = np.diag([1.1, 1.3, 1.2, 1.0])
    affine[:3, 3] = (-30, 12, 5)
    volume = Volume(np.zeros((1, 4, 48, 52), np.float32), affine, slice_axis)
    points = world(volume)
    centre = points.reshape(-1, 3).mean(0)
    axes = [axis for axis in range(3) if axis != slice_axis]
    volume.data[0] = blob(points[..., axes], centre[axes])
    result = resample_in_plane(volume, spacing)
    assert result.spacing == pytest.approx((volume.spacing[0], spacing, spacing))
    expected = blob(world(result)[..., axes], centre[axes])
    inner = (slice(None), slice(3, -3), slice(3, -3))
    # Linear interpolation and the Gaussian against aliasing flatten a peak of sigma 9 mm by less than 2 %.
    assert np.abs(result.data[0] - expected)[inner].max() < 0.02
    extent = [n * s for n, s in zip(volume.data.shape[2:], volume.spacing[1:], strict=True)]
    for n, length in zip(result.data.shape[2:], extent, strict=True):
        assert length - spacing < n * spacing <= length + 1e-6, "as many pixels as fit the field of view"


def test_resampling_does_not_alias():
    """A grating above the new Nyquist frequency must vanish, as it does in scikit-image; plain sampling keeps it."""
    columns = np.sin(2 * np.pi * 0.4 * np.arange(200))  # period 2.5 mm
    data = np.tile(columns, (1, 2, 200, 1)).astype(np.float32)
    coarse = resample_in_plane(Volume(data, np.diag([1.0, 1.0, 8.0, 1.0]), 2), 4.0).data[0, 0]
    reference = rescale(data[0, 0].astype(float), 0.25, anti_aliasing=True, order=1)
    plain = ndimage.zoom(data[0, 0], 0.25, order=1)
    assert np.abs(coarse[:, 2:-2]).max() < 0.01
    assert np.abs(plain[:, 2:-2]).max() > 0.5
    np.testing.assert_allclose(coarse[2:-2, 2:-2], reference[2:-2, 2:-2], atol=0.02)


def test_slices_are_not_touched_by_resampling():
    """Every slice is resampled alone: changing one changes no other."""
    data = np.stack([ellipsoids((5, 40, 40), seed) for seed in range(2)])
    one = resample_in_plane(Volume(data, OBLIQUE, 2), 1.4).data
    other = data.copy()
    other[0, 2] = 1 - other[0, 2]
    two = resample_in_plane(Volume(other, OBLIQUE, 2), 1.4).data
    differing = np.abs(one - two).max(axis=(2, 3)) > 0
    assert differing.sum() == 1
    assert differing[0, 2]


def test_scaling_per_frame_and_per_volume():
    data = np.stack([ellipsoids((4, 20, 20)) * brightness for brightness in (100, 300)])
    setting = {"scaling": "percentile", "low": 1, "high": 99}
    per_frame, limits = scale_frames(data, setting | {"per": "frame"}, "scan")
    np.testing.assert_allclose(per_frame[0], per_frame[1], atol=1e-6)
    for frame, scaled in zip(data, per_frame, strict=True):
        low, high = np.percentile(frame, (1, 99))
        assert (low, high) in limits
        np.testing.assert_allclose(scaled, np.clip((frame - low) / (high - low), 0, 1), atol=1e-6)
    per_volume, limits = scale_frames(data, setting | {"per": "volume"}, "scan")
    assert limits == (tuple(np.percentile(data, (1, 99))),) * 2
    assert per_volume[0].max() < 0.5
    assert per_volume[1].max() == 1


@pytest.mark.parametrize(("side", "shape"), [(16, (16, 16)), (30, (30, 30)), (24, (24, 24))])
def test_centre_crop_or_pad_keeps_the_world(side, shape):
    data = np.zeros((1, 3, 24, 27), np.float32)
    data[0, 1, 12, 13] = 1
    volume = Volume(data, OBLIQUE, 2)
    result = fit_in_plane(volume, side, shrink=True)
    assert result.data.shape[2:] == shape
    for one in (volume, result):
        one_array = np.moveaxis(one.data[0], 0, 2)
        point = nib.affines.apply_affine(one.affine, np.unravel_index(one_array.argmax(), one_array.shape))
        np.testing.assert_allclose(point, nib.affines.apply_affine(OBLIQUE, (12, 13, 1)), atol=1e-9)


def test_padding_never_cuts():
    volume = Volume(np.ones((1, 3, 24, 27), np.float32), OBLIQUE, 2)
    assert fit_in_plane(volume, 26, shrink=False).data.shape == (1, 3, 26, 27)
    assert fit_in_plane(volume, 26, shrink=False).data.sum() == 3 * 24 * 27


def test_the_default_protocol_is_the_plain_normalisation(tmp_path):
    write_nifti(tmp_path / "scan.nii.gz", ellipsoids((12, 40, 44)), (1, 1.2, 3))
    t1 = published("t1")
    raw = read_volume(tmp_path / "scan.nii.gz", 2)
    scaled = Volume(scale_intensities(raw.data, t1["intensity"], "scan"), raw.affine, raw.slice_axis)
    plain = crop(scaled, foreground_box(scaled.data[0], scaled.spacing, t1["crop"]["margin_mm"]))
    ours = normalise_case(case_of(tmp_path / "scan.nii.gz", (44, 40, 12)), t1)
    np.testing.assert_array_equal(ours.data, plain.data)
    np.testing.assert_array_equal(ours.affine, plain.affine)


def test_the_cardiac_protocol(tmp_path):
    write_nifti(tmp_path / "cine.nii.gz", cine((5, 120, 180), 3, 1), (1.6, 1.6, 10))
    volume = normalise_case(case_of(tmp_path / "cine.nii.gz", (180, 120, 5), frames=3), published("acdc"))
    assert volume.data.shape == (3, 5, 160, 160)
    assert volume.spacing == pytest.approx((10, 1.4, 1.4))
    for frame in volume.data:
        assert (frame.min(), frame.max()) == (0, 1)
    assert not volume.data[:, :, :, :5].any(), "137 rows of 1.4 mm are padded to 160"


def test_a_part_of_the_frames(tmp_path):
    frames = cine((5, 60, 60), 6, 1)
    write_nifti(tmp_path / "cine.nii.gz", frames, (1.4, 1.4, 10))
    settings = published("cine", crop={"margin_mm": None, "centre_px": None})
    path = tmp_path / "cine.nii.gz"
    part = normalise_case(case_of(path, (60, 60, 5), frames=2, first=3), settings)
    whole = normalise_case(case_of(path, (60, 60, 5), frames=6), settings)
    np.testing.assert_array_equal(part.data, whole.data[3:5])


def test_the_neonatal_protocol_sets_the_background_to_zero(tmp_path):
    rng = np.random.default_rng(0)
    clean = np.pad(ellipsoids((30, 70, 60)), ((2, 2), (20, 20), (20, 20)))
    noisy = np.clip(clean + 0.02 + 0.01 * rng.random(clean.shape), 0, 1)
    write_nifti(tmp_path / "scan.nii.gz", noisy, (0.5, 0.5, 0.5))
    case = case_of(tmp_path / "scan.nii.gz", noisy.shape[::-1])
    uncropped = published("dhcp", pad_px=None, crop={"margin_mm": None, "centre_px": None})
    masked, kept = normalise_case(case, uncropped), normalise_case(case, uncropped | {"background": "keep"})
    mask = foreground_mask(kept.data[0])
    assert 0.05 < mask.mean() < 0.5
    assert kept.data[0][~mask].any()
    np.testing.assert_array_equal(masked.data[0], np.where(mask, kept.data[0], 0))
    cropped = normalise_case(case, published("dhcp", pad_px=128))
    assert cropped.data.shape[2:] == (128, 128)
    assert cropped.data.sum() == pytest.approx(masked.data.sum()), "the crop loses nothing of the foreground"
