"""A network that is the scan: what it must give back of a smooth object, and what it does not depend on."""

import numpy as np
import pytest

from interslice.common.errors import InputError
from interslice.common.schemas import read_yaml
from interslice.methods import build_method
from interslice.methods.method_files import SCHEMA, check_method
from settings import ROOT, small_settings


def build(**training):
    settings = small_settings("implicit")
    network = {"levels": 3, "features": 2, "layers": 2, "width": 32}
    return build_method(settings | {"network": network, "training": settings["training"] | training})


def smooth(places):
    z, row, column = np.meshgrid(places, np.arange(24), np.arange(20), indexing="ij")
    return (0.5 + 0.2 * np.sin(z + row / 4) + 0.2 * np.cos(column / 4 - z / 2)).astype(np.float32)


def test_a_smooth_object_comes_back_far_better_than_from_the_nearest_slice():
    low, expected = smooth(np.arange(12)), smooth(np.arange(45) / 4)
    made = build(steps=400).interpolate(low, 4)
    np.testing.assert_array_equal(made[::4], low)
    nearest = build_method(small_settings("nearest")).interpolate(low, 4)
    errors = [np.square(one - expected)[4:-4].mean() for one in (made, nearest)]
    assert errors[0] < 0.1 * errors[1]


def test_gaps_and_places_are_those_of_the_whole_and_a_seed_repeats_it():
    low = smooth(np.arange(5))
    whole, some = build(steps=5).interpolate(low, 4), build(steps=5).interpolate(low, 4, [1])
    np.testing.assert_array_equal(some[4:8], whole[4:8])
    assert np.isnan(some[8:]).all()
    np.testing.assert_array_equal(build(steps=5).interpolate_at(low, np.array([1.5, 2.0])), whole[[6, 8]])


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("network", "levels", 0), ("network", "width", 1.5), ("training", "steps", 0)],
)
def test_settings_that_mean_nothing_are_refused(part, key, value):
    settings = small_settings("implicit")
    with pytest.raises(InputError, match=key):
        check_method(settings | {part: settings[part] | {key: value}}, read_yaml(ROOT / SCHEMA), "mine")
