"""The audit figure: one sees at which switch the ranking of two methods flips."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from interslice.analysis.audit import HOLDS, TITLES
from interslice.analysis.rows import check_labels, metric_order
from interslice.common.errors import InputError
from interslice.report.formatting import metric_name
from interslice.report.style import (
    WIDTH_INCHES,
    MethodStyle,
    legend_below,
    method_styles,
    names_of,
    styled,
    title_above,
)
from interslice.scoring.released_protocol import AS_PUBLISHED, PROTOCOLS, STRICT

ROW_INCHES, AROUND_INCHES = 0.3, 0.75
TOWARDS = "#dcebf5"  # the half in which the trained method is ahead


@styled
def audit_figure(table: pd.DataFrame, *, dataset: str, method: str, labels: Mapping[str, str]) -> Figure:
    """Difference of a trained method to every baseline, a row per protocol, a panel per metric and K.

    table: of `audit.audit`. Points in the shaded half favour `method`; a point is a dot where its sign is that of
    the strict protocol and a star where it is not, pale where the item changes nothing; a ring marks a claim that holds.
    What is infinite sits at the edge with an arrow. Raises InputError where the table has no such dataset and method.
    """
    own = table[(table["dataset"] == dataset) & (table["method"] == method)]
    if own.empty:
        raise InputError(f"audit: no row of dataset {dataset!r} and method {method!r}")
    check_labels(pd.concat([own["method"], own["baseline"]]), labels)
    metrics, factors = metric_order(list(own["metric"].unique())), sorted(own["K"].unique())
    baselines = [name for name in labels if name in set(own["baseline"])]
    styles = method_styles({name: label for name, label in labels.items() if name in {method, *baselines}})
    height = ROW_INCHES * len(PROTOCOLS) + AROUND_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height * len(factors) + 0.6))
    grid = figure.subplots(len(factors), len(metrics), squeeze=False, sharey=True)
    for panels, factor in zip(grid, factors, strict=True):
        for axes, metric in zip(panels, metrics, strict=True):
            part = own[(own["K"] == factor) & (own["metric"] == metric)]
            _panel(axes, part, baselines, styles)
            axes.set_title(f"{metric_name(metric)}, K = {factor}")
            axes.set_xlabel(f"{metric_name(metric)}: difference")
    for handle in _legend([styles[name] for name in baselines]):
        grid[0, 0].add_line(handle)
    legend_below(figure)
    n = own[own["protocol"] == STRICT]["n"].max()
    who = labels[method]
    title = f"{dataset}: {who} minus baseline, n = {n} subjects under strict; right (shaded): {who} ahead"
    title_above(figure, title, names_of(styles), fontsize=8)
    return figure


def _panel(axes: Axes, part: pd.DataFrame, baselines: list[str], styles: dict[str, MethodStyle]) -> None:
    protocols = list(PROTOCOLS)
    finite = part[["estimate", "ci_low", "ci_high"]].to_numpy(float)
    finite = finite[np.isfinite(finite)]
    reach = float(np.abs(finite).max()) if finite.size and np.abs(finite).max() > 0 else 1.0
    low = min([0.0, *finite]) - 0.15 * reach
    high = max([0.0, *finite]) + 0.15 * reach
    axes.set(xlim=(low, high), ylim=(len(protocols) - 0.4, -0.6))
    axes.axvspan(0, high, color=TOWARDS, zorder=0, linewidth=0)
    axes.axvline(0, color="black", linewidth=0.8)
    for line in (0.5, len(protocols) - 1.5):
        axes.axhline(line, color="0.6", linewidth=0.5, linestyle=(0, (2, 2)))
    for i, baseline in enumerate(baselines):
        shift = 0.5 * (i / max(1, len(baselines) - 1) - 0.5) if len(baselines) > 1 else 0.0
        for _, row in part[part["baseline"] == baseline].iterrows():
            _point(axes, row, protocols.index(row["protocol"]) + shift, styles[baseline], (low, high))
    axes.set_yticks(range(len(protocols)), [TITLES[protocol] for protocol in protocols])
    for text, protocol in zip(axes.get_yticklabels(), protocols, strict=False):  # shared axes have none
        text.set_fontweight("bold" if protocol in (STRICT, AS_PUBLISHED) else "normal")


def _point(axes: Axes, row: pd.Series, y: float, style: MethodStyle, limits: tuple[float, float]) -> None:
    x = row["estimate"]
    if np.isnan(x):
        axes.annotate("not defined", (0, y), fontsize=6, color=style.colour, va="center", gid="undefined")
        return
    flipped = bool(row["flipped"])
    moved = row["protocol"] == STRICT or row["changed"]
    look: dict[str, Any] = {"color": style.colour, "zorder": 3, "alpha": 1.0 if moved else 0.35}
    if np.isinf(x):
        edge, mark = (limits[1], ">") if x > 0 else (limits[0], "<")
        at = edge - 0.03 * np.sign(x) * (limits[1] - limits[0])
        axes.plot(at, y, marker=mark, markersize=6, gid="infinite", linestyle="", **look)
        axes.annotate(
            "∞", (at, y), xytext=(-7 * np.sign(x), 0), textcoords="offset points", fontsize=7, color=style.colour,
            va="center", ha="center",
        )  # fmt: skip
    else:
        if np.isfinite([row["ci_low"], row["ci_high"]]).all():
            axes.plot([row["ci_low"], row["ci_high"]], [y, y], linewidth=1, **look)
        axes.plot(
            x, y, marker="*" if flipped else style.marker, markersize=9 if flipped else 4, linestyle="",
            markeredgecolor="black" if flipped else style.colour, markeredgewidth=0.5, gid="flip" if flipped else "point",
            **look,
        )  # fmt: skip
    if row["claim"] == HOLDS:
        axes.plot(x, y, "o", markersize=10, markerfacecolor="none", color="black", gid="holds", zorder=4)


def _legend(baselines: list[MethodStyle]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=style.colour, marker=style.marker, label=f"against {style.name}")
        for style in baselines
    ]
    star = Line2D(
        [], [], linestyle="", marker="*", markersize=9, color="0.6", markeredgecolor="black", label="ranking flipped"
    )  # fmt: skip
    ring = Line2D(
        [], [], linestyle="", marker="o", markersize=10, markerfacecolor="none", color="black",
        label="claim holds (corrected p < 0.05)",
    )  # fmt: skip
    return [*handles, star, ring]
