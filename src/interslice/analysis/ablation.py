"""What each part of a method is worth: the means of frames and the trainings' costs in; the numbers of every variant out."""

from collections.abc import Mapping, Sequence

import pandas as pd

from interslice.analysis.comparisons import compare, unit_values
from interslice.analysis.rows import SHOWN, mean_of, metric_order, select_means
from interslice.common.errors import InputError
from interslice.scoring.longtable import subject_means

KEYS = ["dataset", "K"]
DIFFERENCE = ["estimate", "ci_low", "ci_high"]
COLUMNS = [
    *KEYS, "protocol", "kind", "region", "method", "label", "parameters", "seconds_per_step", "metric", "mean", "n",
    "seeds", *DIFFERENCE, "level", "nonfinite",
]  # fmt: skip


def ablation_table(
    means: pd.DataFrame,
    costs: pd.DataFrame,
    *,
    base: str,
    variants: Sequence[str],
    labels: Mapping[str, str],
    region: str = "whole",
    confidence: float,
) -> pd.DataFrame:
    """One row per dataset, K, method (the base, then its variants in their order) and metric; unrounded.

    costs: dataset, K, method, parameters, seconds_per_step. Returns COLUMNS: mean is over subjects; estimate, ci_low, ci_high,
    level and seeds are those of `comparisons.compare`, in units of the metric, positive where the variant is better than
    the base, whichever way the metric points, and NaN on the base's rows. Raises InputError for no variants, a method
    without a cost, and as `select_means` and `compare` do.
    """
    if not variants:
        raise InputError("ablation: found no variant under methods, at least 1 is needed")
    methods = [base, *variants]
    chosen = select_means(means, **SHOWN, region=region, labels=labels)
    chosen = chosen[chosen["method"].isin(methods)]
    subjects = subject_means(chosen, region=region)
    values = unit_values(chosen, region=region)
    tests = compare(values, [(variant, base) for variant in variants], confidence=confidence)
    over_subjects = subjects.groupby([*KEYS, "method", "metric"])
    table = over_subjects.agg(
        mean=("value", mean_of), n=("subject", "size"), nonfinite=("nonfinite", "sum")
    ).reset_index()
    table = table.merge(costs, how="left", on=[*KEYS, "method"])
    missing = table[table["parameters"].isna()]
    if len(missing):
        one = missing.iloc[0]
        raise InputError(
            f"ablation: no training of {one['method']} found for {one['dataset']}, K = {one['K']}"
        )
    tests = tests[[*KEYS, "method", "metric", "seeds", *DIFFERENCE, "level"]]
    table = table.merge(tests, how="left", on=[*KEYS, "method", "metric"])
    table = table.assign(label=table["method"].map(labels), region=region, **SHOWN)
    ranks = {"method": methods, "metric": metric_order(list(table["metric"].unique()))}
    order = table[KEYS].assign(**{name: table[name].map(rank.index) for name, rank in ranks.items()})
    table = table.loc[order.sort_values(list(order.columns)).index, COLUMNS]
    return table.reset_index(drop=True).astype({"parameters": int})
