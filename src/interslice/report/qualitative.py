"""Figures of images and of trainings: volumes or histories in, a matplotlib Figure out."""

from collections.abc import Mapping
from textwrap import fill
from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from interslice.analysis.rows import check_labels
from interslice.common.errors import InputError
from interslice.common.similarity import decibels
from interslice.report.formatting import decimals_of, format_value
from interslice.report.style import STYLE, WIDTH_INCHES, MethodStyle, legend_below, method_styles

Crop = tuple[slice, slice, slice]
ERROR_COLOURS = "inferno"
ROW_LABEL, UNDER_IMAGE, GAP = 0.22, 0.2, 0.05
TITLE_LINE, TITLE_CHARACTERS = 0.13, 15  # inches a line, characters an inch
HISTORY_COLUMNS = ("step", "loss", "validation_ssim", "validation_psnr")
SMOOTHED_ABOVE = 200


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
    error_max: float | None = None,
) -> Figure:
    """One slice and one through-plane reformat of the reference and of every method, with |error| maps.

    `volumes` (method to array) and `reference` are (slices, rows, columns) in [0, 1], spaced `spacing_mm`
    (slice, row, column); the figure's columns follow `labels`. `slice_index` picks the slice; `reformat`
    ("row" or "column") says which in-plane index is held at `index`. Both count in the uncropped volume;
    `crop` is what is shown, and what the PSNR under an image is of. Images are turned so that for slice, row,
    column = superior, right, anterior the top is anterior or superior. All error maps share the scale 0 to
    `error_max` (default: 99.5th percentile of the errors shown). Raises InputError for shapes that differ, a
    missing label or an index outside what is shown.
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
    scale = Normalize(0, error_max or max(float(np.percentile(everything, 99.5)), 1e-3))
    with mpl.rc_context(STYLE):
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
    heights = {}
    for view, images in views.items():
        rows, columns = images["Reference"].shape
        heights[view] = width * aspects[view] * rows / columns
    characters = max(8, int(width * TITLE_CHARACTERS))
    longest = max(len(word) for name in names for word in name.split())
    titles = {name: fill(name, max(characters, longest)) for name in names}
    fontsize = 8 * min(1, characters / longest)  # no word is broken
    header = 0.07 + TITLE_LINE * max(title.count("\n") + 1 for title in titles.values())
    total = header + sum(2 * height + UNDER_IMAGE + 2 * GAP for height in heights.values())
    figure = Figure(figsize=(WIDTH_INCHES, total))
    figure.set_layout_engine("none")

    def cell(column: int, top: float, height: float) -> Axes:
        left = ROW_LABEL + column * (width + GAP)
        axes = figure.add_axes(
            (left / WIDTH_INCHES, 1 - (top + height) / total, width / WIDTH_INCHES, height / total)
        )
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        return axes

    top = header
    for view, images in views.items():
        height = heights[view]
        error_top = top + height + UNDER_IMAGE
        for column, name in enumerate(names):
            axes = cell(column, top, height)
            axes.imshow(
                images[name], cmap="gray", vmin=0, vmax=1, aspect=aspects[view], interpolation="nearest"
            )
            if view == "in-plane":
                axes.set_title(titles[name], fontsize=fontsize, pad=3)
            if column == 0:
                axes.set_ylabel(view)
                continue
            error = errors[view][name]
            shown = decibels(float(np.mean(error**2)), data_range=1.0)
            axes.set_xlabel(f"PSNR {format_value(shown, decimals_of('psnr'))} dB", fontsize=7, labelpad=2)
            axes = cell(column, error_top, height)
            axes.imshow(error, cmap=ERROR_COLOURS, norm=scale, aspect=aspects[view], interpolation="nearest")
            if column == 1:
                axes.set_ylabel("|error|", labelpad=2)
        top = error_top + height + 2 * GAP
    _colour_bar(
        figure,
        scale,
        width,
        (header + heights["in-plane"] + UNDER_IMAGE, heights["in-plane"]),
        total,
        clipped,
    )
    return figure


def _colour_bar(
    figure: Figure, scale: Normalize, width: float, cell: tuple[float, float], total: float, clipped: bool
) -> None:
    """One bar for all error maps, in the empty cell under the first reference image."""
    top, height = cell
    middle = 1 - (top + 0.4 * height) / total
    left = (ROW_LABEL + 0.1 * width) / WIDTH_INCHES
    axes = figure.add_axes((left, middle, 0.75 * width / WIDTH_INCHES, 0.1 / total), label="error scale")
    bar = figure.colorbar(
        ScalarMappable(scale, ERROR_COLOURS),
        cax=axes,
        orientation="horizontal",
        extend="max" if clipped else "neither",
    )
    bar.set_label("|error|, one scale\nfor all maps", fontsize=7)
    bar.ax.xaxis.set_major_locator(MaxNLocator(3))
    bar.ax.tick_params(labelsize=6.5)


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
    styles = method_styles(histories)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 3.0))
        loss_axes, score_axes = figure.subplots(1, 2)
        for name, history in histories.items():
            missing = [column for column in HISTORY_COLUMNS if column not in history]
            if missing or history[criterion].notna().sum() == 0:
                raise InputError(f"history of {name}: no values in {missing or [criterion]}")
            _draw_history(loss_axes, score_axes, name, history, criterion, styles[name])
        loss_axes.set(xlabel="Training step", ylabel="Training loss", yscale="log")
        loss_axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss_axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        loss_axes.yaxis.set_minor_formatter(NullFormatter())
        score_axes.set(xlabel="Training step", ylabel="Validation PSNR (dB)")
        handles, names = score_axes.get_legend_handles_labels()
        legend_below(figure, handles, names)
        measure = criterion.removeprefix("validation_").upper()
        figure.suptitle(
            f"Validation on synthesised slices; star: checkpoint kept, best {measure}", fontsize=7.5
        )
    return figure


def _draw_history(
    loss_axes: Axes, score_axes: Axes, name: str, history: pd.DataFrame, criterion: str, style: MethodStyle
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
    score_axes.plot(
        validated["step"], validated["validation_psnr"], marker=style.marker, markersize=3, label=name, **look
    )
    score_axes.plot(
        best["step"], best["validation_psnr"], marker="*", markersize=11, color=style.colour,
        markeredgecolor="black", zorder=4, gid="best",
    )  # fmt: skip
