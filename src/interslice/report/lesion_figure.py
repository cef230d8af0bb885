"""What comes back of inserted lesions against their size: the means of frames in, a matplotlib Figure out."""

from collections.abc import Mapping, Set

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interslice.analysis.results import results_table
from interslice.analysis.rows import describe
from interslice.common.errors import InputError
from interslice.report.style import (
    WIDTH_INCHES,
    MethodStyle,
    hidden_note,
    legend_below,
    method_styles,
    names_of,
    styled,
    title_above,
)
from interslice.scoring.lesions import DIAMETERS_MM
from interslice.scoring.registry import (
    LESION_MEASURES,
    LESION_METRICS,
    METRICS,
    lesion_metric,
)

LESION_LABELS = {measure: label for measure, label, *_ in LESION_MEASURES}


@styled
def lesions_against_size(
    means: pd.DataFrame,
    *,
    labels: Mapping[str, str],
    controls: Set[str],
    supervised: Set[str] = frozenset(),
) -> Figure:
    """Mean over subjects with its standard deviation against the diameter in mm: a row per dataset and K, a column per measure.

    Raises InputError for a table without one of LESION_METRICS, and for a method without a label.
    """
    chosen = means[means["metric"].isin(LESION_METRICS)]
    if chosen.empty:
        raise InputError(f"score table: no metric of {list(LESION_METRICS)} found, at least one is needed")
    table = results_table(chosen, labels=labels, controls=controls)
    styles = method_styles(labels, controls, supervised)
    groups = list(table.groupby(["dataset", "K"], sort=False))
    measures = {
        measure: present
        for measure, *_ in LESION_MEASURES
        if (present := [d for d in DIAMETERS_MM if lesion_metric(measure, d) in set(chosen["metric"])])
    }
    figure = Figure(figsize=(WIDTH_INCHES if len(measures) > 1 else 4.6, 0.8 + 2.5 * len(groups)))
    grid = figure.subplots(len(groups), len(measures), squeeze=False, sharey="col")
    for row, ((dataset, factor), rows) in zip(grid, groups, strict=True):
        row[len(row) // 2].set_title(f"{dataset}, K = {factor}")
        for axes, (measure, sizes) in zip(row, measures.items(), strict=True):
            _draw_measure(axes, rows, measure, sizes, styles)
    legend_below(figure)
    title_above(
        figure, f"Inserted lesions, mean ± SD over subjects; {describe(table.iloc[0])}", names_of(styles)
    )
    return figure


def _draw_measure(
    axes: Axes, rows: pd.DataFrame, measure: str, sizes: list[int], styles: Mapping[str, MethodStyle]
) -> None:
    """A line per method of a dataset and K."""
    metrics, missing = [lesion_metric(measure, size) for size in sizes], list[tuple[str, str]]()
    for i, (_, row) in enumerate(rows.iterrows()):
        style = styles[row["method"]]
        means = pd.Series([row[f"{metric}_mean"] for metric in metrics])
        spread = pd.Series([row[f"{metric}_sd"] for metric in metrics]).fillna(0)
        lacking = [size for size, mean in zip(sizes, means, strict=True) if not np.isfinite(mean)]
        if lacking:
            missing.append((style.name, f"{', '.join(map(str, lacking))} mm: not all were placed"))
        shift = 0.12 * (i - (len(rows) - 1) / 2)
        axes.errorbar(
            [size + shift for size in sizes], means, spread, capsize=2, elinewidth=0.8, **style.drawn
        )
    axes.set_xticks(sizes)
    axes.set_xlabel(f"Diameter (mm){hidden_note(missing, 36)}")
    entry = METRICS[metrics[0]]
    axes.set_ylabel(f"{LESION_LABELS[measure]}, {entry.better} is better", fontsize=6.5)
