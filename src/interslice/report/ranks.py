"""Ranks of methods, their stability and what is better than what: tables for people and one figure."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interslice.analysis.ranks import DRAWS, OVER_METRICS
from interslice.analysis.rows import metric_order
from interslice.report.formatting import Cell, Row, ShownTable, marks_note, metric_name, table_of, words
from interslice.report.style import (
    COLOURS,
    MARKERS,
    WIDTH_INCHES,
    legend_below,
    styled,
    title_above,
)

NOTES = (
    "Rank of the mean over subjects, 1 the best, ties share their mean; over all metrics: rank of the mean of their ranks. "
    f"In brackets the interval over {DRAWS:,} bootstrap draws of the subjects; first: in what share of the draws.",
    "A rank says nothing of the distance to the next one. Intervals are of these subjects: trainings with another seed and "
    "subjects of other sites may move a rank further.",
)
TAU_NOTE = (
    "Kendall's tau-b of two rankings: 1 the same order, 0 none in common, -1 the reverse; in brackets the bootstrap interval. "
    "subjects: of a ranking and its bootstrap draws, the mean."
)
NOTHING = "No ranking: it needs two methods that are no controls, and two test subjects."
BETTER, WORSE, UNDECIDED = "#2c7fb8", "#d95f0e", "#f0f0f0"


def shown_ranks(ranks: pd.DataFrame, labels: Mapping[str, str]) -> list[ShownTable]:
    """The ranks of `ranks.rank_tables`, a table per dataset and K, the best over all metrics first."""
    shown = []
    for (dataset, factor), part in ranks.groupby(["dataset", "K"], sort=False):
        metrics = _metrics(part)
        rows = []
        for method in _order(part):
            own = part[part["method"] == method].set_index("metric").reindex(metrics)
            cells: dict[str, Cell | str] = {"Method": labels[method]}
            for metric, row in own.iterrows():
                text = f"{row['rank']:g} [{row['ci_low']:g}, {row['ci_high']:g}]"
                unranked = pd.isna(row["rank"])
                cells[_name(str(metric))] = Cell("not scored" if unranked else text, float(row["rank"]))
                if metric == metrics[0]:
                    cells["First"] = Cell(f"{100 * row['first']:.0f} %", float(row["first"]))
            rows.append(cells)
        n = ", ".join(str(count) for count in sorted(part["n"].unique()))
        caption = f"{dataset}, K = {factor}: ranks on synthesised slices, whole image, n = {n} subjects"
        shown.append(
            table_of(caption, rows, (*NOTES, *marks_note(labels[method] for method in _order(part))))
        )
    return shown


def shown_agreement(agreement: pd.DataFrame) -> ShownTable:
    """Kendall's tau of `ranks.rank_tables`, a row per pair of rankings."""
    rows = []
    for _, row in agreement.iterrows():
        own = f"{row['dataset']}, K = {row['K']}, {_name(row['metric'])}"
        other = _name(row["other"]) if row["between"] == "metrics" else row["other"] or "its draws"
        value = f"{row['tau']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
        rows.append(Row((*words(row["between"], own, other), Cell(value, float(row["tau"])))))
    header = ("Between", "Ranking", "and", "Tau")
    return ShownTable("Agreement of rankings", header, tuple(rows), (TAU_NOTE,))


def _metrics(part: pd.DataFrame) -> list[str]:
    """Those that are ranked by, all together first."""
    own = set(part["metric"])
    return [*([OVER_METRICS] if OVER_METRICS in own else []), *metric_order(sorted(own - {OVER_METRICS}))]


def _order(part: pd.DataFrame) -> list[str]:
    """The methods, best first by the first of `_metrics`; those that it has not at the end."""
    first = part[part["metric"] == _metrics(part)[0]].sort_values("rank", kind="stable")["method"]
    return list(dict.fromkeys([*first, *part["method"]]))


def _name(metric: str) -> str:
    return metric if metric == OVER_METRICS else metric_name(metric)


@styled
def rank_figure(
    ranks: pd.DataFrame, significance: pd.DataFrame, metric: str, labels: Mapping[str, str]
) -> Figure:
    """Above the ranks with their bootstrap intervals, below which method is better than which by `metric`, for every
    dataset and K, two side by side. ranks, significance: of `ranks.rank_tables` and `ranks.significance_map`.
    """
    places = list(ranks.groupby(["dataset", "K"], sort=False))
    if not places:
        figure = Figure(figsize=(4.6, 1))
        figure.text(0.5, 0.5, NOTHING, ha="center", va="center", fontsize=7)
        return figure
    most = max(part["method"].nunique() for _, part in places)
    height, columns = 0.75 + 0.27 * most, min(2, len(places))
    rows = -(-len(places) // columns)
    figure = Figure(figsize=(WIDTH_INCHES if columns > 1 else 4.6, 2 * rows * height))
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for i, ((dataset, factor), part) in enumerate(places):
        above, below = grid[i // columns * 2 : i // columns * 2 + 2, i % columns]
        order = _order(part)
        _ranks(above, part, order, labels)
        above.set_title(f"{dataset}, K = {factor}", fontsize=7, loc="right")
        tests = significance[(significance["dataset"] == dataset) & (significance["K"] == factor)]
        _map(below, tests, order, labels, metric)
    for axes in grid[-2:, len(places) - columns * (rows - 1) :].ravel():
        axes.remove()
    legend_below(figure)
    title_above(
        figure,
        f"Above: rank and its bootstrap interval over subjects. Below: row better (▲) or worse (▼) than column by "
        f"{metric_name(metric)}, p < 0.05 corrected for false discoveries among all pairs; a column has its row's number",
        labels.values(),
    )
    return figure


def _ranks(axes: Axes, part: pd.DataFrame, order: list[str], labels: Mapping[str, str]) -> None:
    metrics = _metrics(part)
    for i, metric in enumerate(metrics):
        own = part[part["metric"] == metric]
        y = own["method"].map(order.index) + 0.6 * ((i + 0.5) / len(metrics) - 0.5)
        errors = [own["rank"] - own["ci_low"], own["ci_high"] - own["rank"]]
        first = i == 0
        colour, marker = COLOURS[(i - 1) % len(COLOURS)], MARKERS[(i - 1) % len(MARKERS)]
        axes.errorbar(
            own["rank"], y, xerr=np.clip(errors, 0, None), fmt="D" if first else marker, markersize=4.5 if first else 3,
            color="black" if first else colour, elinewidth=1.6 if first else 0.8, label=_name(metric),
        )  # fmt: skip
    axes.set_yticks(range(len(order)), _numbered(order, labels))
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(0.5, len(order) + 0.5)
    axes.set_xticks(range(1, len(order) + 1))
    axes.set_xlabel("Rank")
    axes.grid(axis="x", alpha=0.3, linewidth=0.5)


def _map(axes: Axes, tests: pd.DataFrame, order: list[str], labels: Mapping[str, str], metric: str) -> None:
    better = {(row.method, row.baseline) for row in tests[tests["better"]].itertuples()}
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.set_ylim(len(order) - 0.5, -0.5)
    for i, row in enumerate(order):
        for j, column in enumerate(order):
            ahead, behind = (row, column) in better, (column, row) in better
            colour = BETTER if ahead else WORSE if behind else UNDECIDED
            axes.add_patch(
                mpl.patches.Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, edgecolor="white")
            )
            text = "▲" if ahead else "▼" if behind else ""
            axes.text(
                j, i, text, ha="center", va="center", fontsize=6, color="white", gid=f"{row} {column} {text}"
            )
    axes.set_yticks(range(len(order)), _numbered(order, labels))
    axes.set_xticks(range(len(order)), [str(i) for i in range(1, len(order) + 1)])
    axes.set_xlabel(f"{metric_name(metric)}: row against column")


def _numbered(order: list[str], labels: Mapping[str, str]) -> list[str]:
    return [f"{labels[method]}  {number}" for number, method in enumerate(order, start=1)]
