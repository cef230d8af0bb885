"""Which means a table or figure is about: chosen, checked, averaged, and said in words."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from interslice.common.errors import InputError
from interslice.scoring.longtable import KINDS, REGIONS, seed_values
from interslice.scoring.registry import METRICS

SHOWN = {"kind": "synthesised", "protocol": "strict"}  # what figures are of


def labelled(table: pd.DataFrame, datasets: Mapping[str, str]) -> pd.DataFrame:
    """A table with the labels of `datasets` for their names, in their order."""
    table = table.sort_values("dataset", key=lambda names: names.map(list(datasets).index), kind="stable")
    return table.assign(dataset=table["dataset"].map(datasets)).reset_index(drop=True)


def metric_order(metrics: Sequence[str]) -> list[str]:
    """The metrics in the order of the registry; raise InputError for one that it lacks."""
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown:
        raise InputError(f"metric {unknown} found, allowed are those of the registry: {list(METRICS)}")
    return [metric for metric in METRICS if metric in set(metrics)]


def select_means(
    means: pd.DataFrame, *, kind: str, region: str, protocol: str, labels: Mapping[str, str]
) -> pd.DataFrame:
    """The `longtable.frame_means` under one protocol, after checking that they can be shown.

    Raises InputError for an unknown kind or region, for no row at all, and for a method without a label: a
    method left out in silence would change what the table says.
    """
    if kind not in (*KINDS, "all") or region not in REGIONS:
        raise InputError(
            f"kind {kind!r}, region {region!r} asked for, allowed are {(*KINDS, 'all')} and {REGIONS}"
        )
    chosen = means[(means["protocol"] == protocol) & (means["region"] == region) & (means["kind"] == kind)]
    if chosen.empty:
        raise InputError(f"score table: no row of protocol {protocol!r}, kind {kind!r}, region {region!r}")
    check_labels(chosen["method"], labels)
    return chosen


def select_metric(means: pd.DataFrame, metric: str, region: str, labels: Mapping[str, str]) -> pd.DataFrame:
    """The rows of one metric that figures are of, as `select_means`; InputError where there are none."""
    chosen = select_means(means, **SHOWN, region=region, labels=labels)
    if metric not in set(chosen["metric"]) & set(METRICS):
        raise InputError(
            f"score table: metric {metric!r} asked for, there are {sorted(chosen['metric'].unique())}"
        )
    return chosen[chosen["metric"] == metric]


def check_labels(methods: pd.Series, labels: Mapping[str, str]) -> None:
    """Raise InputError where a method has no label."""
    unlabelled = sorted(set(methods) - set(labels))
    if unlabelled:
        raise InputError(f"method {unlabelled} found, allowed are those with a label: {list(labels)}")


def seed_means(means: pd.DataFrame, *, kind: str, region: str) -> pd.DataFrame:
    """One value per dataset, K, method, metric and seed: the mean over that seed's subject means."""
    groups = seed_values(means, kind, region).groupby(["dataset", "K", "method", "metric", "seed"])
    return groups["value"].agg(mean_of).reset_index()


def mean_of(values: pd.Series) -> float:
    """Plain mean: inf and NaN go through to the result."""
    with np.errstate(invalid="ignore"):
        return float(np.mean(values.to_numpy()))


def sd_of(values: pd.Series) -> float:
    """Sample standard deviation (ddof 1); NaN for one value and where a value is inf or NaN."""
    with np.errstate(invalid="ignore"):
        return float(np.std(values.to_numpy(), ddof=1)) if len(values) > 1 else float("nan")


def describe(row: Mapping | pd.Series) -> str:
    """Which values a row is about: kind, region and protocol in words."""
    slices = "kept and synthesised slices" if row["kind"] == "all" else f"{row['kind']} slices"
    region = "whole image" if row["region"] == "whole" else "foreground"
    return f"{slices}, {region}, protocol {row['protocol']}"
