"""Quality against cost as a table for people and as a figure."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from interslice.analysis.results import table_metrics
from interslice.report.formatting import (
    BUDGET_MARK,
    BUDGET_NOTE,
    SUPERVISED_NOTE,
    decimals_of,
    format_value,
    metric_name,
)
from interslice.report.style import (
    STYLE,
    WIDTH_INCHES,
    legend_below,
    marks_note,
    method_styles,
    shown_names,
    title_above,
    value_label,
)

SHOWN = "psnr"  # the metric of the figure


def cost_markdown(table: pd.DataFrame) -> str:
    """One Markdown table per dataset and K: method, what it was trained on, metrics, seconds and memory."""
    parts = []
    for (dataset, factor), rows in table.groupby(["dataset", "K"], sort=False):
        metrics = table_metrics(rows)
        header = [
            "Method",
            "high-resolution training data",
            *(metric_name(metric, arrow=True) for metric in metrics),
            "s per volume",
            "training (s)",
            "peak memory (MiB)",
        ]
        lines = [
            f"**{dataset}, K = {factor}**",
            "",
            _row(header),
            _row([":---", ":---"] + ["---:"] * (len(header) - 2)),
        ]
        for _, row in rows.iterrows():
            values = [format_value(row[f"{metric}_mean"], decimals_of(metric)) for metric in metrics]
            cost = [f"{row['seconds']:.2g}" if row["seconds"] < 10 else f"{row['seconds']:.0f}"]
            cost += [
                _training(row),
                f"{row['peak_mib']:.0f}",
            ]
            supervised = "yes (supervised)†" if row["supervised"] else "no"
            lines.append(_row([row["label"], supervised, *values, *cost]))
        parts.append("\n".join(lines))
    notes = (
        "Means over test subjects, synthesised slices, whole image. Seconds and memory: one whole volume, "
        "interpolation alone."
    )
    marks = [SUPERVISED_NOTE] if table["supervised"].any() else []
    marks += [BUDGET_NOTE] if table["label"].str.contains(BUDGET_MARK).any() else []
    return "\n\n".join([*parts, "\n".join([notes, *marks])]) + "\n"


def _training(row: pd.Series) -> str:
    """Updates, seconds and end of what a method has learned."""
    if pd.isna(row["ended"]):
        return "–"
    updates = "" if pd.isna(row["updates"]) else f"{row['updates']:,.0f} updates, "
    seconds = "in the scan's" if row["per_scan"] else f"{row['training_seconds']:,.0f}"
    return f"{updates}{seconds} ({row['ended']})"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def quality_against_seconds(table: pd.DataFrame) -> Figure:
    """Mean PSNR of a `cost_table` against seconds per volume (logarithmic), a panel per dataset and K; supervised methods
    are hollow."""
    labels = dict(zip(table["method"], table["label"], strict=True))
    supervised = set(table.loc[table["supervised"], "method"])
    names, styles = shown_names(labels, supervised), method_styles(labels)
    views = list(table.groupby(["dataset", "K"], sort=False))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 2.2 + 1.6 * -(-len(views) // 2)))
        panels = figure.subplots(-(-len(views) // 2), min(2, len(views)), squeeze=False).ravel()
        for axes, ((dataset, factor), rows) in zip(panels, views, strict=False):
            for _, row in rows.iterrows():
                style, hollow = styles[row["method"]], row["method"] in supervised
                axes.plot(
                    row["seconds"], row[f"{SHOWN}_mean"], style.marker, color=style.colour, markersize=6,
                    markerfacecolor="none" if hollow else style.colour, label=names[row["method"]],
                )  # fmt: skip
            axes.set_xscale("log")
            axes.set_title(f"{dataset}, K = {factor}")
            axes.set_xlabel("Seconds per volume")
            axes.grid(alpha=0.3, linewidth=0.5)
        for axes in panels[len(views) :]:
            axes.set_visible(False)
        panels[0].set_ylabel(value_label(SHOWN))
        handles, texts = panels[0].get_legend_handles_labels()
        legend_below(figure, handles, texts)
        title_above(figure, f"Mean over test subjects, synthesised slices, whole image{marks_note(names)}")
    return figure
