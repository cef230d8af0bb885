"""A metric against the anisotropy factor: the means of frames in; a matplotlib Figure out."""

from collections.abc import Mapping, Set

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interslice.analysis.results import results_table
from interslice.analysis.rows import SHOWN, describe, seed_means, select_metric
from interslice.report.formatting import decimals_of, format_value
from interslice.report.style import (
    WIDTH_INCHES,
    MethodStyle,
    ends,
    hidden_note,
    inside,
    legend_below,
    method_styles,
    names_of,
    styled,
    title_above,
    value_label,
    visible_limits,
)


@styled
def metric_against_factor(
    means: pd.DataFrame,
    metric: str,
    *,
    region: str = "whole",
    labels: Mapping[str, str],
    controls: Set[str],
    supervised: Set[str] = frozenset(),
) -> Figure:
    """Mean over subjects of synthesised slices with its standard deviation against K, one panel per dataset.

    With several seeds a small dot per seed shows its mean. What is not finite or off the scale is named under the
    axis. Raises InputError for a metric or rows that are not in the table, and for a method without a label.
    """
    means = select_metric(means, metric, region, labels)
    table = results_table(means, region=region, labels=labels, controls=controls)
    table = table.rename(columns=lambda column: column.removeprefix(f"{metric}_"))
    seeds = seed_means(means, kind=SHOWN["kind"], region=region)
    styles = method_styles(labels, controls, supervised)
    datasets = list(table["dataset"].unique())
    figure = Figure(figsize=(WIDTH_INCHES if len(datasets) > 1 else 4.6, 3.6))
    panels = figure.subplots(1, len(datasets), squeeze=False)[0]
    for axes, dataset in zip(panels, datasets, strict=True):
        rows = table[table["dataset"] == dataset]
        hidden = _lines(axes, rows, seeds[seeds["dataset"] == dataset], metric, styles)
        factors = sorted(rows["K"].unique())
        axes.set(xticks=factors, xlim=(factors[0] - 0.4, factors[-1] + 0.4), title=dataset)
        axes.set_xlabel(f"Anisotropy factor K{hidden_note(hidden)}")
        if not axes.containers:
            axes.set_yticks([])
            axes.text(0.5, 0.5, "no mean is finite", transform=axes.transAxes, ha="center", va="center")
    panels[0].set_ylabel(value_label(metric))
    legend_below(figure)
    title_above(figure, f"Mean ± SD over subjects; {describe(table.iloc[0])}", names_of(styles))
    return figure


def _lines(
    axes: Axes,
    rows: pd.DataFrame,
    seeds: pd.DataFrame,
    metric: str,
    styles: dict[str, MethodStyle],
) -> list[tuple[str, str]]:
    """Draw a line per method, side by side at a K; return what is not drawn, and why."""
    spans = ends(rows["mean"], rows["sd"])
    limits = visible_limits(spans[~rows["control"]], spans[rows["control"]])
    methods = [method for method in styles if method in set(rows["method"])]
    apart = np.diff(sorted(rows["K"].unique())).min(initial=3)
    hidden, width = list[tuple[str, str]](), 0.2 * apart
    for i, method in enumerate(methods):
        own, style = rows[rows["method"] == method].sort_values("K"), styles[method]
        drawn = own[inside(own["mean"], own["sd"], limits)]
        away = own.drop(drawn.index)
        if len(away):
            texts = away["mean"].map(lambda value: format_value(value, decimals_of(metric)))
            places = (
                f"{text} at K = {', '.join(map(str, own['K'][at.index]))}"
                for text, at in texts.groupby(texts)
            )
            hidden.append((style.name, "; ".join(places)))
        if len(drawn) == 0:
            continue
        shift = width * (i / max(1, len(methods) - 1) - 0.5)
        axes.errorbar(
            drawn["K"] + shift, drawn["mean"], drawn["sd"].fillna(0), capsize=2, elinewidth=0.8, **style.drawn
        )
        dots = seeds[(seeds["method"] == method) & seeds["K"].isin(drawn["K"])]
        if dots["seed"].nunique() > 1:
            axes.plot(
                dots["K"] + shift + 0.05, dots["value"], ".", color=style.colour, markersize=3, gid="seed"
            )
    axes.set_ylim(*limits)
    return hidden
