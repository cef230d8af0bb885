"""The lines task: what is drawn, and the known answers of its two metrics."""

import numpy as np
import pytest

from interslice.data.sources import Found
from interslice.data.sources.lines import convert, draw_lines, find, pair_angles
from interslice.scoring.lines import nearest_lines, smoothness
from interslice.steps.lines import score_lines


def test_lines_begin_at_the_centre_and_are_fifteen_pixels_long():
    image = draw_lines(np.array(0.0))
    assert image.shape == (32, 32)
    assert image.dtype == np.float32
    assert image.max() == 1
    assert image[15:17, 16:31].min() == 1  # to the right of the centre, which lies between pixels 15 and 16
    assert image[:, :14].max() == 0
    assert image[:14].max() == image[18:].max() == 0
    for turns in (1, 2, 3):
        np.testing.assert_allclose(draw_lines(np.array(turns * np.pi / 2)), np.rot90(image, turns), atol=1e-5)


def test_pairs_turn_evenly_the_shorter_way_round():
    angles = pair_angles(50, np.random.default_rng(0))
    steps = np.diff(angles, axis=1)
    np.testing.assert_allclose(steps, steps[:, :1].repeat(15, axis=1))
    assert {-1, 1} == set(np.sign(steps[:, 0]))
    assert np.abs(angles[:, -1] - angles[:, 0]).max() < np.pi


def test_each_split_is_drawn_from_its_own_stream():
    cases = find(None, {"splits": {"train": 6, "validation": 2, "test": 2}})
    volumes = [np.asarray(convert(case).dataobj) for case in cases]
    assert [volume.shape for volume in volumes] == [(32, 32, 6, 1), (32, 32, 16, 2), (32, 32, 16, 2)]
    assert not np.array_equal(volumes[1], volumes[2])
    np.testing.assert_array_equal(volumes[2], np.asarray(convert(cases[2]).dataobj))
    assert cases[0] == Found("train", (), split="train", members=(0, 1, 2, 3, 4, 5))


def test_reference_lines_have_distance_zero_and_their_own_angle():
    angles = np.deg2rad([0.0, 17.3, 180.0, 271.9])
    distances, found = nearest_lines(0.4 * draw_lines(angles))  # a cosine does not see the scale
    np.testing.assert_allclose(distances, 0, atol=1e-6)
    np.testing.assert_allclose(found, angles, atol=1e-6)


def test_an_image_that_is_no_line_has_the_distance_of_a_hand_calculation():
    """A pixel in the corner, where no line reaches, adds to the norm and not to the product."""
    image = draw_lines(np.array(0.0))
    squared = (image.astype(float) ** 2).sum()
    image[0, 0] = 2.0
    distances, angles = nearest_lines(image)
    assert distances == pytest.approx(1 - np.sqrt(squared / (squared + 4)))
    assert angles == 0
    assert np.isnan(nearest_lines(np.zeros((1, 32, 32)))).all()


def test_smoothness_of_an_even_turn_a_jump_and_no_turn():
    even = np.linspace(6.0, 7.0, 16) % (2 * np.pi)  # across the seam at 2 pi
    jump = np.repeat([0.1, 1.1], 8)
    assert smoothness(even) == pytest.approx(0, abs=1e-9)
    assert smoothness(jump) == pytest.approx(1 - 1 / 15)
    assert np.isnan(smoothness(np.full(16, 0.3)))
    there_and_back = np.array([0.0, 1.0, 0.5])
    assert smoothness(there_and_back) == pytest.approx(1 / 0.5 - 1 / 2)


def test_a_perfect_rotation_and_a_cross_fade_in_the_long_table():
    angles = np.deg2rad(np.linspace(20, 110, 16))
    ends = draw_lines(angles[[0, -1]])
    share = np.linspace(0, 1, 16)[:, None, None]
    fade = (1 - share) * ends[0] + share * ends[1]
    rows = score_lines(np.stack([draw_lines(angles), fade]))
    means = rows.groupby(["subject", "metric"])["value"].mean()
    assert means["pair-000", "mean_distance"] == pytest.approx(0, abs=1e-5)
    assert means["pair-000", "smoothness"] == pytest.approx(
        0, abs=0.005
    )  # reference lines are 0.1 degrees apart
    assert means["pair-001", "mean_distance"] > 0.05
    assert means["pair-001", "smoothness"] > 0.5
    assert (rows[rows["metric"] == "mean_distance"].groupby("subject").size() == 16).all()
    assert set(rows["K"]) == {15}
    assert set(rows.loc[rows["kind"] == "kept", "slice"]) == {0, 15}
