"""A metric against the anisotropy factor: the means of frames in; a matplotlib Figure out."""

from collections.abc import Mapping, Set

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interslice.analysis.results import results_table
from interslice.analysis.rows import SHOWN, describe, seed_means, select_metric
from interslice.report.formatting import decimals_of, format_value
from interslice.report.style import (
    STYLE,
    WIDTH_INCHES,
    MethodStyle,
    ends,
    hidden_note,
    inside,
    legend_below,
    marks_note,
    method_styles,
    shown_names,
    title_above,
    value_label,
    visible_limits,
)


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
    names, styles = shown_names(labels, supervised), method_styles(labels, controls)
    datasets = list(table["dataset"].unique())
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES if len(datasets) > 1 else 4.6, 3.6))
        panels = figure.subplots(1, len(datasets), squeeze=False)[0]
        for axes, dataset in zip(panels, datasets, strict=True):
            rows = table[table["dataset"] == dataset]
            hidden = _lines(axes, rows, seeds[seeds["dataset"] == dataset], metric, styles, names)
            _factor_axis(axes, sorted(rows["K"].unique()), hidden)
            axes.set_title(dataset)
        panels[0].set_ylabel(value_label(metric))
        handles = {
            handle.get_label(): handle for axes in panels for handle in axes.get_legend_handles_labels()[0]
        }
        legend_below(figure, list(handles.values()), list(handles))
        title_above(figure, f"Mean ± SD over subjects; {describe(table.iloc[0])}{marks_note(names)}")
    return figure


def _lines(
    axes: Axes,
    rows: pd.DataFrame,
    seeds: pd.DataFrame,
    metric: str,
    styles: dict[str, MethodStyle],
    names: dict[str, str],
) -> list[str]:
    """Draw a line per method; return in words what is not drawn."""
    spans = ends(rows["mean"], rows["sd"])
    limits = visible_limits(spans[~rows["control"]], spans[rows["control"]])
    methods, hidden = [method for method in styles if method in set(rows["method"])], []
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
            hidden.append(f"{names[method]} ({'; '.join(places)})")
        if len(drawn) == 0:
            continue
        shift = 0.2 * (i / max(1, len(methods) - 1) - 0.5)
        axes.errorbar(
            drawn["K"] + shift, drawn["mean"], drawn["sd"].fillna(0), color=style.colour, marker=style.marker,
            linestyle=style.line, capsize=2, elinewidth=0.8, label=names[method],
        )  # fmt: skip
        dots = seeds[(seeds["method"] == method) & seeds["K"].isin(drawn["K"])]
        if dots["seed"].nunique() > 1:
            axes.plot(
                dots["K"] + shift + 0.05, dots["value"], ".", color=style.colour, markersize=3, gid="seed"
            )
    axes.set_ylim(*limits)
    return hidden


def _factor_axis(axes: Axes, factors: list[int], hidden: list[str]) -> None:
    axes.set_xticks(factors)
    axes.set_xlim(factors[0] - 0.4, factors[-1] + 0.4)
    axes.set_xlabel(f"Anisotropy factor K{hidden_note(hidden)}")
