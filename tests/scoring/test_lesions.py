"""Inserted lesions: where they are placed, and what is said of what comes back of them."""

import math

import numpy as np
import pytest
from scipy import ndimage

from heads import head_volume
from interslice.data.masks import foreground_mask
from interslice.methods import load_method
from interslice.scoring import lesions as lesions_module
from interslice.scoring.lesions import (
    APART_MM,
    CONTRAST,
    DIAMETERS_MM,
    Lesion,
    false_signal,
    insert,
    place_lesions,
    recover,
    recovered_contrast,
    relative_error,
    sphere_share,
)
from phantoms import ellipsoids
from settings import small_settings

K = 4
UNIT = (1.0, 1.0, 1.0)


def interpolated(method: str, volume: np.ndarray, factor: int = K) -> np.ndarray:
    return load_method(small_settings(method), None).interpolate(
        np.ascontiguousarray(volume[::factor]), factor
    )


def lesion_of(first: int, thick: int) -> Lesion:
    """A column of one pixel, so that every share is 1."""
    return Lesion(
        DIAMETERS_MM[0],
        (slice(first, first + thick), slice(3, 4), slice(3, 4)),
        np.ones((thick, 1, 1)),
    )


def measured(method: str, lesions: list[Lesion], factor: int = K) -> tuple[float, float, float]:
    """Relative error, contrast and false signal of a method on a flat volume."""
    reference = np.full((41, 8, 8), 0.3, np.float32)
    pair = interpolated(method, insert(reference, lesions), factor), interpolated(method, reference, factor)
    found = recover(*pair, lesions, factor, UNIT)
    return relative_error(found), recovered_contrast(found), false_signal(found)


@pytest.mark.parametrize(
    ("first", "thick", "method", "expected"),
    [
        # Slices 19, 20, 21 with 20 kept. Linear: 3/4 on 19 and 21; 2/4 and 1/4 on both sides beyond.
        (
            19,
            3,
            "linear",
            (math.sqrt(2 * (1 / 4) ** 2 + 2 * (1 / 4 + 1 / 16)) / math.sqrt(2), 3 / 4, 1.5 / 2),
        ),
        # Nearest copies 20 to 18, 19, 21 and to one of the slices that are as far from the next.
        (19, 3, "nearest", (1 / math.sqrt(2), 1, 1 / 2)),
        # Between two kept slices: in no input.
        (21, 3, "linear", (1, 0, 0)),
        (21, 3, "nearest", (1, 0, 0)),
        # 20 to 22: linear has 3/4 and 2/4 of 21 and 22, and 1/4 (23), 3/4, 2/4, 1/4 (19, 18, 17) beside.
        (20, 3, "linear", (math.sqrt((1 + 4 + 1 + 9 + 4 + 1) / 16 / 2), 1.25 / 2, 1.75 / 2)),
    ],
)
def test_what_comes_back_by_hand(
    first: int, thick: int, method: str, expected: tuple[float, float, float]
) -> None:
    assert measured(method, [lesion_of(first, thick)]) == pytest.approx(expected, abs=1e-5)


def test_the_answer_is_perfect_and_no_lesion_at_all_is_one() -> None:
    reference, lesions = np.full((41, 30, 30), 0.3), [lesion_of(18, 3)]
    changed = insert(reference, lesions)
    assert changed.max() == pytest.approx(0.3 + CONTRAST)
    found = recover(changed, reference, lesions, K, UNIT)
    assert (relative_error(found), recovered_contrast(found), false_signal(found)) == pytest.approx((0, 1, 0))
    found = recover(reference, reference, lesions, K, UNIT)
    assert (relative_error(found), recovered_contrast(found), false_signal(found)) == pytest.approx((1, 0, 0))
    assert all(math.isnan(measure([])) for measure in (relative_error, recovered_contrast, false_signal))


def test_half_too_much_is_as_wrong_as_half_too_little_and_signal_beside_the_lesion_costs() -> None:
    reference, lesions = np.full((41, 30, 30), 0.3), [lesion_of(17, 3)]
    added = insert(reference, lesions) - reference
    for gain in (0.5, 1.5):
        found = recover(reference + gain * added, reference, lesions, K, UNIT)
        assert (relative_error(found), recovered_contrast(found), false_signal(found)) == pytest.approx(
            (0.5, gain, 0)
        )
    beside = np.zeros_like(added)
    beside[18, 5, 3] = CONTRAST  # as much as one of three voxels, two pixels away
    found = recover(reference + added + beside, reference, lesions, K, UNIT)
    assert (relative_error(found), recovered_contrast(found), false_signal(found)) == pytest.approx(
        (1 / math.sqrt(3), 1, 1 / 3)
    )
    for outside in (
        (16, 3, 3),
        (18, 20, 3),
        (5, 3, 3),
    ):  # a kept slice; beyond the box, in plane and through it
        far = np.zeros_like(added)
        far[outside] = 1
        assert relative_error(recover(reference + added + far, reference, lesions, K, UNIT)) == pytest.approx(
            0
        )


def test_what_is_nearer_to_another_lesion_is_that_ones() -> None:
    """The box of a lesion reaches another through the plane at K = 8; neither pays for the other."""
    first, second = lesion_of(11, 3), lesion_of(25, 3)
    alone, both = (measured("linear", lesions, 8) for lesions in ([first], [first, second]))
    reference = np.full((41, 8, 8), 0.3)
    found = recover(insert(reference, [first, second]), reference, [first, second], 8, UNIT)
    assert relative_error(found) == pytest.approx(0)
    assert alone[0] <= 1 >= both[0]


@pytest.mark.parametrize("diameter", DIAMETERS_MM)
def test_a_copied_sphere_loses_to_interpolation(diameter: int) -> None:
    """Nearest neighbour has all of a lesion's contrast that there is, and is farther from it than linear and spline."""
    reference = np.full((61, 40, 40), 0.3, np.float32)
    share = sphere_share(diameter, UNIT)
    errors = {method: [] for method in ("nearest", "linear", "bspline")}
    for shift in range(K):
        corner = [side - share.shape[0] // 2 for side in (28 + shift, 20, 20)]
        lesions = [Lesion(diameter, tuple(slice(at, at + share.shape[0]) for at in corner), share)]
        for method, found in errors.items():
            pair = interpolated(method, insert(reference, lesions)), interpolated(method, reference)
            found.append(relative_error(recover(*pair, lesions, K, UNIT)))
    means = {method: np.mean(found) for method, found in errors.items()}
    assert means["nearest"] > 1.03 * max(means["linear"], means["bspline"])


@pytest.mark.parametrize("diameter", DIAMETERS_MM)
def test_a_sphere_has_its_volume_whatever_the_voxels(diameter: int):
    for spacing in ((1.0, 1.0, 1.0), (5.0, 1.0, 1.0), (0.5, 0.9, 1.1)):
        share = sphere_share(diameter, spacing)
        assert all(side % 2 for side in share.shape)
        assert share.sum() * np.prod(spacing) == pytest.approx(math.pi / 6 * diameter**3, rel=0.1)
        np.testing.assert_array_equal(share, share[::-1, ::-1, ::-1])


def test_lesions_lie_in_tissue_apart_and_the_same_for_every_method(monkeypatch):
    reference = ellipsoids((50, 70, 60))
    mask = ndimage.binary_erosion(reference > 0.2, iterations=2)
    spacing = (1.5, 1.0, 1.0)
    placed = place_lesions(reference, mask, spacing, K, "s1 0")
    assert {lesion.diameter_mm for lesion in placed} == set(DIAMETERS_MM)
    centres = []
    for lesion in placed:
        touched = lesion.share > 0
        assert mask[lesion.box][touched].all()
        assert (insert(reference, [lesion])[lesion.box] <= 1).all()
        centres.append(
            np.array(
                [(edge.start + edge.stop - 1) / 2 * mm for edge, mm in zip(lesion.box, spacing, strict=True)]
            )
        )
    for i, first in enumerate(placed):
        for j in range(i):
            radii = (first.diameter_mm + placed[j].diameter_mm) / 2
            assert np.linalg.norm(centres[i] - centres[j]) >= radii + APART_MM
    assert [one.box for one in placed] == [
        one.box for one in place_lesions(reference, mask, spacing, K, "s1 0")
    ]
    assert [one.box for one in placed] != [
        one.box for one in place_lesions(reference, mask, spacing, K, "s2 0")
    ]
    assert place_lesions(reference, mask & False, spacing, K, "s1 0") == []
    monkeypatch.setattr(lesions_module, "PER_SIZE", 1)
    assert len(place_lesions(reference, mask, spacing, K, "s1 0")) == 3


def test_no_lesion_lies_in_air_or_bone() -> None:
    """A head with a skull and a sinus, which the filled mask has in it, as bright as noise."""
    z, y, x = np.mgrid[:60, :90, :90]
    radius = np.sqrt((z - 30) ** 2 + (y - 45) ** 2 + (x - 45) ** 2)
    head = np.select([radius < 28, radius < 32, radius < 40], [0.45, 0.03, 0.7], 0.0)
    air = np.sqrt((z - 30) ** 2 + (y - 45) ** 2 + (x - 35) ** 2) < 9
    head[air] = 0.02
    white = np.sqrt((z - 30) ** 2 + (y - 45) ** 2 + (x - 52) ** 2) < 14
    head[white] = 0.7
    head = np.abs(head + np.random.default_rng(0).normal(0, 0.02, head.shape)).astype(np.float32)
    mask = foreground_mask(head)
    dark = air | ((radius >= 28) & (radius < 32))
    assert mask[dark].mean() > 0.9, "the mask alone does not keep lesions out"
    for name in ("s1 0", "s2 0", "s3 0"):
        placed = place_lesions(head, mask, UNIT, K, name)
        assert {lesion.diameter_mm for lesion in placed} == set(DIAMETERS_MM)
        for lesion in placed:
            assert not dark[lesion.box][lesion.share > 0].any()


def test_lesions_of_a_real_head_lie_in_tissue() -> None:
    head = head_volume()
    placed = place_lesions(head, foreground_mask(head), (2.0, 2.0, 2.0), 2, "head 0")
    assert len(placed) > 4
    for lesion in placed:
        assert head[lesion.box][lesion.share > 0].min() > 0.15


def test_a_thin_lesion_is_placed_on_a_synthesised_slice() -> None:
    """A sphere of 3 mm in slices of 5 mm touches one slice alone: on a kept one there would be nothing to score."""
    reference = ellipsoids((50, 70, 60))
    mask = ndimage.binary_erosion(reference > 0.2, iterations=2)
    placed = place_lesions(reference, mask, (5.0, 1.0, 1.0), 2, "s")
    thin = [lesion for lesion in placed if lesion.share.shape[0] == 1]
    assert thin
    assert all(lesion.box[0].start % 2 for lesion in thin)
