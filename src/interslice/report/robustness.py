"""How scores fall as a scan becomes another than a method expects: a panel per kind of perturbation, a line per method."""

from collections.abc import Mapping, Set

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from interslice.analysis.results import results_table
from interslice.analysis.rows import describe
from interslice.common.errors import InputError
from interslice.report.style import STYLE, WIDTH_INCHES, legend_below, method_styles, title_above, value_label

CLEAN = "as it is"


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
    table = table[~table["control"]]
    clean = next((name for name in table["dataset"] if name not in perturbations), None)
    shared = (
        set.intersection(*(set(part["K"]) for _, part in table.groupby("dataset"))) if len(table) else set()
    )
    if clean is None or not shared or not set(perturbations) & set(table["dataset"]):
        raise InputError("robustness: found no clean and perturbed dataset with a common K, needed are both")
    factor, value = max(shared), f"{metric}_mean"
    panels: dict[str, dict[str, str]] = {}
    for name, of in perturbations.items():
        if name in set(table["dataset"]):
            panels.setdefault(of["kind"], {CLEAN: clean})[of["level"]] = name
    at = table[table["K"] == factor].set_index(["dataset", "method"])[value]
    against = table[table["dataset"] == clean].pivot(index="K", columns="method", values=value)
    methods = [name for name in labels if name in set(table["method"])]
    styles = method_styles(labels, controls)
    drawn = [
        (
            kind,
            f"{kind}, K = {factor}",
            list(of),
            {one: [at.get((d, one), np.nan) for d in of.values()] for one in methods},
        )
        for kind, of in panels.items()
    ]
    if len(against) > 1:
        drawn.append(
            ("K", "Anisotropy factor K", list(against.index.astype(str)), dict(against[methods].items()))
        )
    with mpl.rc_context(STYLE):
        columns = min(4, len(drawn))
        rows = -(-len(drawn) // columns)
        figure = Figure(figsize=(WIDTH_INCHES, 1.2 + 1.9 * rows))
        grid = list(figure.subplots(rows, columns, squeeze=False, sharey=True).ravel())
        for axes, (kind, title, levels, lines) in zip(grid, drawn, strict=False):
            for method, values in lines.items():
                style = styles[method]
                axes.plot(levels, values, marker=style.marker, linestyle=style.line, color=style.colour, markersize=4,
                          label=labels[method], gid=f"{kind} {method}")  # fmt: skip
            axes.set_title(title, fontsize=7)
        for axes in grid[len(drawn) :]:
            axes.remove()
        grid[0].set_ylabel(value_label(metric))
        legend_below(figure)
        title_above(figure, f"Mean over subjects; {describe(table.iloc[0])}; no method was trained again")
    return figure
