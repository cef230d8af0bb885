"""Recovered contrast against the size of a lesion: the long table in, a matplotlib Figure out."""

from collections.abc import Mapping, Set

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from interslice.analysis.rows import describe
from interslice.common.errors import InputError
from interslice.report.style import (
    STYLE,
    WIDTH_INCHES,
    ends,
    hidden_note,
    legend_below,
    method_styles,
    shown_names,
    supervised_note,
    title_above,
)
from interslice.report.tables import results_table
from interslice.scoring.registry import LESION_METRICS, METRICS

COLUMNS = 3  # panels to a row


def contrast_against_size(
    scores: pd.DataFrame,
    *,
    protocol: str = "strict",
    labels: Mapping[str, str],
    controls: Set[str],
    supervised: Set[str] = frozenset(),
) -> Figure:
    """Mean over subjects with its standard deviation against the diameter in mm, a panel per dataset and K.

    1 is all of the inserted contrast. Raises InputError for a table without one of LESION_METRICS, and for a
    method without a label.
    """
    present = [metric for metric in LESION_METRICS if metric in set(scores["metric"])]
    if not present:
        raise InputError(f"score table: no metric of {list(LESION_METRICS)} found, at least one is needed")
    chosen = scores[scores["metric"].isin(present)]
    table = results_table(chosen, protocol=protocol, labels=labels, controls=controls)
    names, styles = shown_names(labels, supervised), method_styles(labels, controls)
    groups = list(table.groupby(["dataset", "K"]))
    across = min(COLUMNS, len(groups))
    down = -(-len(groups) // across)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES if across > 1 else 4.6, 0.8 + 2.4 * down))
        panels = figure.subplots(down, across, squeeze=False, sharey=True)
        for axes in panels.ravel()[len(groups) :]:
            axes.set_visible(False)
        for axes, ((dataset, factor), rows) in zip(panels.ravel(), groups, strict=False):
            sizes = [METRICS[metric].diameter_mm for metric in present]
            missing = []
            for i, (_, row) in enumerate(rows.iterrows()):
                style = styles[row["method"]]
                means = pd.Series([row[f"{metric}_mean"] for metric in present])
                spread = pd.Series([row[f"{metric}_sd"] for metric in present]).fillna(0)
                if not (ends(means, spread) == ends(means, spread)).all():
                    missing.append(f"{names[row['method']]} (a size could not be placed)")
                shift = 0.12 * (i - (len(rows) - 1) / 2)
                axes.errorbar(
                    [size + shift for size in sizes], means, spread, color=style.colour, marker=style.marker,
                    linestyle=style.line, capsize=2, elinewidth=0.8, label=names[row["method"]],
                )  # fmt: skip
            axes.set_xticks(sizes)
            axes.set_xlabel(f"Diameter (mm){hidden_note(missing)}")
            axes.set_title(f"{dataset}, K = {factor}")
        for first in panels[:, 0]:
            first.set_ylabel("Share of contrast recovered")
        handles, shown = panels.ravel()[0].get_legend_handles_labels()
        legend_below(figure, handles, shown)
        title_above(
            figure,
            f"Inserted lesions, mean ± SD over subjects; {describe(table.iloc[0])}{supervised_note(supervised)}",
        )
    return figure
