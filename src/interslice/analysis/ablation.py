"""What each part of a method is worth: the long table and the trainings' costs in; a table and a forest plot out."""

import math
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interslice.analysis.rows import describe, mean_of, metric_order, select_scores
from interslice.analysis.statistics import compare
from interslice.common.errors import InputError
from interslice.report.formatting import Cell, Row, ShownTable, decimals_of, format_value, metric_name
from interslice.report.style import COLOURS, MUTED, STYLE, WIDTH_INCHES, title_above
from interslice.scoring.longtable import subject_means
from interslice.scoring.registry import METRICS

KEYS = ["dataset", "K"]
DIFFERENCE = ["median_difference", "ci_low", "ci_high"]
COLUMNS = [
    *KEYS, "protocol", "kind", "region", "method", "label", "parameters", "seconds_per_step", "metric", "mean", "n",
    *DIFFERENCE, "nonfinite",
]  # fmt: skip


def ablation_table(
    scores: pd.DataFrame,
    costs: pd.DataFrame,
    *,
    base: str,
    variants: Sequence[str],
    labels: Mapping[str, str],
    kind: str = "synthesised",
    region: str = "whole",
    protocol: str = "strict",
    confidence: float,
    bootstrap: int,
) -> pd.DataFrame:
    """One row per dataset, K, method (the base, then its variants in their order) and metric; unrounded.

    costs: dataset, K, method, parameters, seconds_per_step. Returns COLUMNS: mean is over subjects;
    median_difference, ci_low and ci_high are those of `statistics.compare`, in units of the metric, positive where
    the variant is better than the base, whichever way the metric points, and NaN on the base's rows. Raises
    InputError for no variants, a method without a cost, and as `select_scores` and `compare` do.
    """
    if not variants:
        raise InputError("ablation: found no variant under methods, at least 1 is needed")
    methods = [base, *variants]
    chosen = select_scores(scores, kind=kind, region=region, protocol=protocol, labels=labels)
    means = subject_means(chosen[chosen["method"].isin(methods)], kind, region)
    tests = compare(means, list(variants), [base], confidence=confidence, bootstrap=bootstrap)
    over_subjects = means.groupby([*KEYS, "method", "metric"])
    table = over_subjects.agg(
        mean=("value", mean_of), n=("subject", "size"), nonfinite=("nonfinite", "sum")
    ).reset_index()
    table = table.merge(costs, how="left", on=[*KEYS, "method"])
    missing = table[table["parameters"].isna()]
    if len(missing):
        one = missing.iloc[0]
        raise InputError(
            f"ablation: no training of {one['method']} found for {one['dataset']}, K = {one['K']}"
        )
    tests = tests[[*KEYS, "method", "metric", *DIFFERENCE]]
    table = table.merge(tests, how="left", on=[*KEYS, "method", "metric"])
    table = table.assign(label=table["method"].map(labels), protocol=protocol, kind=kind, region=region)
    ranks = {"method": methods, "metric": metric_order(list(table["metric"].unique()))}
    order = table[KEYS].assign(**{name: table[name].map(rank.index) for name, rank in ranks.items()})
    table = table.loc[order.sort_values(list(order.columns)).index, COLUMNS]
    return table.reset_index(drop=True).astype({"parameters": int})


def shown_ablation(table: pd.DataFrame, *, confidence: float) -> list[ShownTable]:
    """An ablation table as one shown table per dataset and K: the base's means, then every variant's differences."""
    shown = []
    for (dataset, factor), part in table.groupby(KEYS):
        metrics = metric_order(list(part["metric"].unique()))
        methods = list(dict.fromkeys(part["method"]))
        rows = [
            _row(part[part["method"] == method].set_index("metric").loc[metrics], method == methods[0])
            for method in methods
        ]
        columns = ("Variant", "Parameters", "s / step", *(metric_name(metric) for metric in metrics))
        caption = f"{dataset}, K = {factor}: difference to {part['label'].iloc[0]}; {describe(part.iloc[0])}"
        notes = [
            f"First row: means of the base. Below: median difference over subjects (n = {part['n'].iloc[0]}) with its "
            f"{100 * confidence:g} % bootstrap interval; positive favours the variant, whichever way the metric points.",
            "s / step: wall time of a training with its validations, on a machine that may have had other work.",
        ]
        if part["nonfinite"].any():
            bad = part[part["nonfinite"] > 0]
            counts = (f"{r.label} {metric_name(str(r.metric))} {r.nonfinite}" for r in bad.itertuples())
            notes.append(f"Scores that are not finite (counted, none dropped): {', '.join(counts)}.")
        shown.append(ShownTable(caption, columns, tuple(rows), tuple(notes)))
    return shown


def _row(rows: pd.DataFrame, is_base: bool) -> Row:
    first = rows.iloc[0]
    cells = [
        Cell(first["label"], first["label"]),
        Cell(f"{first['parameters']:,}", float(first["parameters"])),
        Cell(f"{first['seconds_per_step']:.2f}", float(first["seconds_per_step"])),
    ]
    for metric, row in rows.iterrows():
        decimals = decimals_of(str(metric))
        if is_base:
            cells.append(Cell(format_value(row["mean"], decimals), float(row["mean"])))
        else:
            value, low, high = (format_value(row[name], decimals) for name in DIFFERENCE)
            sign = "+" if row["median_difference"] > 0 else ""
            cells.append(Cell(f"{sign}{value} [{low}, {high}]", float(row["median_difference"])))
    return Row(tuple(cells))


def ablation_figure(table: pd.DataFrame, *, confidence: float) -> Figure:
    """A forest plot of an ablation table of one dataset and K: a row per variant, a panel per metric.

    The point is the median difference to the base over subjects, the line its bootstrap interval; filled where the
    interval leaves zero out. What is not finite is named under the axis. InputError for more than one dataset and K.
    """
    if len(table.groupby(KEYS)) != 1:
        raise InputError(
            f"ablation figure: found {len(table.groupby(KEYS))} pairs of dataset and K, allowed is 1"
        )
    first = table.iloc[0]
    variants = table[table["method"] != first["method"]]
    metrics, labels = metric_order(list(table["metric"].unique())), list(dict.fromkeys(variants["label"]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 1.5 + 0.22 * len(labels)))
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            base = table[(table["method"] == first["method"]) & (table["metric"] == metric)]["mean"].iloc[0]
            _forest(axes, variants[variants["metric"] == metric].set_index("label").loc[labels])
            axes.set_title(f"{metric_name(metric)}\nbase: {format_value(base, decimals_of(metric))}")
            axes.set_xlabel(
                axes.get_xlabel()
                or ("difference" if METRICS[metric].best == math.inf else "how much nearer to best")
            )
        panels[0].set_yticks(range(len(labels)), labels)
        panels[0].set_ylim(len(labels) - 0.4, -0.6)
        title_above(
            figure,
            f"{first['dataset']}, K = {first['K']}: variants against {first['label']}; {describe(first)}\n"
            f"median difference over {first['n']} subjects, {100 * confidence:g} % interval; right of 0 is better",
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
        decided = low > 0 or high < 0
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
