"""An ablation table for people, and its forest plot."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interslice.analysis.ablation import DIFFERENCE, KEYS
from interslice.analysis.rows import describe, metric_order
from interslice.common.errors import InputError
from interslice.report.formatting import (
    Cell,
    ShownTable,
    decimals_of,
    estimated,
    format_value,
    marks_note,
    metric_name,
    number,
    table_of,
)
from interslice.report.style import COLOURS, MUTED, WIDTH_INCHES, styled, title_above
from interslice.scoring.registry import METRICS

ONE_SEED = (
    "One training each: the interval is over subjects and does not cover what another training would give, which can be as "
    "much as the differences here."
)
SEEDS = "Intervals hold the variance between trainings."


def shown_ablation(table: pd.DataFrame) -> list[ShownTable]:
    """An ablation table as one shown table per dataset and K: the base's means, then every variant's differences."""
    shown = []
    for (dataset, factor), part in table.groupby(KEYS):
        metrics = metric_order(list(part["metric"].unique()))
        methods = list(dict.fromkeys(part["method"]))
        rows = [
            _row(part[part["method"] == method].set_index("metric").loc[metrics], method == methods[0])
            for method in methods
        ]
        caption = f"{dataset}, K = {factor}: difference to {part['label'].iloc[0]}; {describe(part.iloc[0])}"
        notes = [
            f"First row: means of the base. Below: Hodges-Lehmann difference over subjects (n = {part['n'].iloc[0]}) with its "
            f"{_level(part)} interval; positive favours the variant, whichever way the metric points.",
            SEEDS if _repeated(part) else ONE_SEED,
            "s / step: wall time of a training with its validations, on a machine that may have had other work.",
        ]
        notes += marks_note(part["label"])
        if part["nonfinite"].any():
            bad = part[part["nonfinite"] > 0]
            counts = (f"{r.label} {metric_name(str(r.metric))} {r.nonfinite}" for r in bad.itertuples())
            notes.append(f"Scores that are not finite (counted, none dropped): {', '.join(counts)}.")
        shown.append(table_of(caption, rows, notes))
    return shown


def _level(table: pd.DataFrame) -> str:
    """The level that the intervals have; every comparison of a table has the same subjects."""
    return f"{100 * table['level'].max():.1f} %"


def _repeated(table: pd.DataFrame) -> bool:
    return bool((table["seeds"].dropna() > 1).all())


def _row(rows: pd.DataFrame, is_base: bool) -> dict[str, Cell | str]:
    first = rows.iloc[0]
    cells: dict[str, Cell | str] = {
        "Variant": first["label"],
        "Parameters": Cell(f"{first['parameters']:,}", float(first["parameters"])),
        "s / step": number(first["seconds_per_step"], 2),
    }
    for metric, row in rows.iterrows():
        name, decimals = metric_name(str(metric)), decimals_of(str(metric))
        cells[name] = number(row["mean"], decimals) if is_base else estimated(row, decimals, signed=True)
    return cells


@styled
def ablation_figure(table: pd.DataFrame) -> Figure:
    """A forest plot of an ablation table of one dataset and K: a row per variant, a panel per metric.

    The point is the difference to the base over subjects, the line its interval; filled where the interval has the variance
    between trainings in it and leaves zero out. What is not finite is named under the axis. InputError for more than one
    dataset and K.
    """
    if len(table.groupby(KEYS)) != 1:
        raise InputError(
            f"ablation figure: found {len(table.groupby(KEYS))} pairs of dataset and K, allowed is 1"
        )
    first = table.iloc[0]
    variants = table[table["method"] != first["method"]]
    metrics, labels = metric_order(list(table["metric"].unique())), list(dict.fromkeys(variants["label"]))
    figure = Figure(figsize=(WIDTH_INCHES, 1.5 + 0.22 * len(labels)))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        base = table[(table["method"] == first["method"]) & (table["metric"] == metric)]["mean"].iloc[0]
        _forest(axes, variants[variants["metric"] == metric].set_index("label").loc[labels])
        axes.set_title(f"{metric_name(metric)}\nbase: {format_value(base, decimals_of(metric))}")
        axes.set_xlabel(
            axes.get_xlabel() or ("difference" if METRICS[metric].best == math.inf else "nearer to best")
        )
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.4, -0.6)
    title_above(
        figure,
        f"{first['dataset']}, K = {first['K']}: variants against {first['label']}; {describe(first)}\n"
        f"difference over {first['n']} subjects, {_level(table)} interval; right of 0 is better; "
        + ("filled: 0 is outside" if _repeated(table) else "one training each, so none is filled"),
    )
    return figure


def _forest(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the differences of one metric; rows in order, labelled by their index."""
    axes.axvline(0, color=MUTED, linewidth=0.8)
    hidden = []
    for y, (label, row) in enumerate(rows.iterrows()):
        value, low, high = (float(row[name]) for name in DIFFERENCE)
        if not np.isfinite(value):
            hidden.append(f"{label}: {format_value(value, 2)}")
            continue
        decided = row["seeds"] > 1 and (low > 0 or high < 0)
        axes.plot([low, high], [y, y], color=COLOURS[0], gid="interval")
        axes.plot(
            value, y, "o", color=COLOURS[0], markerfacecolor=COLOURS[0] if decided else "white",
            gid="decided" if decided else "open",
        )  # fmt: skip
    axes.grid(axis="y", color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(axis="y", length=0)
    if hidden:
        axes.set_xlabel("not drawn: " + "; ".join(hidden))
