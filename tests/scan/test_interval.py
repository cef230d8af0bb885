"""The interval about new voxels: measured on held-out slices, as wide as slices differ, and it holds what it says."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from interslice.common.errors import InputError
from interslice.scan.grid import Grid
from interslice.scan.interval import gap_factor, interval, width
from interslice.scan.models import conventional
from interslice.scan.scans import read_scan, scan_from_image
from interslice.scan.upsampling import upsample_scan
from phantoms import ramp
from scan_files import PLAIN, nifti, saved


def texture(slices, seed=0):
    """(slices, 48, 48) in [0, 1], correlated over some 2 slices and 2 pixels, twice as rough on its right half."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.standard_normal((slices, 48, 48)), (2, 2, 2))
    noise[..., 24:] *= 4
    return (0.5 + noise / (6 * noise.std())).clip(0, 1).astype(np.float32)


def scan_of(slices, thickness_mm=None):
    image = nib.Nifti1Image(np.moveaxis(slices, 0, 2), PLAIN)
    return replace(scan_from_image(image, "phantom"), thickness_mm=thickness_mm)


def made(scan, factor, name="linear", keep_original=True):
    model = conventional(name)
    thickness = scan.thickness_mm and scan.thickness_mm / scan.slice_spacing_mm
    grid = Grid(scan.stored.shape[scan.axis], factor, thickness=thickness)
    fine = upsample_scan(scan, grid, model.method, keep_original)
    return fine, interval(scan, model, fine, grid, keep_original)


@pytest.mark.parametrize("name", ["linear", "bspline"])
def test_it_holds_nine_of_ten_true_values_where_the_factor_is_the_right_one(name):
    """At twice the spacing the slices between are there: new textures of the same kind, all slices that are left out."""
    inside = []
    for seed in range(4):
        data = texture(61, seed)
        scan = scan_of(data[::2], thickness_mm=PLAIN[2, 2])
        fine, wide = made(scan, 2, name)
        error = np.abs(fine.stored[..., 1::2] - np.moveaxis(data, 0, 2)[..., 1::2])
        half = wide.stored[..., 1::2] / gap_factor(1.0)
        # The true factor from held-out slices to these: what the module's constants stand for on real scans.
        own = width(scan_of(data), conventional(name), True) / width(scan, conventional(name), True)
        inside.append(np.mean(error <= own * half))
        assert spearmanr(error, half, axis=None).statistic > 0.3
    assert np.mean(inside) == pytest.approx(0.9, abs=0.04)


def test_it_is_wider_where_neighbouring_slices_differ_more_and_0_on_slices_that_were_kept():
    _, wide = made(scan_of(texture(20)), 4)
    new = np.moveaxis(wide.stored, 2, 0)
    assert (new[::4] == 0).all()
    assert (new[np.arange(len(new)) % 4 > 0] > 0).all()
    assert new[2::4, :, 28:].mean() > 2 * new[2::4, :, :20].mean()
    _, everywhere = made(scan_of(texture(20)), 4, keep_original=False)
    assert (everywhere.stored > 0).all()


def test_it_goes_with_the_intensities_and_the_thickness():
    data = texture(12)
    _, one = made(scan_of(data), 2)
    _, other = made(scan_of(300 * data - 50), 2)
    np.testing.assert_allclose(other.stored, 300 * one.stored, rtol=1e-3)
    _, thin = made(scan_of(data, thickness_mm=0.2 * PLAIN[2, 2]), 2)
    _, slabs = made(scan_of(data, thickness_mm=0.8 * PLAIN[2, 2]), 2)
    np.testing.assert_allclose(thin.stored / one.stored.clip(1e-9), 0.7 / 1.2 * (one.stored > 0), rtol=1e-5)
    np.testing.assert_allclose(slabs.stored[..., 1] / one.stored[..., 1], 1.0 / 1.2, rtol=1e-5)


def test_nothing_is_wrong_on_a_ramp_but_its_floor():
    scan = scan_of(np.asarray(ramp(12), dtype=np.float32))
    _, wide = made(scan, 2)
    assert wide.stored.max() < 1e-3 * np.ptp(scan.stored)


def test_few_slices_are_refused_and_the_map_is_a_float_image_on_the_same_grid(tmp_path):
    with pytest.raises(InputError, match="found 3 slices, --uncertainty needs at least 4"):
        made(scan_of(texture(3)), 2)
    scan = read_scan(saved(nifti(scaling=(0.037, -12.5)), tmp_path / "scan.nii"))
    fine, wide = made(scan, 2, "bspline")
    nib.save(wide.nifti(), tmp_path / "map.nii.gz")
    loaded = nib.load(tmp_path / "map.nii.gz")
    assert (loaded.dataobj.slope, loaded.dataobj.inter, loaded.get_data_dtype()) == (1, 0, np.float32)
    assert loaded.shape == fine.stored.shape
    np.testing.assert_allclose(loaded.affine, fine.affine, atol=1e-5)


def test_voxels_without_a_value_have_no_interval():
    data = texture(12)
    data[:, :5] = np.nan
    fine, wide = made(scan_of(data), 2)
    np.testing.assert_array_equal(np.isnan(wide.stored), np.isnan(fine.stored))
    assert np.isnan(wide.stored).any()
