import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, special

from interslice.analysis.statistics import compare
from interslice.common.errors import InputError
from interslice.data.masks import foreground_mask
from interslice.data.volumes import Volume, decimate, write_volume
from interslice.methods import load_method
from interslice.report.lesion_figure import contrast_against_size
from interslice.report.tables import results_table
from interslice.scoring import lesions as lesions_module
from interslice.scoring.edges_and_tissue import (
    edge_error,
    edge_mask,
    edge_width,
    flat_error,
    half_width,
    tissue_agreement,
)
from interslice.scoring.evaluation import TestCase as Case
from interslice.scoring.evaluation import evaluate
from interslice.scoring.lesions import (
    APART_MM,
    CONTRAST,
    Lesion,
    insert,
    place_lesions,
    recovered_contrast,
    sphere_share,
)
from interslice.scoring.longtable import check_scores, subject_means
from interslice.scoring.registry import LESION_DIAMETERS_MM, VOLUME_METRICS
from interslice.scoring.volumes import Frame, score_whole
from phantoms import ellipsoids
from settings import small_settings

K = 4


def step_volume(slices: int = 49, at: int = 22, sigma: float = 0.0) -> np.ndarray:
    """Dark below slice `at`, bright from it on, blurred along the slices by a Gaussian of `sigma` slices."""
    position = np.arange(slices) - at + 0.5
    profile = 0.2 + 0.6 * (special.ndtr(position / sigma) if sigma else (position > 0))
    return np.broadcast_to(profile[:, np.newaxis, np.newaxis], (slices, 8, 8)).astype(np.float32)


def interpolated(method: str, volume: np.ndarray, factor: int = K) -> np.ndarray:
    return load_method(small_settings(method), None).interpolate(
        np.ascontiguousarray(volume[::factor]), factor
    )


def test_half_width_of_known_peaks():
    assert half_width(np.array([0, 0, 1, 0, 0])) == 1
    assert half_width(np.array([0, 1, 2, 3, 4, 3, 2, 1, 0])) == 4
    assert half_width(np.array([0, 0, 0.25, 0.25, 0.25, 0.25, 0, 0])) == 4
    assert math.isnan(half_width(np.array([1, 1, 1])))


def test_the_width_of_a_step_is_one_slice_and_linear_makes_it_k():
    reference = step_volume()
    assert edge_width(reference, reference, K, 1.0) == pytest.approx(1)
    assert edge_width(reference, reference, K, 2.5) == pytest.approx(2.5)
    assert edge_width(interpolated("linear", reference), reference, K, 1.0) == pytest.approx(K)
    assert edge_width(interpolated("nearest", reference), reference, K, 1.0) == pytest.approx(1)
    for falling in (1 - reference, reference[::-1]):
        assert edge_width(interpolated("linear", falling), falling, K, 1.0) == pytest.approx(K)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_the_width_of_a_blurred_step_is_that_of_its_gaussian(sigma: float):
    blurred = step_volume(sigma=sigma)
    # Differences over one slice widen the Gaussian by a box: variances add, 1/12 for the box.
    expected = 2 * math.sqrt(2 * math.log(2)) * math.sqrt(sigma**2 + 1 / 12)
    assert edge_width(blurred, step_volume(), K, 1.0) == pytest.approx(expected, rel=0.05)


def test_an_edge_in_the_wrong_place_is_no_blur_and_no_edge_is_nan():
    reference = step_volume()
    assert edge_width(step_volume(at=24), reference, K, 1.0) == pytest.approx(1)
    assert math.isnan(edge_width(reference, np.full_like(reference, 0.5), K, 1.0))
    outside = np.zeros(reference.shape, bool)
    assert math.isnan(edge_width(reference, reference, K, 1.0, outside))


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


def one_lesion(first: int, thick: int) -> Lesion:
    return Lesion(
        LESION_DIAMETERS_MM[0],
        (slice(first, first + thick), slice(3, 4), slice(3, 4)),
        np.ones((thick, 1, 1)),
    )


@pytest.mark.parametrize(
    ("first", "thick", "linear", "nearest"),
    [
        (8, 1, 1, 1),  # on a kept slice
        (9, 3, 0, 0),  # between two kept slices: in no input
        (8, 2, (1 + 3 / 4) / 2, 1),
        (7, 3, (3 / 4 + 1 + 3 / 4) / 3, 1),
        (6, 2, (2 / 4 * 0 + 3 / 4 * 0) / 2, 0),  # slices 6 and 7: not kept either
    ],
)
def test_recovered_contrast_by_hand(first: int, thick: int, linear: float, nearest: float):
    reference = np.full((17, 8, 8), 0.3, np.float32)
    lesion = one_lesion(first, thick)
    changed = insert(reference, [lesion])
    assert changed.max() == pytest.approx(0.3 + CONTRAST)
    for method, expected in (("linear", linear), ("nearest", nearest)):
        pair = interpolated(method, changed), interpolated(method, reference)
        assert recovered_contrast(*pair, [lesion]) == pytest.approx(expected, abs=1e-6)
    assert recovered_contrast(changed, reference, [lesion]) == pytest.approx(1, abs=1e-6)
    assert math.isnan(recovered_contrast(changed, reference, []))


@pytest.mark.parametrize("diameter", LESION_DIAMETERS_MM)
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
    placed = place_lesions(reference, mask, spacing, "s1 0")
    assert {lesion.diameter_mm for lesion in placed} == set(LESION_DIAMETERS_MM)
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
    assert [one.box for one in placed] == [one.box for one in place_lesions(reference, mask, spacing, "s1 0")]
    assert [one.box for one in placed] != [one.box for one in place_lesions(reference, mask, spacing, "s2 0")]
    assert place_lesions(reference, mask & False, spacing, "s1 0") == []
    monkeypatch.setattr(lesions_module, "PER_SIZE", 1)
    assert len(place_lesions(reference, mask, spacing, "s1 0")) == 3


METRICS = ["psnr", "edge_error", "flat_error", *VOLUME_METRICS]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The long table of three methods on two subjects."""
    folder = tmp_path_factory.mktemp("volumes")
    cases = []
    for seed in range(2):
        volume = Volume(ellipsoids((53, 64, 60), seed)[np.newaxis], np.diag([1.0, 1.0, 1.0, 1.0]), 2)
        case = Case(f"s{seed}", folder / f"s{seed}.nii", folder / f"low{seed}.nii")
        write_volume(volume, case.reference)
        write_volume(decimate(volume, K, "none"), case.low)
        cases.append(case)
    tables = []
    for method in ("oracle", "nearest", "linear", "bspline"):
        for case in cases:
            table = evaluate(
                load_method(small_settings(method), None),
                case,
                K,
                evaluation={"metrics": METRICS, "gap_step": 4},
            )
            tables.append(table.assign(method=method))
    return check_scores(pd.concat(tables).assign(dataset="d", K=K, seed=1, protocol="strict"))


def test_volume_metrics_are_rows_of_the_long_table(scores: pd.DataFrame):
    whole = scores[scores["metric"].isin(VOLUME_METRICS)]
    assert set(whole["slice"]) == {-1}
    assert set(whole["kind"]) == {"synthesised"}
    assert len(whole) == 4 * 2 * 2 * len(VOLUME_METRICS)
    assert (scores[~scores["metric"].isin(VOLUME_METRICS)]["slice"] >= 0).all()


def test_the_oracle_has_the_best_values_and_the_others_not(scores: pd.DataFrame):
    means = subject_means(scores).groupby(["method", "metric"])["value"].mean().unstack()
    oracle = {"edge_error": 0, "flat_error": 0, "dice": 1, "volume_error": 0} | {
        f"lesion_{d}mm": 1 for d in LESION_DIAMETERS_MM
    }
    assert means.loc["oracle", list(oracle)].to_dict() == pytest.approx(oracle, abs=1e-5)
    assert (means.loc["linear", ["edge_error", "flat_error"]] > 0.002).all()
    assert means.loc["linear", "edge_error"] > means.loc["linear", "flat_error"]
    assert means.loc["linear", "dice"] < 0.99
    assert means.loc["oracle", "edge_widening"] == 0
    assert means.loc["linear", "edge_widening"] > 0.1
    linear = means.loc["linear", [f"lesion_{diameter}mm" for diameter in LESION_DIAMETERS_MM]]
    assert linear.is_monotonic_increasing, "the larger, the more comes back"
    assert linear.iloc[0] < 0.75
    assert linear.iloc[-1] > 0.85


def test_tables_and_tests_take_volume_metrics_as_they_are(scores: pd.DataFrame):
    labels = {name: name for name in ("oracle", "nearest", "linear", "bspline")}
    table = results_table(scores, labels=labels, controls={"oracle", "nearest"})
    assert table.set_index("method").loc["linear", "dice_n"] == 2
    assert set(table["lesion_3mm_slices_max"]) == {1}
    some = scores[scores["metric"].isin(["psnr", "dice", "lesion_6mm"])]
    tests = compare(subject_means(some, region="foreground"), ["bspline"], ["linear"], bootstrap=100)
    assert set(tests["metric"]) == {"psnr", "dice", "lesion_6mm"}
    assert (tests["n"] == 2).all()
    kept = results_table(scores, kind="kept", labels=labels, controls={"oracle", "nearest"})
    assert not [column for column in kept.columns if column.startswith(("dice", "lesion"))]


def test_a_slice_profile_blurs_the_lesions_too(tmp_path: Path):
    volume = Volume(ellipsoids((53, 64, 60))[np.newaxis], np.diag([1.0, 1.0, 1.0, 1.0]), 2)
    case = Case("s0", tmp_path / "s0.nii", tmp_path / "low.nii")
    write_volume(volume, case.reference)
    found = {}
    for profile in ("none", "gaussian"):
        write_volume(decimate(volume, K, profile), case.low)
        table = evaluate(
            load_method(small_settings("linear"), None), case, K,
            evaluation={"metrics": ["lesion_6mm"], "gap_step": 4}, slice_profile=profile,
        )  # fmt: skip
        found[profile] = table["value"].iloc[0]
    assert 0.2 < found["gaussian"] < found["none"] < 1


def test_only_the_central_square_is_scored(tmp_path: Path):
    """Noise in the border changes nothing there is a value of, and lesions are placed within the square."""
    reference = ellipsoids((53, 64, 60))
    noisy = reference.copy()
    noisy[:, :8] = np.random.default_rng(0).uniform(0, 1, noisy[:, :8].shape)
    found = []
    for name, data in (("a", reference), ("b", noisy)):
        frame = Frame(data, foreground_mask(reference), K, (1.0, 1.0, 1.0), "none", 40, "s")
        metrics = [metric for metric in VOLUME_METRICS if "lesion" not in metric]
        found.append(score_whole(interpolated("linear", data), frame, metrics, None)["value"].tolist())
        assert len(set(found[-1])) > 3, name
    assert found[0] == found[1]
    seen = []
    frame = Frame(reference, foreground_mask(reference), K, (1.0, 1.0, 1.0), "none", 40, "s")

    def interpolate(low: np.ndarray, target: np.ndarray) -> np.ndarray:
        seen.append(target)
        return interpolated("linear", target)

    score_whole(interpolated("linear", reference), frame, ["lesion_3mm"], interpolate)
    rows, columns = np.nonzero((seen[0] != reference).any(axis=0))
    assert (rows.min() >= 12, rows.max() < 52, columns.min() >= 10, columns.max() < 50) == (True,) * 4


def test_the_lesion_figure_draws_every_method_and_size(scores: pd.DataFrame):
    labels = {"oracle": "Oracle", "nearest": "Nearest", "linear": "Linear", "bspline": "B-spline"}
    (axes,) = contrast_against_size(scores, labels=labels, controls={"oracle", "nearest"}).axes
    assert axes.get_title() == f"d, K = {K}"
    assert axes.get_legend_handles_labels()[1] == list(labels.values())
    drawn = dict(zip(labels, (container.lines[0].get_ydata() for container in axes.containers), strict=True))
    expected = subject_means(scores).groupby(["method", "metric"])["value"].mean()
    for method, values in drawn.items():
        assert list(values) == pytest.approx(
            [expected[method, f"lesion_{size}mm"] for size in LESION_DIAMETERS_MM]
        )
    with pytest.raises(InputError, match="no metric of"):
        contrast_against_size(scores[scores["metric"] == "psnr"], labels=labels, controls=set())
