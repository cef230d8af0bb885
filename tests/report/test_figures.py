import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from interslice.analysis.results import results_table
from interslice.common.errors import InputError
from interslice.report.box_figure import metric_boxplots
from interslice.report.factor_figure import metric_against_factor
from interslice.report.qualitative import qualitative_panel, training_curves
from interslice.report.robustness import degradation_curves
from interslice.report.style import method_styles, save, title_above, visible_limits
from interslice.scoring.longtable import KEYS, check_scores, frame_means
from synthetic_scores import CONTROLS, LABELS, TRAINED, synthetic_comparisons, synthetic_scores

SHOWN = {"labels": LABELS, "controls": CONTROLS}


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return synthetic_scores()


@pytest.fixture(scope="module")
def comparisons(scores: pd.DataFrame) -> pd.DataFrame:
    return synthetic_comparisons(scores)


def volumes() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A reference (5, 6, 8) and two methods, one of them exact."""
    draw = np.random.default_rng(1)
    reference = draw.random((5, 6, 8), dtype=np.float32)
    worse = np.clip(reference + draw.normal(0, 0.1, reference.shape), 0, 1).astype(np.float32)
    return {"cae": worse, "linear": reference.copy()}, reference


def panel(**options) -> Figure:
    images, reference = volumes()
    settings = {
        "spacing_mm": (3.0, 1.0, 2.0),
        "slice_index": 1,
        "reformat": "row",
        "index": 2,
        "labels": LABELS,
    }
    return qualitative_panel(images, reference, **settings | options)


def images_of(figure: Figure, greys: bool) -> list[Axes]:
    return [a for a in figure.axes if a.images and (a.images[0].get_cmap().name == "gray") == greys]


def test_brackets_as_many_as_comparisons_and_all_inside(scores: pd.DataFrame, comparisons: pd.DataFrame):
    figure = metric_boxplots(frame_means(scores), comparisons, "psnr", **SHOWN)
    figure.draw_without_rendering()
    assert len(figure.axes) == 2
    for axes, factor in zip(figure.axes, (2, 4), strict=True):
        brackets = [line for line in axes.lines if line.get_gid() == "bracket"]
        texts = [text for text in axes.texts if text.get_gid() == "bracket-p"]
        tests = comparisons.query(f"K == {factor} and metric == 'psnr'")
        methods = list(LABELS)
        spans = sorted(
            sorted((methods.index(t.method), methods.index(t.baseline))) for t in tests.itertuples()
        )
        assert sorted([int(min(b.get_xdata())), int(max(b.get_xdata()))] for b in brackets) == spans
        frame = axes.get_window_extent()
        boxes = [text.get_window_extent() for text in texts]
        for box in [*boxes, *(b.get_window_extent() for b in brackets)]:
            assert frame.x0 <= box.x0 <= box.x1 <= frame.x1
            assert frame.y0 <= box.y0 <= box.y1 <= frame.y1
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        heights = {round(float(max(b.get_ydata())), 6) for b in brackets}
        assert len(heights) == len(brackets)
        to_axes = axes.transData + axes.transAxes.inverted()
        points = np.concatenate(
            [line.get_xydata() for line in axes.lines if "subjects" in (line.get_gid() or "")]
        )
        assert to_axes.transform(points)[:, 1].max() < min(min(b.get_ydata()) for b in brackets)


def test_a_p_of_1_has_no_bracket_and_the_title_says_so(scores: pd.DataFrame, comparisons: pd.DataFrame):
    p = np.where((comparisons["baseline"] == "linear") & (comparisons["K"] == 4), 0.04, 1.0)
    figure = metric_boxplots(frame_means(scores), comparisons.assign(p_corrected=p), "psnr", **SHOWN)
    brackets = [[line for line in axes.lines if line.get_gid() == "bracket"] for axes in figure.axes]
    assert [len(drawn) for drawn in brackets] == [0, len(TRAINED)]
    assert "corrected p where it is below 1" in figure.get_suptitle().replace("\n", " ")
    figure = metric_boxplots(frame_means(scores), comparisons.assign(p_corrected=1.0), "psnr", **SHOWN)
    assert not [line for axes in figure.axes for line in axes.lines if line.get_gid() == "bracket"]
    count = len(comparisons.query("metric == 'psnr'"))
    assert f"1 or undefined in all {count} comparisons" in figure.get_suptitle().replace("\n", " ")


def test_a_legend_of_long_names_stays_within_the_figure(scores: pd.DataFrame):
    long = {method: f"{label}, a name of some forty letters and more" for method, label in LABELS.items()}
    figure = metric_against_factor(frame_means(scores), "psnr", **SHOWN | {"labels": long})
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert len(figure.legends) == 1
    assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1


def test_bracket_text_is_the_corrected_p(scores: pd.DataFrame, comparisons: pd.DataFrame):
    numbered = comparisons.assign(p_corrected=[0.001 * (i + 1) for i in range(len(comparisons))])
    axes = metric_boxplots(frame_means(scores), numbered, "ssim", **SHOWN).axes[1]
    row = numbered.query("K == 4 and metric == 'ssim' and method == 'cae' and baseline == 'linear'").iloc[0]
    brackets = [line for line in axes.lines if line.get_gid() == "bracket"]
    widest = max(brackets, key=lambda b: np.ptp(b.get_xdata()))
    nearest = min(
        (t for t in axes.texts if t.get_gid() == "bracket-p"),
        key=lambda t: abs(t.xy[1] - max(widest.get_ydata())),
    )
    assert nearest.get_text() == f"p = {row['p_corrected']:.2g}"


def test_every_subject_is_a_point_and_infinite_ones_are_told(scores: pd.DataFrame, comparisons: pd.DataFrame):
    axes = metric_boxplots(frame_means(scores), comparisons, "psnr", **SHOWN).axes[0]
    points = {line.get_gid(): len(line.get_xdata()) for line in axes.lines if line.get_gid() != "bracket"}
    assert {method: points.get(f"subjects-{method}") for method in LABELS} == {
        method: None if method == "oracle" else 5 for method in LABELS
    }
    assert axes.get_xlabel() == "not drawn: Oracle (5 of 5: ∞)"
    one = scores["subject"].eq("sub-00") & scores["method"].eq("linear") & scores["slice"].eq(1)
    partly = scores.assign(value=scores["value"].where(~(one & scores["metric"].eq("psnr")), np.inf))
    axes = metric_boxplots(frame_means(partly), comparisons, "psnr", **SHOWN).axes[0]
    assert "not drawn: Linear (1 of 5: ∞)" in axes.get_xlabel()


def test_comparisons_of_a_method_that_was_not_scored_are_refused(
    scores: pd.DataFrame, comparisons: pd.DataFrame
):
    with pytest.raises(InputError, match="lanczos"):
        metric_boxplots(frame_means(scores[scores["method"] != "lanczos"]), comparisons, "ssim", **SHOWN)


def test_no_comparisons_no_brackets(scores: pd.DataFrame, comparisons: pd.DataFrame):
    figure = metric_boxplots(frame_means(scores), comparisons.iloc[:0], "ssim", **SHOWN)
    assert not [line for axes in figure.axes for line in axes.lines if line.get_gid() == "bracket"]


def test_lines_show_mean_and_sd_of_the_results_table(scores: pd.DataFrame):
    figure = metric_against_factor(frame_means(scores), "lpips", **SHOWN)
    axes = figure.axes[0]
    table = results_table(frame_means(scores), **SHOWN).set_index("method")
    drawn = {container.get_label(): container for container in axes.containers}
    assert list(drawn) == [label for method, label in LABELS.items() if method != "oracle"]
    for method, label in LABELS.items():
        if method != "oracle":
            line, _, (bars,) = drawn[label]
            np.testing.assert_allclose(line.get_ydata().astype(float), table.loc[method, "lpips_mean"])
            sd = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
            np.testing.assert_allclose(sd, table.loc[method, "lpips_sd"])
    assert axes.get_xticks().tolist() == [2, 4]
    assert axes.get_xlabel().endswith("not drawn: Oracle (0.000 at K = 2, 4)")
    assert axes.get_ylabel() == "LPIPS, lower is better"


def test_seeds_are_shown_when_there_are_several():
    scores = synthetic_scores(seeds=(0, 1, 2), slices=5, subjects=3)
    axes = metric_against_factor(frame_means(scores), "ssim", **SHOWN).axes[0]
    dots = [line for line in axes.lines if line.get_gid() == "seed"]
    assert [len(line.get_xdata()) for line in dots] == [6, 6]


def test_limits_hold_what_is_compared_and_leave_far_controls_out():
    compared = np.array([[0.6, 0.7], [0.65, 0.8]])
    low, high = visible_limits(compared, np.array([[1.05, 1.05], [0.45, 0.55]]))
    assert low < 0.45
    assert 0.8 < high < 0.9
    low, high = visible_limits(compared, np.array([[1.05, 1.05], [0.3, 0.35], [np.inf, np.inf]]))
    assert 0.55 < low < 0.6
    assert 0.8 < high < 0.9
    assert visible_limits(np.array([[np.inf, np.inf]]), np.array([[np.nan, np.nan]])) == (0.0, 1.0)


def test_styles_differ_by_more_than_colour_and_controls_are_grey():
    styles = method_styles(LABELS, CONTROLS)
    compared = [styles[method] for method in LABELS if method not in CONTROLS]
    for name in ("colour", "marker", "line", "hatch"):
        assert len({str(getattr(style, name)) for style in compared}) == len(compared), name
    assert {styles[method].colour for method in CONTROLS} == {"0.55"}
    many = method_styles({f"m{i}": "" for i in range(30)})
    assert len({(s.colour, s.marker, str(s.line)) for s in many.values()}) == 30


def test_error_maps_share_one_scale_and_hold_the_absolute_error():
    images, reference = volumes()
    figure = panel()
    errors = images_of(figure, greys=False)
    assert len(errors) == 4
    scales = {(a.images[0].norm.vmin, a.images[0].norm.vmax) for a in errors}
    assert len(scales) == 1
    _, vmax = scales.pop()
    shown = [np.abs(images[m] - reference).astype(float) for m in ("linear", "cae")]
    every = np.concatenate([part.ravel() for e in shown for part in (e[1], e[:, 2, :])])
    assert vmax == pytest.approx(np.percentile(every, 99.5))
    np.testing.assert_allclose(errors[1].images[0].get_array(), np.rot90(shown[1][1]))


@pytest.mark.parametrize(("reformat", "ratio"), [("row", 3 / 2), ("column", 3 / 1)])
def test_aspect_is_the_ratio_in_mm(reformat: str, ratio: float):
    figure = panel(reformat=reformat)
    figure.draw_without_rendering()
    greys = images_of(figure, greys=True)
    assert len(greys) == 6
    for axes in greys[:3]:
        assert axes.get_aspect() == pytest.approx(2.0)
    for axes in greys[3:]:
        assert axes.get_aspect() == pytest.approx(ratio)
        rows, columns = axes.images[0].get_array().shape
        box = axes.get_window_extent()
        assert box.height / box.width == pytest.approx(ratio * rows / columns, rel=0.02)


def test_planes_are_turned_upright():
    _, reference = volumes()
    greys = images_of(panel(), greys=True)
    in_plane, through = (np.asarray(greys[i].images[0].get_array()) for i in (0, 3))
    assert in_plane[0, 0] == reference[1, 0, -1]  # top left: first row (left), last column (anterior)
    assert in_plane[-1, -1] == reference[1, -1, 0]
    assert through[0, 0] == reference[-1, 2, 0]  # top: last slice (superior)
    column = images_of(panel(reformat="column", index=5), greys=True)[3].images[0].get_array()
    np.testing.assert_array_equal(column, reference[::-1, :, 5])


def test_panel_psnr_is_of_the_crop_shown():
    images, reference = volumes()
    crop = (slice(1, 4), slice(0, 5), slice(2, 8))
    greys = images_of(panel(crop=crop), greys=True)
    assert [axes.get_title() for axes in greys[:3]] == ["Reference", "Linear", "CAE (λ = 0.05)"]
    assert greys[1].get_xlabel() == "∞ dB"
    planes = [v[1, 0:5, 2:8].astype(float) for v in (reference, images["cae"])]
    assert greys[2].get_xlabel() == f"{peak_signal_noise_ratio(*planes, data_range=1):.2f} dB"
    planes = [v[1:4, 2, 2:8].astype(float) for v in (reference, images["cae"])]
    assert greys[5].get_xlabel() == f"{peak_signal_noise_ratio(*planes, data_range=1):.2f} dB"
    assert greys[0].images[0].get_clim() == (0, 1)


def test_panel_refuses_what_does_not_fit():
    images, reference = volumes()
    with pytest.raises(InputError, match=r"Linear: shape \(4, 6, 8\)"):
        qualitative_panel(
            images | {"linear": images["linear"][1:]}, reference,
            spacing_mm=(1, 1, 1), slice_index=1, reformat="row", index=2, labels=LABELS,
        )  # fmt: skip
    with pytest.raises(InputError, match="index 1 of axis 0 asked for, shown are 2 to 4"):
        panel(crop=(slice(2, None), slice(None), slice(None)))
    with pytest.raises(InputError, match="index 9 of axis 1"):
        panel(index=9)
    with pytest.raises(InputError, match="cae"):
        panel(labels={"linear": "Linear"})


def history(best: int, steps: int = 12) -> pd.DataFrame:
    """Validation on every third row, its PSNR highest at step `best`; SSIM highest at the end."""
    step = np.arange(1, steps + 1) * 10
    validated = np.arange(steps) % 3 == 2
    psnr = np.where(validated, 25 - np.abs(step - best) / 100, np.nan)
    ssim = np.where(validated, step / 1000, np.nan)
    return pd.DataFrame({"step": step, "loss": 1 / step, "validation_ssim": ssim, "validation_psnr": psnr})


def test_training_curves_mark_the_best_checkpoint():
    loss, scores = training_curves({"CAE": history(60), "cae_mse": history(90)}).axes
    stars = [line for line in scores.lines if line.get_gid() == "best"]
    assert [float(line.get_xdata()[0]) for line in stars] == [60, 90]
    assert [float(line.get_ydata()[0]) for line in stars] == [25, 25]
    assert loss.get_yscale() == "log"
    curves = [line for line in scores.lines if line.get_gid() != "best"]
    assert [line.get_xdata().tolist() for line in curves] == [[30, 60, 90, 120]] * 2
    by_ssim = training_curves({"CAE": history(60)}, criterion="validation_ssim").axes[1]
    assert [line.get_xdata()[0] for line in by_ssim.lines if line.get_gid() == "best"] == [120]


def test_training_curves_refuse_a_history_without_validation():
    with pytest.raises(InputError, match="CAE: no values in \\['validation_psnr'\\]"):
        training_curves({"CAE": history(60).drop(columns="validation_psnr")})
    with pytest.raises(InputError, match="validation_ssim"):
        training_curves({"CAE": history(60).assign(validation_ssim=np.nan)}, criterion="validation_ssim")


@pytest.mark.parametrize("suffix", [".pdf", ".png", ".svg"])
def test_equal_figures_give_equal_files(suffix: str, scores, comparisons, tmp_path: Path):
    for name in ("a", "b"):
        save(metric_boxplots(frame_means(scores), comparisons, "ssim", **SHOWN), tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert not re.search(rb"CreationDate|ModDate|<dc:date>", first)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_saved_files_have_embedded_fonts_and_print_resolution(scores: pd.DataFrame, tmp_path: Path):
    figure = metric_against_factor(frame_means(scores), "ssim", **SHOWN)
    save(figure, tmp_path / "f.pdf")
    pdf = (tmp_path / "f.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    save(figure, tmp_path / "f.png")
    with Image.open(tmp_path / "f.png") as image:
        assert image.size == tuple(round(200 * side) for side in figure.get_size_inches())
    with pytest.raises(InputError, match=r"'\.jpg'"):
        save(figure, tmp_path / "f.jpg")


def test_nothing_is_cut_off(scores: pd.DataFrame, comparisons: pd.DataFrame):
    figures = [
        metric_boxplots(frame_means(scores), comparisons, "psnr", supervised={"cae"}, **SHOWN),
        metric_against_factor(frame_means(scores), "psnr", supervised={"cae"}, **SHOWN),
        panel(),
        training_curves({"CAE, K = 2": history(60), "CAE, K = 4": history(90)}),
    ]
    for figure in figures:
        figure.draw_without_rendering()
        content, page = figure.get_tightbbox(), figure.bbox_inches
        assert content.x0 >= -0.01
        assert content.y0 >= -0.01
        assert content.x1 <= page.width + 0.01
        assert content.y1 <= page.height + 0.01


@pytest.mark.parametrize("width", [2.5, 4.6, 7.2])
def test_a_title_is_not_wider_than_its_figure(width: float) -> None:
    figure = Figure(figsize=(width, 2))
    title_above(
        figure, "Synthesised slices, whole image, protocol strict; Mean ± SD over subjects " * 3 + "\nlast"
    )
    title = figure._suptitle  # type: ignore[attr-defined]
    assert title.get_window_extent().width <= figure.bbox.width
    assert title.get_text().splitlines()[-1] == "last", "lines of the text stay lines"


def test_degradation_curves_go_from_the_clean_scans_to_each_perturbation():
    means = {"clean": 30.0, "noise2": 28.0, "noise5": 25.0, "moved": 27.0}
    rows = [
        (dataset, method, K, 1, "strict", f"s{i}", 0, 1, "synthesised", "whole", "psnr", mean + gain + i + K)
        for dataset, mean in means.items()
        for K in ((3, 4) if dataset == "clean" else (4,))
        for method, gain in (("linear", 0.0), ("cae", 1.0), ("oracle", np.inf))
        for i in (-1, 0, 1)
    ]
    scores = check_scores(pd.DataFrame(rows, columns=[*KEYS, "value"]))
    of = {name: {"kind": "Noise", "level": name[5:]} for name in ("noise2", "noise5")}
    of |= {"moved": {"kind": "Motion", "level": "1 mm"}}
    labels = {"oracle": "Oracle", "linear": "Linear", "cae": "CAE"}
    figure = degradation_curves(frame_means(scores), "psnr", of, labels=labels, controls={"oracle"})
    drawn = {line.get_gid(): list(line.get_ydata()) for axes in figure.axes for line in axes.lines}
    assert drawn["Noise cae"] == [35, 33, 30]
    assert drawn["Motion linear"] == [34, 31]
    assert drawn["K cae"] == [34, 35]
    assert len(drawn) == 2 * 3
    with pytest.raises(InputError, match="found no clean and perturbed dataset"):
        degradation_curves(
            frame_means(scores[scores["dataset"] == "clean"]), "psnr", of, labels=labels, controls={"oracle"}
        )
