"""The peers that need no training data: registration, total variation, and what learns from the scan itself."""

import numpy as np
import pytest
import torch
from scipy import ndimage, optimize
from scipy.interpolate import CubicSpline
from sklearn.linear_model import orthogonal_mp

from interslice.common.errors import InputError
from interslice.data.volumes import FWHM_PER_SIGMA, Volume, decimate
from interslice.methods import build_method
from interslice.methods.coupled_dictionary import matching_pursuit
from interslice.methods.parts.self_supervised import degrade, fourier_burst, turn
from interslice.methods.self_sr import EDSR
from phantoms import ellipsoids, shells
from settings import parameter_count, small_settings


def interpolate(name, volume, factor, **changes):
    return build_method(small_settings(name) | changes).interpolate(volume, factor)


def disc(row, column, shape=(48, 40), radius=8.0):
    rows, columns = np.indices(shape)
    distance = np.hypot(rows - row, columns - column)
    return (0.1 + 0.8 / (1 + np.exp(2 * (distance - radius)))).astype(np.float32)


@pytest.mark.parametrize("factor", [2, 4])
def test_registration_moves_a_disc_by_its_share_of_the_way(factor):
    """A disc that moves by (4, -3) pixels from slice to slice is at j / K of the way in slice j; blending shows it twice."""
    low = np.stack([disc(20, 22), disc(24, 19), disc(28, 16)])
    moved, blended = interpolate("registration", low, factor), interpolate("linear", low, factor)
    for index in range(1, 2 * factor):
        expected = disc(20 + 4 * index / factor, 22 - 3 * index / factor)
        if index % factor:
            errors = [np.sqrt(((result[index] - expected) ** 2).mean()) for result in (moved, blended)]
            assert errors[0] < 0.25 * errors[1]
    np.testing.assert_array_equal(moved[::factor], low)


def test_registration_follows_a_structure_that_left_its_own_place():
    """A disc of radius 4 that moves by 9 pixels: without a coarser level nothing overlaps, and it does not come half-way."""
    low, expected = np.stack([disc(24, 18, radius=4), disc(24, 27, radius=4)]), disc(24, 22.5, radius=4)
    errors = {}
    for levels in (1, 3):
        method = build_method(small_settings("registration") | {"iterations": [30] * levels})
        errors[levels] = np.sqrt(((method.interpolate(low, 2)[1] - expected) ** 2).mean())
    assert errors[3] < 0.5 * errors[1]


def test_registration_takes_images_too_small_for_its_coarse_levels():
    low = ellipsoids((3, 9, 8))
    assert np.isfinite(
        build_method(small_settings("registration") | {"iterations": [30, 30, 30, 8]}).interpolate(low, 2)
    ).all()


def test_registration_does_not_depend_on_the_direction_of_counting():
    low = ellipsoids((4, 33, 30))
    there, back = interpolate("registration", low, 3), interpolate("registration", low[::-1], 3)[::-1]
    np.testing.assert_allclose(there, back, atol=2e-6)
    np.testing.assert_array_equal(there, interpolate("registration", low, 3))


def total_variation(volume):
    """Isotropic, forward differences, zero at the far faces: written apart from scikit-image."""
    squares = torch.zeros_like(volume)
    for axis in range(3):
        place = tuple(slice(0, -1) if other == axis else slice(None) for other in range(3))
        squares[place] += volume.diff(dim=axis) ** 2
    return (squares + 1e-12).sqrt().sum()


@pytest.mark.parametrize("profile", ["none", "gaussian"])
def test_total_variation_reaches_the_minimum_that_a_general_solver_finds(profile):
    """The objective of Lustig et al., minimised by scipy's L-BFGS (with a slightly rounded square root) on a tiny volume."""
    factor, weight = 2, 0.02
    low = ellipsoids((3, 4, 5)).astype(np.float64)
    blurred = np.eye(5)
    if profile == "gaussian":
        blurred = ndimage.gaussian_filter1d(blurred, factor / FWHM_PER_SIGMA, axis=0, mode="reflect")

    def objective(flat):
        """And its gradient."""
        volume = torch.tensor(flat.reshape(5, 4, 5), requires_grad=True)
        misfit = torch.einsum("os,src->orc", torch.tensor(blurred), volume)[::factor] - torch.tensor(low)
        value = 0.5 * (misfit**2).sum() + weight * total_variation(volume)
        return value.item(), torch.autograd.grad(value, volume)[0].numpy().ravel()

    start = interpolate("bspline", low.astype(np.float32), factor).astype(float)
    options = {"maxfun": 200_000, "maxiter": 20_000, "ftol": 1e-8}
    best = optimize.minimize(objective, start.ravel(), method="L-BFGS-B", jac=True, options=options).fun
    budget = {"weight": weight, "iterations": 100, "inner_iterations": 40, "slice_profile": profile}
    settings = small_settings("total_variation") | budget
    found = build_method(settings).solve(low.astype(np.float32), factor)
    assert objective(start)[0] > 1.05 * best
    assert objective(found.astype(float))[0] < 1.01 * best


def test_total_variation_inverts_a_slice_profile_that_interpolation_leaves():
    sharp = ellipsoids((25, 24, 22))
    low = decimate(Volume(sharp[np.newaxis], np.eye(4), 2), 2, "gaussian").data[0]
    inverted = interpolate("total_variation", low, 2, slice_profile="gaussian", iterations=30)
    errors = [
        np.sqrt(((result - sharp) ** 2).mean()) for result in (inverted, interpolate("bspline", low, 2))
    ]
    assert errors[0] < 0.8 * errors[1]


def test_without_a_slice_profile_input_slices_come_back():
    low = ellipsoids((6, 20, 22))
    np.testing.assert_array_equal(interpolate("total_variation", low, 3)[::3], low)


def test_fourier_burst_with_p_0_is_the_mean_and_large_p_takes_the_largest_coefficient():
    """Delbracio and Sapiro 2015: p = 0 averages, p to infinity keeps the estimate with the largest Fourier magnitude."""
    volumes = [ellipsoids((5, 12, 14), seed) for seed in range(3)]
    np.testing.assert_allclose(fourier_burst(volumes, 0), np.mean(volumes, axis=0), atol=1e-6)
    spectra = np.stack([np.fft.fftn(volume) for volume in volumes])
    largest = np.take_along_axis(spectra, np.abs(spectra).argmax(axis=0)[np.newaxis], axis=0)[0]
    np.testing.assert_allclose(fourier_burst(volumes, 500), np.fft.ifftn(largest).real, atol=5e-3)
    weights = np.abs(spectra) ** 2 / (np.abs(spectra) ** 2).sum(axis=0)
    np.testing.assert_allclose(
        fourier_burst(volumes, 2), np.fft.ifftn((weights * spectra).sum(axis=0)).real, atol=1e-5
    )


def test_fourier_burst_undoes_blur_that_each_volume_has_along_another_axis():
    sharp = ellipsoids((12, 40, 40))
    blurred = [ndimage.gaussian_filter1d(sharp, 1.5, axis=axis, mode="wrap") for axis in (1, 2)]
    errors = [np.abs(fourier_burst(blurred, p) - sharp).mean() for p in (0, 8)]
    assert errors[1] < 0.85 * errors[0]


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 135])
def test_turning_back_brings_every_pixel_to_its_place(degrees):
    smooth = ndimage.gaussian_filter(ellipsoids((2, 41, 30)), (0, 2, 2))
    turned = turn(smooth, degrees)
    back = turn(turned, -degrees, smooth.shape[1:])
    np.testing.assert_allclose(back[:, 3:-3, 3:-3], smooth[:, 3:-3, 3:-3], atol=0.01)
    expected = ndimage.rotate(smooth[0], degrees, order=3, mode="nearest")  # scipy turns the same way
    assert turned.shape[1:] == pytest.approx(expected.shape, abs=1)
    if turned.shape[1:] == expected.shape:
        np.testing.assert_allclose(turned[0], expected, atol=1e-3)


def test_degraded_slices_keep_every_kth_row_and_interpolate_the_others():
    slices = ellipsoids((3, 24, 20))
    degraded, sharp = degrade(slices, 4, "none")
    np.testing.assert_array_equal(sharp, slices[:, :21])
    np.testing.assert_array_equal(degraded[:, ::4], slices[:, :21:4])
    spline = CubicSpline(np.arange(6), slices[:, :21:4].astype(float), axis=1)(np.arange(21) / 4)
    np.testing.assert_allclose(
        degraded[:, 9:12], spline[:, 9:12], atol=0.02
    )  # other ends, so not the same curve
    blurred, _ = degrade(slices, 4, "gaussian")
    profile = ndimage.gaussian_filter1d(slices[:, :21], 4 / FWHM_PER_SIGMA, axis=1, mode="nearest")
    np.testing.assert_allclose(blurred[:, ::4], profile[:, ::4], atol=1e-6)
    with pytest.raises(InputError, match="found slices 4 pixels wide, K = 4 needs 5"):
        degrade(slices[:, :4], 4, "none")


STRIPES = {
    "fourier_burst": {"samples": 8000, "anchors": 16},
    "coupled_dictionary": {"samples": 4000, "atoms": 64},
    "self_sr": {"training": {"steps": 300, "batch": 4, "crop": 24, "learning_rate": 0.01}},
}


@pytest.mark.parametrize("name", STRIPES)
def test_what_is_learned_in_plane_sharpens_the_slice_axis(name):
    """A texture that is alike along all axes, and too fine for the spline: the scan's own slices show what it looks like."""
    sharp = shells(49)
    low = sharp[::2]
    result = build_method(small_settings(name) | STRIPES[name]).interpolate(low, 2)
    errors = [np.sqrt(((one - sharp) ** 2).mean()) for one in (result, interpolate("bspline", low, 2))]
    assert errors[0] < 0.8 * errors[1]
    np.testing.assert_array_equal(result[::2], low)


@pytest.mark.parametrize("name", STRIPES)
def test_what_is_learned_depends_on_the_seed_alone(name):
    low, settings = shells(25)[::2], small_settings(name)
    result, again = (build_method(settings).interpolate(low, 2) for _ in range(2))
    np.testing.assert_array_equal(result, again)
    other = build_method(settings | {"seed": settings["seed"] + 1}).interpolate(low, 2)
    assert (other != result).any()


@pytest.mark.parametrize("nonzeros", [1, 3, 5])
def test_matching_pursuit_is_scikit_learns(nonzeros):
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((40, 12)).astype(np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    signals = rng.standard_normal((200, 12)).astype(np.float32)
    chosen, values = matching_pursuit(signals, atoms, nonzeros)
    codes = np.zeros((200, 40))
    np.put_along_axis(codes, chosen, values, axis=1)
    expected = orthogonal_mp(atoms.T.astype(float), signals.T.astype(float), n_nonzero_coefs=nonzeros).T
    np.testing.assert_allclose(codes, expected, atol=1e-3)


def test_matching_pursuit_survives_equal_atoms_and_signals_that_are_fitted_already():
    atoms = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    chosen, values = matching_pursuit(np.array([[2, 0], [0, 0]], np.float32), atoms, 3)
    np.testing.assert_allclose(np.einsum("na,nak->nk", values, atoms[chosen]), [[2, 0], [0, 0]], atol=1e-5)


@pytest.mark.parametrize("name", ["self_sr", "fourier_burst", "coupled_dictionary"])
def test_directions_are_merged_by_the_mean_or_by_fourier_burst_accumulation(name):
    """`p` of the settings decides; both merge the same restored directions."""
    low = shells(25)[::2]
    method = build_method(small_settings(name) | {"slice_profile": "gaussian"})
    directions = method.directions(low, 2)
    assert (directions[0] != directions[1]).any()
    for p, merged in ((0, np.mean(directions, axis=0)), (4, fourier_burst(directions, 4))):
        result = build_method(method.settings | {"p": p}).interpolate(low, 2)
        np.testing.assert_allclose(result, merged, atol=1e-5)


def test_the_full_network_is_edsr_without_its_upsampling():
    """EDSR baseline x2 has 1,369,859 parameters with three colours; less its upsampler, and with one channel, 1,219,841."""
    upsampler, colours = 64 * 256 * 9 + 256, 2 * (64 * 9) + 2 * (64 * 9) + 2
    assert parameter_count(EDSR(16, 64, 0.1)) == 1_369_859 - upsampler - colours == 1_219_841
