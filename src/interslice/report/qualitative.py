"""Figures of images and of trainings: volumes or histories in, a matplotlib Figure out."""

from collections.abc import Mapping
from textwrap import fill
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from interslice.analysis.rows import check_labels
from interslice.common.errors import InputError
from interslice.common.similarity import decibels
from interslice.report.formatting import decimals_of, format_value, marks_note
from interslice.report.style import WIDTH_INCHES, MethodStyle, legend_below, method_styles, styled

Crop = tuple[slice, slice, slice]
ERROR_COLOURS = "inferno"
ROW_LABEL, UNDER_IMAGE, GAP = 0.22, 0.2, 0.05
LINE_INCHES, TITLE_CHARACTERS = 0.13, 15  # inches a line, characters an inch
HISTORY_COLUMNS = ("step", "loss", "validation_ssim", "validation_psnr")
SMOOTHED_ABOVE = 200


@styled
def qualitative_panel(
    volumes: Mapping[str, np.ndarray],
    reference: np.ndarray,
    *,
    spacing_mm: tuple[float, float, float],
    slice_index: int,
    reformat: Literal["row", "column"],
    index: int,
    labels: Mapping[str, str],
    crop: Crop | None = None,
) -> Figure:
    """One slice and one through-plane reformat of the reference and of every method, with |error| maps.

    `volumes` (method to array) and `reference` are (slices, rows, columns) in [0, 1], spaced `spacing_mm`
    (slice, row, column); the figure's columns follow `labels`. `slice_index` picks the slice; `reformat`
    ("row" or "column") says which in-plane index is held at `index`. Both count in the uncropped volume;
    `crop` is what is shown, and what the PSNR under an image is of. Images are turned so that for slice, row,
    column = superior, right, anterior the top is anterior or superior. All error maps share the scale 0 to the
    99.5th percentile of the errors shown. Raises InputError for shapes that differ, a missing label or an index outside
    what is shown.
    """
    check_labels(pd.Series(list(volumes)), labels)
    methods = [method for method in labels if method in volumes]
    shown = {"Reference": reference} | {labels[method]: volumes[method] for method in methods}
    for name, volume in shown.items():
        if volume.shape != reference.shape:
            raise InputError(
                f"{name}: shape {volume.shape} found, allowed is the reference's {reference.shape}"
            )
    crop = crop or (slice(None), slice(None), slice(None))
    axis = {"row": 1, "column": 2}[reformat]
    views = {
        "in-plane": {name: _view(volume, crop, 0, slice_index) for name, volume in shown.items()},
        "through-plane": {name: _view(volume, crop, axis, index) for name, volume in shown.items()},
    }
    slice_mm, row_mm, column_mm = spacing_mm
    aspects = {
        "in-plane": column_mm / row_mm,
        "through-plane": slice_mm / (column_mm if axis == 1 else row_mm),
    }
    errors = {
        view: {name: np.abs(image - images["Reference"]) for name, image in list(images.items())[1:]}
        for view, images in views.items()
    }
    everything = np.concatenate([error.ravel() for maps in errors.values() for error in maps.values()])
    scale = Normalize(0, max(float(np.percentile(everything, 99.5)), 1e-3))
    return _lay_out(views, errors, aspects, scale, clipped=bool(everything.max() > scale.vmax))


def _view(volume: np.ndarray, crop: Crop, axis: int, index: int) -> np.ndarray:
    """The plane at `index` of `axis` as float64, cropped, the later axis of the volume up or to the right."""
    shown = range(volume.shape[axis])[crop[axis]]
    if index not in shown:
        raise InputError(
            f"panel: index {index} of axis {axis} asked for, shown are {shown.start} to {shown.stop - 1}"
        )
    plane = np.take(volume, index, axis)[tuple(part for i, part in enumerate(crop) if i != axis)].astype(
        np.float64
    )
    return np.rot90(plane) if axis == 0 else plane[::-1]


def _lay_out(
    views: dict[str, dict[str, np.ndarray]],
    errors: dict[str, dict[str, np.ndarray]],
    aspects: dict[str, float],
    scale: Normalize,
    *,
    clipped: bool,
) -> Figure:
    names = list(views["in-plane"])
    width = (WIDTH_INCHES - ROW_LABEL - GAP * len(names)) / len(names)
    shapes = {view: images["Reference"].shape for view, images in views.items()}
    heights = {view: width * aspects[view] * rows / columns for view, (rows, columns) in shapes.items()}
    titles, fontsize = _titles(names, width)
    marks = marks_note(names)
    header = 0.07 + LINE_INCHES * max(title.count("\n") + 1 for title in titles)
    footer = LINE_INCHES * len(marks)
    total = header + footer + sum(2 * height + UNDER_IMAGE + 2 * GAP for height in heights.values())
    figure = Figure(figsize=(WIDTH_INCHES, total))
    figure.set_layout_engine("none")
    figure.text(0.5, 0.03 / total, "\n".join(marks), ha="center", va="bottom", fontsize=7)

    def row_of_cells(top: float, height: float, label: str) -> list[Axes]:
        lefts = [(ROW_LABEL + column * (width + GAP)) / WIDTH_INCHES for column in range(len(names))]
        place = 1 - (top + height) / total, width / WIDTH_INCHES, height / total
        cells = [figure.add_axes((left, *place)) for left in lefts]
        for axes in cells:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        cells[0].set_ylabel(label)
        return cells

    top = header
    for view, images in views.items():
        greys = row_of_cells(top, heights[view], view)
        maps = row_of_cells(top + heights[view] + UNDER_IMAGE, heights[view], "|error|")
        _draw_view(greys, maps, list(images.values()), list(errors[view].values()), aspects[view], scale)
        if view == "in-plane":
            for axes, title in zip(greys, titles, strict=True):
                axes.set_title(title, fontsize=fontsize, pad=3)
            _colour_bar(maps[0], scale, clipped)
        top += 2 * heights[view] + UNDER_IMAGE + 2 * GAP
    return figure


def _titles(names: list[str], width: float) -> tuple[list[str], float]:
    """Names broken between words to the width of an image in inches, and the font size at which the longest word fits."""
    longest = max(len(word) for name in names for word in name.split())
    characters = max(8, int(width * TITLE_CHARACTERS))
    return [fill(name, max(characters, longest)) for name in names], 8 * min(1, characters / longest)


def _draw_view(
    greys: list[Axes],
    maps: list[Axes],
    images: list[np.ndarray],
    errors: list[np.ndarray],
    aspect: float,
    scale: Normalize,
) -> None:
    """A row of images, the reference first, with the PSNR under each other, and under them their error maps."""
    for axes, image in zip(greys, images, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    greys[0].set_xlabel("PSNR", fontsize=7, labelpad=2)
    for axes, under, error in zip(greys[1:], maps[1:], errors, strict=True):
        shown = decibels(float(np.mean(error**2)), data_range=1.0)
        axes.set_xlabel(f"{format_value(shown, decimals_of('psnr'))} dB", fontsize=7, labelpad=2)
        under.imshow(error, cmap=ERROR_COLOURS, norm=scale, aspect=aspect, interpolation="nearest")


def _colour_bar(cell: Axes, scale: Normalize, clipped: bool) -> None:
    """One bar for all error maps, in the empty cell under the first reference image."""
    bar = cell.figure.colorbar(
        ScalarMappable(scale, ERROR_COLOURS), cax=cell.inset_axes((0.08, 0.62, 0.75, 0.08)),
        orientation="horizontal", extend="max" if clipped else "neither", ticks=[0, scale.vmax],
        format=lambda value, _: f"{value:.2g}",
    )  # fmt: skip
    bar.set_label("one scale\nfor all maps", fontsize=6.5)
    bar.ax.tick_params(labelsize=6.5)


@styled
def training_curves(
    histories: Mapping[str, pd.DataFrame],
    *,
    criterion: Literal["validation_psnr", "validation_ssim"] = "validation_psnr",
) -> Figure:
    """Loss (log) and validation PSNR against the step; a star marks the best `criterion`.

    A history has columns step, loss, validation_ssim and validation_psnr (dB, synthesised slices); validation
    may be NaN on rows where it was not run. A loss with more than 200 rows is drawn with its running mean.
    Raises InputError for a missing column or a history without validation.
    """
    styles = method_styles({name: name for name in histories})
    figure = Figure(figsize=(WIDTH_INCHES, 3.0))
    loss_axes, score_axes = figure.subplots(1, 2)
    for name, history in histories.items():
        missing = [column for column in HISTORY_COLUMNS if column not in history]
        if missing or history[criterion].notna().sum() == 0:
            raise InputError(f"history of {name}: no values in {missing or [criterion]}")
        _draw_history(loss_axes, score_axes, history, criterion, styles[name])
    loss_axes.set(xlabel="Training step", ylabel="Training loss", yscale="log")
    loss_axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss_axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    loss_axes.yaxis.set_minor_formatter(NullFormatter())
    score_axes.set(xlabel="Training step", ylabel="Validation PSNR (dB)")
    legend_below(figure)
    measure = criterion.removeprefix("validation_").upper()
    figure.suptitle(f"Validation on synthesised slices; star: checkpoint kept, best {measure}", fontsize=7.5)
    return figure


def _draw_history(
    loss_axes: Axes, score_axes: Axes, history: pd.DataFrame, criterion: str, style: MethodStyle
) -> None:
    look = {"color": style.colour, "linestyle": style.line}
    loss = history.dropna(subset="loss")
    if len(loss) > SMOOTHED_ABOVE:
        loss_axes.plot(loss["step"], loss["loss"], color=style.colour, alpha=0.25, linewidth=0.5)
        smooth = loss["loss"].rolling(len(loss) // 40, center=True, min_periods=1).mean()
        loss_axes.plot(loss["step"], smooth, **look)
    else:
        loss_axes.plot(loss["step"], loss["loss"], marker=style.marker, markersize=3, **look)
    validated = history.dropna(subset=criterion)
    best = validated.iloc[int(validated[criterion].argmax())]
    score_axes.plot(validated["step"], validated["validation_psnr"], markersize=3, **style.drawn)
    score_axes.plot(
        best["step"], best["validation_psnr"], marker="*", markersize=11, color=style.colour,
        markeredgecolor="black", zorder=4, gid="best",
    )  # fmt: skip
