"""Published numbers and ours beside them as a table for people."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from interslice.analysis.published import EVIDENCE
from interslice.report.formatting import Cell, Row, ShownTable, decimals_of, format_value, metric_name, words
from interslice.scoring.registry import METRICS

OTHER_DECIMALS = 3  # of published numbers that are no metric of ours


def shown_published(table: pd.DataFrame, labels: Mapping[str, str]) -> ShownTable:
    """The comparison as a table for people."""

    def value(row: pd.Series, mean: str, sd: str) -> Cell:
        if np.isnan(row[mean]):
            return words("–")[0]
        decimals = decimals_of(row["metric"]) if row["metric"] in METRICS else OTHER_DECIMALS
        spread = "" if np.isnan(row[sd]) else f" ± {row[sd]:.{decimals}f}"
        return Cell(f"{format_value(row[mean], decimals)}{spread}", float(row[mean]))

    rows = []
    for _, row in table.iterrows():
        metric = metric_name(row["metric"]) if row["metric"] in METRICS else row["metric"].replace("_", " ")
        ours = labels[row["ours"]] if row["ours"] else "–"
        cells = [*words(row["wording"], row["kind"], metric), value(row, "mean", "sd"), *words(ours)]
        cells += [value(row, "ours_mean", "ours_sd"), *words(row["remark"])]
        rows.append(Row((*cells, Cell(EVIDENCE[row["evidence"]], row["evidence"]))))
    header = ("What was published", "Slices", "Metric", "Published", "Ours", "Value", "Remark", "Evidence")
    notes = (
        "Ours stand beside a published value only where data, test subjects, K, window and protocol are recorded as equal.",
        "Published values are not from the paper's printed tables; sources are in config/published.csv.",
    )
    return ShownTable("Published numbers and ours", header, tuple(rows), notes)
