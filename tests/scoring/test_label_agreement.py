"""The Dice of an expert's labels: a worse image loses, and what the labels of scored slices say is used to score alone."""

import math

import numpy as np
import pytest
import scipy

from interslice.scoring.label_agreement import label_dice, spread


@pytest.fixture(scope="module")
def heart():
    """Slices of a heart that wanders and tapers, and its labels: right ventricle, myocardium, left ventricle."""
    slices, side = 9, 72
    volume, labels = np.zeros((slices, side, side), np.float32), np.zeros((slices, side, side), np.uint8)
    rows, columns = np.mgrid[:side, :side]
    rng = np.random.default_rng(0)
    for index in range(slices):
        radius, row, column = 13 - 0.7 * index, 36 + 2 * np.sin(index), 38 + 2 * np.cos(1.7 * index)
        left = np.hypot(rows - row, columns - column)
        right = np.hypot(rows - row, (columns - column + 1.3 * radius) / 1.2)
        image = 0.25 + 0.1 * np.sin(rows / 9) * np.cos(columns / 7)
        for label, value, inside in (
            (1, 0.8, (right < 1.1 * radius) & (left > radius + 4)),
            (2, 0.35, (left >= radius) & (left < radius + 4)),
            (3, 0.85, left < radius),
        ):
            image[inside], labels[index][inside] = value, label
        volume[index] = scipy.ndimage.gaussian_filter(image, 0.7) + 0.03 * rng.standard_normal(image.shape)
    return np.clip(volume, 0, 1), labels


def test_a_worse_image_loses(heart):
    volume, labels = heart
    nearest = np.repeat(volume[::2], 2, axis=0)[: len(volume)]
    linear = volume.copy()
    linear[1::2] = (volume[:-1:2] + volume[2::2]) / 2
    blurred = scipy.ndimage.gaussian_filter(volume, (0, 2, 2))
    images = [volume, (volume + linear) / 2, linear, nearest]
    scores = [label_dice(image, labels, 2) for image in images]
    assert (np.diff(scores) < -0.01).all(), scores
    assert scores[0] > 0.8
    assert label_dice(blurred, labels, 2) < scores[0] - 0.03


def test_the_copy_of_a_neighbour_has_that_slices_labels(heart):
    """Without noise, walks in a slice that is cut out of its own labels find them."""
    _, labels = heart
    image, other = labels[2] / 3, labels[4]
    found = spread(image, labels[2], labels[2] == other)
    assert np.mean(found == labels[2]) > 0.99
    assert np.mean(other == labels[2]) < 0.97


def test_only_what_is_known_of_every_method_counts(heart):
    volume, labels = heart
    renamed = np.array([0, 200, 7, 31], np.uint8)[labels]
    assert label_dice(volume, renamed, 2) == pytest.approx(label_dice(volume, labels, 2), abs=1e-9)
    lone = labels.copy()
    lone[1, :3, :3] = 9  # in no kept slice
    assert label_dice(volume, lone, 2) == pytest.approx(label_dice(volume, labels, 2), abs=1e-9)
    same = np.broadcast_to(labels[:1], labels.shape)
    assert label_dice(volume[::-1], same, 4) == 1, "where neighbours agree no image is asked"
    assert math.isnan(label_dice(volume, np.zeros_like(labels), 2))
    constant = label_dice(np.full_like(volume, 0.5), labels, 2)
    assert 0 < constant < label_dice(volume, labels, 2) - 0.05, "in a constant image nothing spreads"
