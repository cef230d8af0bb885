"""Errors at edges by hand, and agreement of tissue classes against closed forms."""

import math

import numpy as np
import pytest

from interslice.scoring.edges_and_tissue import edge_error, edge_mask, flat_error, tissue_agreement


def test_errors_at_edges_are_told_from_those_off_edges():
    reference = np.zeros((32, 32))
    reference[:, 16:] = 0.8
    edges = edge_mask(reference)
    assert np.flatnonzero(edges[5]).tolist() == [15, 16]
    at_edge, off_edge = reference + 0.1 * edges, reference + 0.1 * ~edges
    for image, expected in ((at_edge, (0.1, 0)), (off_edge, (0, 0.1)), (reference, (0, 0))):
        found = [measure(image, reference, data_range=1.0) for measure in (edge_error, flat_error)]
        assert found == pytest.approx(expected)
    assert edge_error(at_edge, reference, data_range=2.0) == pytest.approx(0.05)
    left = np.zeros((32, 32), bool)
    left[:, :8] = True
    assert math.isnan(edge_error(at_edge, reference, data_range=1.0, mask=left))
    assert flat_error(off_edge, reference, data_range=1.0, mask=left) == pytest.approx(0.1)
    assert math.isnan(flat_error(off_edge, reference, data_range=1.0, mask=left & False))


def test_dice_of_shifted_discs_is_that_of_their_lens():
    rows, columns = np.mgrid[:200, :200]
    noise = np.random.default_rng(0).normal(0, 0.01, (5, 200, 200))

    def discs(shift: int) -> np.ndarray:
        image = (
            0.2
            + 0.3 * (np.hypot(rows - 50, columns - 100) < 40)
            + 0.6 * (np.hypot(rows - 145, columns - 80 - shift) < 40)
        )
        return (image + noise).astype(np.float32)

    assert tissue_agreement(discs(0), discs(0), 2) == (1, 0)
    d, r = 20, 40
    lens = 2 * r**2 * math.acos(d / (2 * r)) - d / 2 * math.sqrt(4 * r**2 - d**2)
    bright = lens / (math.pi * r**2)
    missed = math.pi * r**2 - lens
    background = 1 - missed / (200**2 - 2 * math.pi * r**2)
    dice, error = tissue_agreement(discs(20), discs(0), 2)
    assert dice == pytest.approx((bright + 1 + background) / 3, abs=0.002)
    assert error < 0.005


def test_volume_error_is_relative_and_only_synthesised_slices_count():
    reference = np.full((5, 20, 20), 0.1, np.float32)
    reference[:, :10] = 0.5
    reference[:, :10, :10] = 0.9  # classes of 200, 100 and 100 pixels
    result = reference.copy()
    result[1::2, 10:15, :10] = 0.5  # 50 dark pixels become grey
    dice, error = tissue_agreement(result, reference, 2)
    assert error == pytest.approx((50 / 200 + 50 / 100 + 0) / 3)
    assert dice == pytest.approx((2 * 150 / 350 + 2 * 100 / 250 + 1) / 3)
    result = reference.copy()
    result[::2] = result[::2, ::-1]
    assert tissue_agreement(result, reference, 2) == (1, 0), "kept slices change the thresholds at most"
    assert all(math.isnan(value) for value in tissue_agreement(np.full_like(reference, 0.3), reference, 2))
