"""Quality against cost as a table for people and as a figure."""

import textwrap
from itertools import product

import pandas as pd
from matplotlib.figure import Figure

from interslice.analysis.results import table_metrics
from interslice.report.formatting import (
    Cell,
    ShownTable,
    decimals_of,
    marks_note,
    metric_name,
    number,
    table_of,
)
from interslice.report.style import (
    WIDTH_INCHES,
    legend_below,
    method_styles,
    names_of,
    styled,
    title_above,
    value_label,
)

SHOWN = "psnr"  # the metric of the figure
SCANS = (1, 1000)
NOTE = (
    "Means over test subjects. Seconds: interpolation alone, medians over subjects but the first, which warms up; of one whole "
    "volume, and of a million of its voxels. Memory: the largest of a volume."
)


def shown_costs(table: pd.DataFrame) -> list[ShownTable]:
    """A table per dataset and K of a `cost_table`: method, what it was trained on, metrics, seconds and memory."""
    shown = []
    for (dataset, factor), part in table.groupby(["dataset", "K"], sort=False):
        metrics = table_metrics(part)
        rows = [
            {
                "Method": row["label"],
                "high-resolution training data": "yes (supervised)†" if row["supervised"] else "no",
                **{
                    metric_name(metric, arrow=True): number(row[f"{metric}_mean"], decimals_of(metric))
                    for metric in metrics
                },
                "s per volume": _seconds(row["seconds"]),
                "s per 10⁶ voxels": _seconds(row["seconds_per_million"]),
                "training (s)": _training(row),
                "peak memory (MiB)": number(row["peak_mib"], 0),
            }
            for _, row in part.iterrows()
        ]
        marks = marks_note(["†" if part["supervised"].any() else "", *part["label"]])
        caption = f"{dataset}, K = {factor}: quality and cost, synthesised slices, whole image"
        shown.append(table_of(caption, rows, (NOTE, *marks)))
    return shown


def _training(row: pd.Series) -> str:
    """Updates, seconds and end of what a method has learned."""
    if pd.isna(row["ended"]):
        return "–"
    updates = "" if pd.isna(row["updates"]) else f"{row['updates']:,.0f} updates, "
    seconds = "in the scan's" if row["per_scan"] else f"{row['training_seconds']:,.0f}"
    return f"{updates}{seconds} ({row['ended']})"


def _seconds(seconds: float) -> Cell:
    return Cell(f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}", float(seconds))


def total_seconds(row: pd.Series, scans: int) -> float:
    """Seconds for so many scans: one training, unless a method learns from every scan, and as many interpolations."""
    once = 0.0 if pd.isna(row["ended"]) or row["per_scan"] else float(row["training_seconds"])
    return once + scans * float(row["seconds"])


@styled
def quality_against_seconds(table: pd.DataFrame) -> Figure:
    """Mean PSNR of a `cost_table` against all seconds (logarithmic), training and interpolation, above for one scan, below for
    a thousand; a column per dataset and K, supervised methods hollow."""
    labels = dict(zip(table["method"], table["label"], strict=True))
    supervised = set(table.loc[table["supervised"], "method"])
    styles = method_styles(labels, supervised=supervised)
    views = list(table.groupby(["dataset", "K"], sort=False))
    figure = Figure(figsize=(WIDTH_INCHES, 5.4))
    panels = figure.subplots(len(SCANS), len(views), squeeze=False, sharey="col")
    for (scans, view), axes in zip(product(SCANS, views), panels.ravel(), strict=True):
        (dataset, factor), rows = view
        for _, row in rows.iterrows():
            style, hollow = styles[row["method"]], row["method"] in supervised
            axes.plot(
                total_seconds(row, scans), row[f"{SHOWN}_mean"], style.marker, color=style.colour, markersize=6,
                markerfacecolor="none" if hollow else style.colour, label=style.name,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_title(f"{textwrap.fill(str(dataset), 96 // len(views))}\nK = {factor}", fontsize=7)
        axes.set_xlabel(f"Seconds for {'one scan' if scans == 1 else f'{scans:,} scans'}")
        axes.grid(alpha=0.3, linewidth=0.5)
    for axes in panels[:, 0]:
        axes.set_ylabel(value_label(SHOWN))
    legend_below(figure)
    title = "Mean over test subjects, synthesised slices, whole image; seconds of training and interpolation"
    title_above(figure, title, names_of(styles))
    return figure
