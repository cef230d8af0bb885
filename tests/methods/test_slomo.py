"""Interpolation along optical flow: what the right flow gives, and that a training finds one."""

import functools

import numpy as np
import pytest
import torch

from interslice.methods import build_method
from interslice.methods.slomo import warped
from interslice.training.loop import take_step
from interslice.training.optimisers import build_optimisers
from phantoms import ellipsoids
from settings import small_settings

SPEEDS = [(-2, 0), (2, 0), (0, 2), (0, -2), (1, 1), (-1, -1)]


def disc(places, speed, side=32, row=15.5, column=15.5):
    """A disc with a soft edge that moves by `speed` pixels (columns, rows) from slice to slice."""
    rows, columns = np.mgrid[:side, :side]
    away = [np.hypot(rows - row - speed[1] * at, columns - column - speed[0] * at) for at in places]
    return np.array([0.1 + 0.8 / (1 + np.exp(2 * (one - 6))) for one in away], dtype=np.float32)


def build():
    torch.manual_seed(0)
    method = build_method(small_settings("slomo"))
    method.network.eval()
    return method


def test_untrained_it_is_linear_interpolation_and_input_slices_are_kept():
    low = ellipsoids((5, 21, 26))
    result = build().interpolate(low, 3)
    np.testing.assert_array_equal(result[::3], low)
    np.testing.assert_allclose(result[1::3], (2 * low[:-1] + low[1:]) / 3, atol=1e-6)


def test_along_the_right_flow_a_moving_disc_is_where_it_was_in_the_order_of_the_places():
    speed = (3.0, 1.0)
    method = build()
    flow = torch.tensor(speed).view(1, 2, 1, 1).expand(1, 2, 32, 32)
    method.flows = lambda before, after: (
        flow.expand(len(before), -1, -1, -1),
        -flow.expand(len(before), -1, -1, -1),
    )
    made, expected = method.interpolate(disc(range(2), speed), 4), disc(np.arange(5) / 4, speed)
    plain = build().interpolate(disc(range(2), speed), 4)
    assert np.abs(made - expected).max() < 0.05 < 0.2 < np.abs(plain - expected).max()


def test_a_flow_is_in_pixels_along_columns_and_rows():
    image = torch.rand(1, 1, 9, 12)
    flow = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 9, 12)
    torch.testing.assert_close(warped(image, flow)[..., :-1, :-2], image[..., 1:, 2:])


@functools.cache
def trained():
    torch.manual_seed(0)
    settings = small_settings("slomo", learning_rate=0.004)
    method, rng = build_method(settings), np.random.default_rng(0)
    optimisers = build_optimisers(method, settings["training"])
    for step in range(80):
        windows = [
            disc([-0.5, 0, 0.5], speed, 32, *rng.uniform(10, 22, 2)) for speed in rng.permutation(SPEEDS)
        ]
        batch = np.stack(windows), np.full((len(SPEEDS), 1, 1, 1), 0.5, np.float32)
        take_step(method, optimisers, batch, settings["training"], step)
    method.network.eval()
    return method


@pytest.mark.parametrize("speed", SPEEDS[::2])
def test_a_training_follows_a_moving_disc(speed):
    low, expected = (
        disc([-0.5, 0.5], speed, row=14, column=17),
        disc([-0.25, 0, 0.25], speed, row=14, column=17),
    )
    errors = [np.square(one.interpolate(low, 4)[1:4] - expected).mean() for one in (trained(), build())]
    assert errors[0] < 0.5 * errors[1]
