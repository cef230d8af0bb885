"""The leaderboard: every results table of a study as one, for sorting and filtering."""

from collections.abc import Sequence

import pandas as pd

from interslice.analysis.results import table_metrics
from interslice.analysis.rows import metric_order
from interslice.report.formatting import Cell, Row, ShownTable, metric_name
from interslice.report.tables import shown_results
from interslice.scoring.longtable import KINDS, REGIONS

FILTERS = ("Dataset", "K", "Slices", "Region", "Protocol")


def views_of(means: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Every (kind, region, protocol) that the means of frames are of, the headline first; "all" where there are both kinds."""
    scored = means[means["kind"] != "all"]
    present = set(scored[["kind", "region", "protocol"]].itertuples(index=False, name=None))
    protocols = sorted({protocol for *_, protocol in present}, key=lambda name: (name != "strict", name))
    both = {(region, protocol) for kind, region, protocol in present if kind == KINDS[0]} & {
        (region, protocol) for kind, region, protocol in present if kind == KINDS[1]
    }
    present |= {("all", region, protocol) for region, protocol in both}
    kinds = sorted({kind for kind, *_ in present}, key=lambda kind: (kind != "synthesised", kind))
    order = [(kind, region, protocol) for protocol in protocols for kind in kinds for region in REGIONS]
    return [view for view in order if view in present]


def leaderboard(tables: Sequence[pd.DataFrame]) -> ShownTable:
    """The tables of `results.results_table` as one: a row per method, dataset, K, kind, region and protocol.

    Best values are marked within a dataset, K, kind, region and protocol, as in each table alone.
    """
    metrics = metric_order(sorted({metric for table in tables for metric in table_metrics(table)}))
    header = [metric_name(metric, arrow=True) for metric in metrics]
    rows = []
    for table in tables:
        groups = table.groupby(["dataset", "K"], sort=False)
        for ((dataset, factor), part), shown in zip(groups, shown_results(table), strict=True):
            place = [dataset, factor, *(part.iloc[0][key] for key in ("kind", "region", "protocol"))]
            filters = [Cell(str(value), value) for value in place]
            for row in shown.rows:
                name, *scored = row.cells
                cells = dict(zip(shown.columns[1:], scored, strict=True))
                values = [cells.get(column, Cell("not scored", float("nan"))) for column in header]
                rows.append(Row((name, *filters, *values), row.control))
    note = "Mean ± standard deviation over subjects. Best: within a dataset, K, kind of slices, region and protocol."
    return ShownTable("Every method in every view", ("Method", *FILTERS, *header), tuple(rows), (note,))
