"""Through-plane transfer against closed forms, on steps at every place between two kept slices."""

import math

import numpy as np
import pytest
from scipy import ndimage, optimize

from interslice.methods import load_method
from interslice.scoring.sharpness import half_transfer, through_plane_transfer
from settings import small_settings

K = 4


def steps(slices: int = 161, factor: int = K, places: int = 4 * K) -> np.ndarray:
    """Columns (slices, places, 1) that are dark before a slice and bright from it on, at successive places."""
    first = np.arange(slices // 3, slices // 3 + places)
    return (np.arange(slices)[:, np.newaxis] >= first)[..., np.newaxis].astype(np.float32)


def interpolated(method: str, volume: np.ndarray, factor: int = K) -> np.ndarray:
    low = np.ascontiguousarray(volume[::factor])
    return load_method(small_settings(method), None).interpolate(low, factor)


@pytest.mark.parametrize("factor", [2, 3, 4, 6])
def test_linear_interpolation_has_the_transfer_of_its_triangle(factor: int) -> None:
    """Its kernel is two boxes of K slices convolved: (sin(pi f K) / (K sin(pi f)))^2."""
    volume = steps(slices=40 * factor + 1, factor=factor, places=4 * factor)
    frequencies, found = through_plane_transfer(interpolated("linear", volume, factor), volume)
    expected = (np.sin(np.pi * frequencies * factor) / (factor * np.sin(np.pi * frequencies))) ** 2
    np.testing.assert_allclose(found, expected, atol=0.002)
    half = optimize.brentq(
        lambda f: (math.sin(math.pi * f * factor) / (factor * math.sin(math.pi * f))) ** 2 - 0.5,
        0.01,
        0.9 / factor,
    )
    assert half_transfer(interpolated("linear", volume, factor), volume) == pytest.approx(half, rel=0.01)


@pytest.mark.parametrize("factor", [3, 4])
def test_a_cardinal_spline_is_half_at_the_highest_frequency_of_the_input(factor: int) -> None:
    """1 / (2 K), where a kernel that passes the kept slices through and its alias share the contrast: above linear."""
    volume = steps(slices=40 * factor + 1, factor=factor, places=4 * factor)
    spline = half_transfer(interpolated("bspline", volume, factor), volume)
    assert spline == pytest.approx(1 / (2 * factor), rel=0.01)
    assert half_transfer(interpolated("linear", volume, factor), volume) < 0.95 * spline


def test_linear_is_behind_the_spline_at_every_frequency_of_the_input() -> None:
    """On steps at every place; on one step alone the aliases of its own spectrum add to either."""
    volume = steps()
    frequencies, linear = through_plane_transfer(interpolated("linear", volume), volume)
    _, spline = through_plane_transfer(interpolated("bspline", volume), volume)
    below = (frequencies > 0.02) & (frequencies < 1 / (2 * K))
    assert below.sum() > 10
    assert (linear[below] < spline[below]).all()
    at = np.argmin(np.abs(frequencies - 0.06))
    assert spline[at] - linear[at] > 0.1


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_a_gaussian_blur_has_its_own_transfer(sigma: float) -> None:
    """exp(-2 (pi f sigma)^2) is 1/2 at sqrt(ln 2 / 2) / (pi sigma); the more blur, the less is left."""
    rng = np.random.default_rng(0)
    volume = rng.random((400, 20, 20))
    blurred = ndimage.gaussian_filter1d(volume, sigma, axis=0, mode="nearest", truncate=6)
    expected = math.sqrt(math.log(2) / 2) / (math.pi * sigma)
    assert half_transfer(blurred, volume) == pytest.approx(expected, rel=0.03)


def test_the_reference_is_as_sharp_as_slices_can_be_and_noise_adds_nothing() -> None:
    volume = steps()
    frequencies, transfer = through_plane_transfer(volume, volume)
    assert frequencies[-1] == 0.5
    np.testing.assert_allclose(transfer, 1)
    assert half_transfer(volume, volume) == 0.5
    linear = interpolated("linear", np.repeat(volume, 100, axis=2))
    noisy = linear + np.random.default_rng(0).normal(0, 0.02, linear.shape)
    expected = half_transfer(linear, np.repeat(volume, 100, axis=2))
    assert half_transfer(noisy, np.repeat(volume, 100, axis=2)) == pytest.approx(expected, rel=0.02)


def test_only_what_is_in_the_mask_counts_and_no_detail_is_nan() -> None:
    sharp, blurred = steps(), interpolated("linear", steps())
    pair = np.concatenate([blurred, sharp], axis=2), np.concatenate([sharp, sharp], axis=2)
    mask = np.zeros(pair[1].shape, bool)
    mask[..., 0] = True
    assert half_transfer(*pair, mask) == pytest.approx(half_transfer(blurred, sharp))
    assert half_transfer(*pair, ~mask) == 0.5
    assert math.isnan(half_transfer(*pair, mask & False))
    assert math.isnan(half_transfer(blurred, np.full_like(sharp, 0.5)))
    assert half_transfer(np.full_like(sharp, 0.5), sharp) == pytest.approx(0, abs=0.005)
