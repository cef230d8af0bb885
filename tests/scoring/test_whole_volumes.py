"""Metrics of whole volumes as rows of the long table, and in tables, tests and figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interslice.analysis.comparisons import compare, unit_values
from interslice.analysis.results import results_table
from interslice.common.errors import InputError
from interslice.data.labels import write_labels
from interslice.data.masks import foreground_mask
from interslice.data.volumes import Volume, decimate, write_volume
from interslice.methods import load_method
from interslice.report.lesion_figure import lesions_against_size
from interslice.scoring.evaluation import evaluate
from interslice.scoring.frames import Frame, lesions_of, with_inserted
from interslice.scoring.label_agreement import label_dice
from interslice.scoring.lesions import DIAMETERS_MM
from interslice.scoring.longtable import check_scores, frame_means, subject_means
from interslice.scoring.registry import METRICS, VOLUME_METRICS, lesion_metric
from interslice.scoring.volumes import score_whole
from kept_cases import kept_case
from phantoms import ellipsoids
from settings import small_settings

K = 4


def interpolated(method: str, volume: np.ndarray, factor: int = K) -> np.ndarray:
    return load_method(small_settings(method), None).interpolate(
        np.ascontiguousarray(volume[::factor]), factor
    )


UNBLURRED = {"slice_profile": "none", "score_px": None}
OF_ALL = [metric for metric in VOLUME_METRICS if METRICS[metric].needs != "labels"]
SCORED = ["psnr", "edge_error", "flat_error", *VOLUME_METRICS]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The long table of three methods on two subjects."""
    folder = tmp_path_factory.mktemp("volumes")
    cases = []
    for seed in range(2):
        volume = Volume(ellipsoids((53, 64, 60), seed)[np.newaxis], np.diag([1.0, 1.0, 1.0, 1.0]), 2)
        files = f"s{seed}", folder / f"s{seed}.nii", folder / f"low{seed}.nii"
        write_volume(volume, files[1])
        write_volume(decimate(volume, K, "none"), files[2])
        cases.append(files)
    tables = []
    for method in ("oracle", "nearest", "linear", "bspline"):
        for files in cases:
            case = kept_case(load_method(small_settings(method), None), *files, K, UNBLURRED)
            tables.append(evaluate(case, K, metrics=SCORED, gap_step=4).assign(method=method))
    return check_scores(pd.concat(tables).assign(dataset="d", K=K, seed=1, protocol="strict"))


def test_volume_metrics_are_rows_of_the_long_table(scores: pd.DataFrame):
    whole = scores[scores["metric"].isin(VOLUME_METRICS)]
    assert set(whole["metric"]) == set(OF_ALL), "no row where there are no labels"
    assert set(whole["slice"]) == {-1}
    assert set(whole["kind"]) == {"synthesised"}
    assert len(whole) == 4 * 2 * 2 * len(OF_ALL)
    assert (scores[~scores["metric"].isin(VOLUME_METRICS)]["slice"] >= 0).all()


def test_the_oracle_has_the_best_values_and_the_others_not(scores: pd.DataFrame):
    means = subject_means(frame_means(scores)).groupby(["method", "metric"])["value"].mean().unstack()
    oracle = {"edge_error": 0, "flat_error": 0, "dice": 1, "volume_error": 0, "mtf50": 0.5}
    for measure, best in (("error", 0), ("contrast", 1), ("false", 0)):
        oracle |= {lesion_metric(measure, diameter): best for diameter in DIAMETERS_MM}
    assert means.loc["oracle", list(oracle)].to_dict() == pytest.approx(oracle, abs=1e-5)
    assert (means.loc["linear", ["edge_error", "flat_error"]] > 0.002).all()
    assert means.loc["linear", "edge_error"] > means.loc["linear", "flat_error"]
    assert means.loc["linear", "dice"] < 0.99
    assert means.loc["linear", "mtf50"] < means.loc["bspline", "mtf50"] < 0.2
    linear = {
        measure: means.loc["linear", [lesion_metric(measure, diameter) for diameter in DIAMETERS_MM]]
        for measure in ("error", "contrast", "false")
    }
    assert linear["error"].is_monotonic_decreasing, "the larger, the more comes back"
    assert linear["contrast"].is_monotonic_increasing
    assert all(values.between(0.01, 0.99).all() for values in linear.values())


def test_tables_and_tests_take_volume_metrics_as_they_are(scores: pd.DataFrame):
    labels = {name: name for name in ("oracle", "nearest", "linear", "bspline")}
    table = results_table(frame_means(scores), labels=labels, controls={"oracle", "nearest"})
    assert table.set_index("method").loc["linear", "dice_n"] == 2
    assert set(table["lesion_error_3mm_slices_max"]) == {1}
    some = scores[scores["metric"].isin(["psnr", "dice", "lesion_contrast_6mm"])]
    tests = compare(
        unit_values(frame_means(some), region="foreground"), [("bspline", "linear")], confidence=0.95
    )
    assert set(tests["metric"]) == {"psnr", "dice", "lesion_contrast_6mm"}
    assert (tests["n"] == 2).all()
    kept = results_table(frame_means(scores), kind="kept", labels=labels, controls={"oracle", "nearest"})
    assert not [column for column in kept.columns if column.startswith(("dice", "lesion"))]


def test_labels_beside_a_volume_are_scored(tmp_path: Path):
    """Of the frames that have them alone, in both regions, within the central square."""
    data = np.stack([ellipsoids((13, 48, 44), seed) for seed in range(2)])
    volume = Volume(data, np.diag([1.0, 1.0, 1.0, 1.0]), 2)
    files = "s0", tmp_path / "s0.nii", tmp_path / "low.nii"
    write_volume(volume, files[1])
    write_volume(decimate(volume, 2, "none"), files[2])
    labels = np.stack([np.zeros_like(data[0]), np.digitize(data[1], [0.3, 0.6])]).astype(np.uint8)
    write_labels(labels, volume, tmp_path / "s0.labels.nii.gz")
    found = {}
    for method in ("oracle", "nearest"):
        case = kept_case(load_method(small_settings(method), None), *files, 2)
        assert tmp_path / "s0.labels.nii.gz" in case.files, "other labels are another result"
        table = evaluate(case, 2, metrics=["label_dice"], gap_step=1, score_px=40)
        assert table[["frame", "region", "slice"]].values.tolist() == [
            [1, "whole", -1], [1, "foreground", -1],
        ]  # fmt: skip
        found[method] = table["value"].unique().tolist()
    inner = (slice(None), slice(4, 44), slice(2, 42))
    assert found["oracle"] == pytest.approx([label_dice(data[1][inner], labels[1][inner], 2)])
    assert found["nearest"] != found["oracle"]


def test_a_slice_profile_blurs_the_lesions_too(tmp_path: Path):
    volume = Volume(ellipsoids((53, 64, 60))[np.newaxis], np.diag([1.0, 1.0, 1.0, 1.0]), 2)
    files = "s0", tmp_path / "s0.nii", tmp_path / "low.nii"
    write_volume(volume, files[1])
    found = {}
    for profile in ("none", "gaussian"):
        write_volume(decimate(volume, K, profile), files[2])
        lesions = UNBLURRED | {"slice_profile": profile}
        case = kept_case(load_method(small_settings("linear"), None), *files, K, lesions)
        table = evaluate(case, K, metrics=["lesion_contrast_6mm"], gap_step=4, slice_profile=profile)
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
        metrics = [metric for metric in OF_ALL if "lesion" not in metric]
        found.append(score_whole(interpolated("linear", data), None, frame, metrics)["value"].tolist())
        assert len(set(found[-1])) > 3, name
    assert found[0] == found[1]
    frame = Frame(reference, foreground_mask(reference), K, (1.0, 1.0, 1.0), "none", 40, "s")
    _, changed = with_inserted(frame, lesions_of(frame))
    rows, columns = np.nonzero((changed != reference).any(axis=0))
    assert (rows.min() >= 12, rows.max() < 52, columns.min() >= 10, columns.max() < 50) == (True,) * 4


def test_the_lesion_figure_draws_every_measure_method_and_size(scores: pd.DataFrame):
    labels = {"oracle": "Oracle", "nearest": "Nearest", "linear": "Linear", "bspline": "B-spline"}
    panels = lesions_against_size(frame_means(scores), labels=labels, controls={"oracle", "nearest"}).axes
    assert panels[1].get_title() == f"d, K = {K}"
    assert [axes.get_ylabel() for axes in panels] == [
        "Relative error, lower is better", "Contrast, nearer to 1 is better", "False signal, lower is better",
    ]  # fmt: skip
    expected = subject_means(frame_means(scores)).groupby(["method", "metric"])["value"].mean()
    for axes, measure in zip(panels, ("error", "contrast", "false"), strict=True):
        assert axes.get_legend_handles_labels()[1] == list(labels.values())
        for method, container in zip(labels, axes.containers, strict=True):
            metrics = [lesion_metric(measure, size) for size in DIAMETERS_MM]
            assert list(container.lines[0].get_ydata()) == pytest.approx(
                [expected[method, m] for m in metrics]
            )
    with pytest.raises(InputError, match="no metric of"):
        lesions_against_size(scores[scores["metric"] == "psnr"], labels=labels, controls=set())
