"""How scores fall as a scan becomes another than a method expects: a panel per kind of perturbation, a line per method."""

from collections.abc import Mapping, Set

import pandas as pd
from matplotlib.figure import Figure

from interslice.analysis.results import results_table
from interslice.analysis.rows import describe
from interslice.common.errors import InputError
from interslice.report.style import (
    WIDTH_INCHES,
    legend_below,
    method_styles,
    names_of,
    styled,
    title_above,
    value_label,
)

CLEAN = "as it is"


@styled
def degradation_curves(
    means: pd.DataFrame,
    metric: str,
    perturbations: Mapping[str, Mapping[str, str]],
    *,
    labels: Mapping[str, str],
    controls: Set[str],
) -> Figure:
    """Mean over subjects of a metric against the strength of every kind of perturbation, each from the clean scans on.

    perturbations: dataset to the kind and level of what it adds, in the order of the levels; the first dataset of
    `means` without one is the clean one. All at the K that every dataset has. A last panel has the clean scans against
    K where there are several. Controls are left out. Raises InputError where there is nothing to compare.
    """
    table = results_table(means[means["metric"] == metric], labels=labels, controls=controls)
    table = table[~table["control"]].rename(columns={f"{metric}_mean": "value"})
    views = _views(table, perturbations)
    styles = method_styles(labels, controls)
    columns = min(4, len(views))
    rows = -(-len(views) // columns)
    figure = Figure(figsize=(WIDTH_INCHES, 1.2 + 1.9 * rows))
    grid = list(figure.subplots(rows, columns, squeeze=False, sharey=True).ravel())
    for axes, (kind, title, view) in zip(grid, views, strict=False):
        for method in (name for name in labels if name in set(table["method"])):
            axes.plot(view.index, view[method], markersize=4, gid=f"{kind} {method}", **styles[method].drawn)
        axes.set_title(title, fontsize=7)
    for axes in grid[len(views) :]:
        axes.remove()
    grid[0].set_ylabel(value_label(metric))
    legend_below(figure)
    title = f"Mean over subjects; {describe(table.iloc[0])}; no method was trained again"
    title_above(figure, title, names_of(styles))
    return figure


def _views(
    table: pd.DataFrame, perturbations: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, str, pd.DataFrame]]:
    """Kind, title and values (levels, methods) of every panel."""
    present = set(table["dataset"])
    clean = next((name for name in table["dataset"] if name not in perturbations), None)
    shared = set.intersection(*(set(part["K"]) for _, part in table.groupby("dataset"))) if present else set()
    if clean is None or not shared or not set(perturbations) & present:
        raise InputError("robustness: found no clean and perturbed dataset with a common K, needed are both")
    factor = max(shared)
    levels: dict[str, dict[str, str]] = {}
    for name, of in perturbations.items():
        if name in present:
            levels.setdefault(of["kind"], {CLEAN: clean})[of["level"]] = name
    at = table[table["K"] == factor].pivot(index="dataset", columns="method", values="value")
    views = [
        (kind, f"{kind}, K = {factor}", at.loc[list(of.values())].set_axis(list(of)))
        for kind, of in levels.items()
    ]
    against = table[table["dataset"] == clean].pivot(index="K", columns="method", values="value")
    return views + ([("K", "Anisotropy factor K", against.rename(index=str))] if len(against) > 1 else [])
