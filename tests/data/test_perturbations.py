"""Noise and other looks of a scan against what is known of them."""

import numpy as np
import pytest

from interslice.data.misalignment import interleaved_shifts
from interslice.data.parts import low_part_of, part_of
from interslice.data.perturbations import DARKEST, add_noise, with_appearance
from interslice.data.volumes import Volume
from phantoms import ellipsoids
from settings import study_of


def volume_of(data):
    return Volume(np.asarray(data, dtype=np.float32)[np.newaxis], np.eye(4), 2)


def test_noise_has_the_moments_of_rice_and_is_the_same_every_time():
    """Background: Rayleigh, mean sigma sqrt(pi / 2). Signal far above it: nearly Gaussian, mean a + sigma^2 / 2a."""
    setting = {"sigma": 0.05, "seed": 1}
    dark, bright = (
        add_noise(volume_of(np.full((40, 50, 60), value)), "A", 4, setting) for value in (0.0, 0.5)
    )
    assert dark.data.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.01)
    assert (dark.data**2).mean() == pytest.approx(2 * 0.05**2, rel=0.02)
    assert bright.data.mean() == pytest.approx(0.5 + 0.05**2 / (2 * 0.5), abs=5e-4)
    assert bright.data.std() == pytest.approx(0.05, rel=0.02)
    np.testing.assert_array_equal(
        add_noise(volume_of(np.zeros((40, 50, 60))), "A", 4, setting).data, dark.data
    )
    for subject, factor in (("B", 4), ("A", 2)):
        assert (
            add_noise(volume_of(np.zeros((40, 50, 60))), subject, factor, setting).data != dark.data
        ).mean() > 0.9


def test_inverted_contrast_leaves_the_background_and_a_bias_field_only_darkens():
    head = volume_of(ellipsoids((24, 40, 36)))
    inverted = with_appearance(head, "inverted").data
    changed = inverted != head.data
    np.testing.assert_allclose(inverted[changed], 1 - head.data[changed], atol=1e-6)
    assert not changed[:, :, :2, :2].any(), "air stays air"
    assert changed.mean() > 0.2
    ones = with_appearance(volume_of(np.ones((9, 8, 7))), "biased").data[0]
    assert ones.flat[0] == 1
    assert ones.flat[-1] == pytest.approx(DARKEST)
    assert all((np.diff(ones, axis=axis) < 0).all() for axis in range(3))
    assert with_appearance(head, "as_is") is head


def test_interleaved_motion_moves_every_second_slice_alike():
    shifts = interleaved_shifts("CSI3", 7, {"mm": 1.0, "seed": 1, "interleaved": True})
    np.testing.assert_array_equal(shifts[::2], 0)
    np.testing.assert_allclose(np.linalg.norm(shifts[1::2], axis=1), 1)
    assert (shifts[1::2] == shifts[1]).all()
    assert (interleaved_shifts("JHU", 2, {"mm": 1.0, "seed": 1})[1] != shifts[1]).all()


def test_the_suite_perturbs_the_scans_of_the_headline_and_trains_nothing():
    study = study_of("robustness.yaml")
    assert study.trainings == []
    clean, *others = study.datasets.values()
    assert clean["perturbation"] is None
    kinds = {dataset["perturbation"]["kind"] for dataset in others}
    assert kinds == {
        "Rician noise",
        "Motion of every slice",
        "Motion of every second slice",
        "Bias field",
        "Contrast",
        "Slice profile",
    }
    for dataset in others:
        same_scan = dataset["appearance"] == "as_is"
        assert (part_of(dataset, "test") == part_of(clean, "test")) == same_scan, (
            "references are shared where they may be"
        )
        assert low_part_of(dataset, "test") != low_part_of(clean, "test")
