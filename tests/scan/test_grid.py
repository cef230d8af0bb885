"""Target spacings that are no whole factor: the grid, and what comes of every kind of method on it."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

import interslice
from finished_models import random_model
from interslice.common.errors import InputError, NothingToDo
from interslice.methods import build_method
from interslice.methods.base import Method
from interslice.methods.shipped import read_settings
from interslice.scan.grid import Grid, grid_for, parse_factor
from interslice.scan.models import load_model
from interslice.scan.scans import read_scan, scan_from_image
from interslice.scan.upsampling import interpolate_frame, upsample_scan
from phantoms import ellipsoids, ramp
from scan_files import FILES, ROTATED, SHAPE, nifti, saved, values


def thick(gap_mm, slices=9):
    data = values(shape=(*SHAPE[:2], slices))
    return nib.Nifti1Image(data, np.diag([1.0, 1.0, gap_mm, 1.0]))


@pytest.mark.parametrize(
    ("gap", "wanted", "count", "kept"),
    [
        (5.0, 0.8, 51, {0: 0, 25: 4, 50: 8}),
        (3.3, 1.0, 27, {0: 0}),
        (7.0, 5.0, 12, {0: 0, 7: 5}),
        (2.0, 1.5, 11, {0: 0, 4: 3, 8: 6}),
        (6.6, 0.5, 106, {0: 0, 66: 5}),
        (5.0, 1.25, 33, {4 * place: place for place in range(9)}),
    ],
)
def test_the_spacing_that_is_asked_for(gap, wanted, count, kept):
    """First slice in place, whole slices of the input where the grid meets them, never beyond the last."""
    image = thick(gap)
    fine = interslice.upsample(image, spacing=wanted, method="bspline")
    assert fine.shape == (*SHAPE[:2], count)
    assert fine.header.get_zooms()[2] == pytest.approx(wanted, rel=1e-6)
    expected = image.affine.copy()
    expected[2, 2] = wanted
    np.testing.assert_allclose(fine.affine, expected, rtol=1e-6)
    for new, old in kept.items():
        np.testing.assert_array_equal(np.asarray(fine.dataobj)[..., new], np.asarray(image.dataobj)[..., old])
    grid = grid_for(scan_from_image(image, "scan"), spacing_mm=wanted)
    assert grid.kept == kept
    assert 8 - wanted / gap < grid.positions[-1] <= 8


def test_an_oblique_grid_is_at_the_right_places_of_the_world():
    """A plane of intensities in mm: linear interpolation gives its value back at every voxel of the finer grid."""
    image = nifti(ROTATED, kind=np.float64)
    plane = np.array([3.0, -2.0, 5.0])

    def of_plane(shape, affine):
        return nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1)) @ plane

    image = nib.Nifti1Image(of_plane(image.shape, image.affine), image.affine)
    fine = interslice.upsample(image, spacing=1.7, method="linear")
    np.testing.assert_allclose(fine.get_fdata(), of_plane(fine.shape, fine.affine), atol=1e-3)


def test_isotropic_is_the_smaller_pixel_side_and_the_default_a_whole_factor():
    image = nib.Nifti1Image(values(), np.diag([0.9, 1.1, 4.0, 1]))
    fine = interslice.upsample(image, isotropic=True, method="linear")
    assert fine.header.get_zooms()[2] == pytest.approx(0.9)
    assert interslice.upsample(image, method="linear").header.get_zooms()[2] == pytest.approx(1.0)


def test_grids_of_spacings(tmp_path):
    scan = read_scan(saved(nifti(), tmp_path / "scan.nii"))
    assert [grid_for(scan, spacing_mm=mm).ratio for mm in (1.0, 2.5, 0.5)] == [5, 2, 10]
    assert grid_for(scan, spacing_mm=1.2).ratio == pytest.approx(5 / 1.2)
    assert grid_for(scan).factor == 5
    assert grid_for(read_scan(FILES["microns"](tmp_path)), spacing_mm=1.0).factor == 5
    rounded = scan_from_image(thick(5.0003), "rounded")
    assert grid_for(rounded, spacing_mm=1.0).factor == 5
    with pytest.raises(NothingToDo, match="5 mm apart already"):
        grid_for(scan, spacing_mm=5.0)
    with pytest.raises(NothingToDo, match="the nearest factor for the in-plane spacing is 1"):
        grid_for(scan_from_image(thick(1.4), "fine"))
    with pytest.raises(InputError, match="a factor of 500, allowed is up to 32"):
        grid_for(scan, spacing_mm=0.01)
    with pytest.raises(InputError, match="found more than one of factor, spacing and isotropic"):
        grid_for(scan, 2, isotropic=True)
    assert [parse_factor(text) for text in ("2", "4.0", 32)] == [2, 4, 32]


@pytest.fixture(scope="module")
def methods(tmp_path_factory):
    """One of every kind that makes slices at any position."""
    folder = tmp_path_factory.mktemp("models")
    made = {
        name: build_method(read_settings(name))
        for name in ("nearest", "linear", "bspline", "lanczos", "registration")
    }
    for name in ("cae", "cae_residual", "vae", "cae_multi"):
        made[name] = load_model(random_model(folder / f"{name}.pt", name)).method
    return made


@pytest.mark.parametrize(
    "name",
    ["nearest", "linear", "bspline", "lanczos", "registration", "cae", "cae_residual", "vae", "cae_multi"],
)
def test_positions_of_a_whole_factor_are_that_factor(methods, name):
    volume = ellipsoids((6, 24, 20))
    method = methods[name]
    np.testing.assert_allclose(
        method.interpolate_at(volume, np.arange(16) / 3), method.interpolate(volume, 3), atol=1e-5
    )
    some = np.array([0.25, 1.0, 1.5, 1.75, 4.9])
    alone = [method.interpolate_at(volume, np.array([place]))[0] for place in some]
    np.testing.assert_allclose(method.interpolate_at(volume, some), alone, atol=1e-5)


@pytest.mark.parametrize("name", ["linear", "bspline", "registration", "cae_residual"])
def test_any_position_of_a_ramp_is_its_value_there(methods, name):
    """Away from the ends, where the spline is mirrored."""
    places = np.arange(25, 70) / 9.7
    expected = ndimage.map_coordinates(
        ramp(10), np.meshgrid(places, *map(np.arange, ramp(10).shape[1:]), indexing="ij"), order=1
    )
    np.testing.assert_allclose(methods[name].interpolate_at(ramp(10), places), expected, atol=2e-3)


class WholeAlone(Method):
    def _interpolate(self, volume, factor):
        return np.repeat(volume, factor, axis=0)[: (len(volume) - 1) * factor + 1]


def test_a_method_of_whole_factors_says_so_and_names_the_nearest():
    scan = scan_from_image(thick(5.0), "scan")
    method = WholeAlone({"method": "whole"})
    assert upsample_scan(scan, grid_for(scan, 4), method).stored.shape[2] == 33
    with pytest.raises(
        InputError, match=r"makes whole factors alone, and 6\.25 is none; --factor 6 is the nearest"
    ):
        upsample_scan(scan, grid_for(scan, spacing_mm=0.8), method)


class Blurred(Method):
    """A trained method that averages, with an error that is linear in the intensity."""

    trained = True

    def _interpolate_at(self, volume, positions):
        return 0.25 + 0.5 * build_method(read_settings("linear")).interpolate_at(volume, positions)


def test_a_trained_method_is_corrected_at_slices_that_the_grid_does_not_meet():
    """As on whole factors: its error at every original slice is taken off between them."""
    frame = 300 * ellipsoids((6, 30, 30)).astype(np.float64) - 40
    grid = Grid(6, 2.3)
    result = interpolate_frame(Blurred({}), frame, grid, keep_original=True)
    below = np.minimum(grid.positions.astype(int), 4)
    part = (grid.positions - below)[:, None, None]
    np.testing.assert_allclose(
        result, (1 - part) * frame[below] + part * frame[below + 1], rtol=1e-5, atol=1e-3
    )
