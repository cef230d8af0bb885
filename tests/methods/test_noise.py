"""The noise of a volume, and what undoing an average over slices does to it."""

import numpy as np
import pytest

from interslice.data.spline import bspline_weights
from interslice.data.volumes import output_size, profile_blur
from interslice.methods.parts.noise import spared
from phantoms import ellipsoids

FACTOR = 4


def averaging(slices: int, profile: str) -> np.ndarray:
    weights = bspline_weights(slices, np.arange(output_size(slices, FACTOR)) / FACTOR)
    return profile_blur(weights, FACTOR, profile, axis=0)[::FACTOR]


def undone(volume: np.ndarray, averaged: np.ndarray) -> np.ndarray:
    return np.linalg.solve(averaged, volume.reshape(len(volume), -1)).reshape(volume.shape)


@pytest.fixture(scope="module")
def slices() -> np.ndarray:
    return profile_blur(ellipsoids((65, 72, 80)), FACTOR, "gaussian", axis=0)[::FACTOR]


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_of_pure_noise_nothing_is_raised(sigma):
    noise = sigma * np.random.default_rng(0).standard_normal((17, 72, 80)).astype(np.float32)
    averaged = averaging(17, "gaussian")
    assert undone(noise, averaged).std() > 1.5 * sigma
    assert undone(spared(noise, averaged), averaged).std() == pytest.approx(sigma, rel=0.1)


def test_slices_without_noise_are_undone_nearly_whole(slices):
    averaged = averaging(len(slices), "gaussian")
    left = spared(slices, averaged)
    change = undone(slices, averaged) - slices
    assert np.sqrt(np.mean((undone(left, averaged) - slices - change) ** 2)) < 0.1 * change.std()
    assert np.abs(left - slices).max() < 0.005


@pytest.mark.parametrize(("sigma", "gain"), [(0.01, 0.9), (0.03, 0.97), (0.1, 1.02)])
def test_noisy_slices_come_closer_to_the_sharp_ones_than_without(slices, sigma, gain):
    """And than those that are left as they are, but where noise hides what could be undone: there they are as far."""
    sharp = ellipsoids((65, 72, 80))[::FACTOR]
    noisy = slices + sigma * np.random.default_rng(1).standard_normal(slices.shape).astype(np.float32)
    averaged = averaging(len(slices), "gaussian")
    error = {
        name: np.mean((volume - sharp) ** 2)
        for name, volume in (
            ("left", noisy),
            ("undone", undone(noisy, averaged)),
            ("spared", undone(spared(noisy, averaged), averaged)),
        )
    }
    assert error["spared"] < min(gain * error["left"], error["undone"])


def test_an_averaging_that_averages_nothing_takes_nothing(slices):
    noisy = slices + 0.05 * np.random.default_rng(2).standard_normal(slices.shape).astype(np.float32)
    np.testing.assert_allclose(spared(noisy, np.eye(len(noisy))), noisy, atol=1e-5)


def test_slices_too_small_to_tell_noise_come_back_as_they_were():
    noisy = np.random.default_rng(3).random((11, 8, 10)).astype(np.float32)
    np.testing.assert_allclose(spared(noisy, averaging(11, "gaussian")), noisy, atol=1e-6)
