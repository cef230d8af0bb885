"""Where the slices of a result lie, told from the images: shifted, turned, noisy and blurred ones."""

import numpy as np
import pytest
from scipy import ndimage

from interslice.common.errors import InputError
from interslice.data.alignment import check_aligned, slice_offset
from interslice.data.volumes import output_size
from interslice.methods import build_method
from phantoms import ellipsoids
from settings import small_settings


def sharp_and_low(factor, slices=10):
    sharp = ellipsoids((output_size(slices, factor) + 2 * factor, 40, 36))
    return sharp, sharp[factor:-factor][::factor]


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("output_slices", [0.5, 1.0, -0.5])
def test_an_offset_is_measured(factor, output_slices):
    sharp, low = sharp_and_low(factor)
    moved = ndimage.shift(sharp, (output_slices, 0, 0), order=3, mode="nearest")[factor:-factor]
    assert slice_offset(moved, low, factor) == pytest.approx(output_slices, abs=0.1)
    with pytest.raises(InputError, match="slices lie .* too " + ("late" if output_slices > 0 else "early")):
        check_aligned(moved, low, factor, "result")


@pytest.mark.parametrize("factor", [2, 4])
def test_half_an_input_slice_is_named(factor):
    sharp, low = sharp_and_low(factor)
    moved = ndimage.shift(sharp, (factor / 2, 0, 0), order=3, mode="nearest")[factor:-factor]
    with pytest.raises(
        InputError, match=r"lie \d.\d\d output slices \(0.(4[5-9]|5[0-5]) of an input slice\) too late"
    ):
        check_aligned(moved, low, factor, "result")


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", ["nearest", "linear", "bspline", "lanczos"])
def test_methods_on_the_grid_pass_with_noise_and_blur_as_well(name, factor):
    _, low = sharp_and_low(factor)
    result = build_method(small_settings(name)).interpolate(low, factor)
    noise = np.random.default_rng(0).normal(0, 0.2, result.shape)
    for fine in (result, result + noise, ndimage.gaussian_filter(result, (factor, 1, 1)), 0.5 * result + 0.3):
        check_aligned(fine, low, factor, "result")
    check_aligned(
        np.random.default_rng(0).random(result.shape), low, factor, "nothing like it is no matter of the grid"
    )


@pytest.mark.parametrize(("axis", "name"), [(0, "slices"), (1, "rows"), (2, "columns")])
def test_a_turned_axis_is_named(axis, name):
    sharp, low = sharp_and_low(2)
    with pytest.raises(InputError, match=f"its {name} run the other way"):
        check_aligned(np.flip(sharp[2:-2], axis), low, 2, "result")


def test_other_shapes_and_values_are_refused():
    sharp, low = sharp_and_low(2)
    with pytest.raises(InputError, match="keeps the field of view"):
        check_aligned(sharp[:20], low, 2, "result")
    sharp[5, 5, 5] = np.nan
    with pytest.raises(InputError, match="found 1 voxels that are not finite"):
        check_aligned(sharp[2:-2], low, 2, "result")
