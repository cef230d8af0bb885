"""What each departure of the released evaluation does to the conclusion: the audit table.

In: the long table of the strict protocol and that of `as_published`. Out: for every dataset, K, metric and pair of a trained
method and a baseline the difference and its p under strict, with each item switched alone, and with all switched.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interslice.analysis.statistics import LEVEL, adjusted, compare
from interslice.common.errors import InputError
from interslice.scoring.longtable import KEYS, subject_means
from interslice.scoring.released_protocol import AS_PUBLISHED, AUDITED_METRICS, PROTOCOLS, STRICT

TITLES = {
    STRICT: "strict",
    "shifted_baselines": "shifted baselines",
    "legacy_ssim": "SSIM without a range",
    "wrapping_vif": "VIF that wraps",
    "separate_scaling": "separate scaling",
    "all_slices": "all slices",
    "frames_as_samples": "frames as samples",
    "bonferroni": "Bonferroni",
    AS_PUBLISHED: "all, as published",
}
EXPLAINED = {
    "shifted_baselines": "linear, B-spline and Lanczos are scored (K − 1)/2 slices off, as a filter that keeps the field "
    "of view leaves them",
    "legacy_ssim": "SSIM with range 2, a uniform 7 × 7 window and sample covariance",
    "wrapping_vif": "VIF in 8-bit arithmetic, where products wrap modulo 256",
    "separate_scaling": "the low-resolution volume and the reference are each scaled by their own extremes",
    "all_slices": "kept slices are averaged with synthesised ones",
    "frames_as_samples": "every frame of a subject counts as a subject",
    "bonferroni": "Bonferroni's correction in place of Holm's",
}
HOLDS, AHEAD, FAILS, UNDEFINED = "holds", "ahead, not shown", "does not hold", "not defined"
PLACE = ["dataset", "K", "metric", "method", "baseline"]
COLUMNS = [
    *PLACE,
    "protocol",
    "unit",
    "n",
    "method_mean",
    "baseline_mean",
    "median_difference",
    "ci_low",
    "ci_high",
]
COLUMNS += [
    "p",
    "p_corrected",
    "correction",
    "p_corrected_min",
    "claim",
    "changed",
    "flipped",
    "nonfinite",
    "dropped",
]


def audit(
    strict: pd.DataFrame,
    published: pd.DataFrame,
    trained: Sequence[str],
    baselines: Sequence[str],
    settings: Mapping[str, Any],
) -> pd.DataFrame:
    """The audit table, columns COLUMNS, one row per place and protocol of `PROTOCOLS`, whole image.

    strict, published: long tables; settings: the study's `statistics` (confidence, bootstrap, family).

    - unit: subject or frame; n: how many. method_mean, baseline_mean: over units. median_difference: positive where
      the trained method is better, with its interval. p_corrected: by `correction`; p_corrected_min: the smallest that
      n units can give.
    - claim that the trained method is better: "holds" (p_corrected < 0.05), "ahead, not shown" (a positive median
      difference), "does not hold" (none), "not defined" (NaN).
    - changed: the difference or p_corrected is another than under strict; flipped: the sign of the difference is.
    - nonfinite: scores that are inf or NaN and stay; dropped: those that `without_nonfinite` left out.

    Raises InputError for scores that the audit needs and does not have.
    """
    tables = []
    for protocol, switched in PROTOCOLS.items():
        scores = switched_scores(strict, published, protocol)
        scores, dropped = without_nonfinite(scores, protocol)
        if switched.frames_as_samples:
            unit = scores["subject"].astype(str) + " frame " + scores["frame"].astype(str)
            scores = scores.assign(subject=unit)
        means = subject_means(scores, kind="all" if switched.all_slices else "synthesised")
        tests = compare(
            means,
            trained,
            baselines,
            confidence=settings["confidence"],
            bootstrap=settings["bootstrap"],
            family=settings["family"],
        )
        tests["unit"] = "frame" if switched.frames_as_samples else "subject"
        tests = _corrected(tests, "bonferroni" if switched.bonferroni else "holm", settings["family"])
        over_units = means.groupby(["dataset", "K", "metric", "method"])["value"].mean()
        for who in ("method", "baseline"):
            index = pd.MultiIndex.from_frame(tests[["dataset", "K", "metric", who]])
            tests[f"{who}_mean"] = over_units.reindex(index).to_numpy()
        lost = [dropped.get(tuple(row), 0) for row in tests[["dataset", "K", "metric", "method"]].to_numpy()]
        more = [
            dropped.get(tuple(row), 0) for row in tests[["dataset", "K", "metric", "baseline"]].to_numpy()
        ]
        tables.append(tests.assign(dropped=np.add(lost, more)))
    return _compared_with_strict(pd.concat(tables, ignore_index=True))[COLUMNS]


def switched_scores(strict: pd.DataFrame, published: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The scores of every audited slice under a protocol: its own rows, else the strict ones (whole image).

    Raises InputError where the published table is not of the same slices as the strict one.
    """
    methods = set(published["method"])
    base = strict[
        (strict["protocol"] == STRICT)
        & (strict["region"] == "whole")
        & strict["metric"].isin(AUDITED_METRICS)
        & strict["method"].isin(methods)
    ]
    keys = [key for key in KEYS if key != "protocol"]
    own = published[published["protocol"] == protocol].set_index(keys)["value"]
    merged = base.set_index(keys)
    strange = own.index.difference(merged.index)
    if len(strange):
        raise InputError(
            f"audit: protocol {protocol} has a score of {dict(zip(keys, strange[0], strict=True))}, "
            "which the strict table lacks"
        )
    merged.loc[own.index, "value"] = own
    return merged.assign(protocol=protocol).reset_index()


def without_nonfinite(scores: pd.DataFrame, protocol: str) -> tuple[pd.DataFrame, dict[tuple, int]]:
    """The scores without what the released evaluation leaves out in silence, and the counts by dataset, K, metric, method.

    VIFs that are not finite, with the wrapping VIF; with all items PSNRs as well, because the shifted
    linear interpolation gives the first slice back, and yet its published means are finite. A subject that would lose
    every score of a metric keeps them.
    """
    switched = PROTOCOLS[protocol]
    metrics = (["vif"] if switched.wrapping_vif else []) + (["psnr"] if protocol == AS_PUBLISHED else [])
    finite = np.isfinite(scores["value"])
    kept = scores["kind"].eq("synthesised") | switched.all_slices  # what is tested
    groups = [scores[key] for key in ("dataset", "K", "metric", "method", "seed", "subject", "frame")]
    some = (finite & kept).groupby(groups).transform("any")
    out = ~finite & kept & scores["metric"].isin(metrics) & some
    counts = scores[out].groupby(["dataset", "K", "metric", "method"]).size().to_dict()
    return scores[~out], counts


def _corrected(tests: pd.DataFrame, correction: str, family: Sequence[str]) -> pd.DataFrame:
    """Fill p_corrected and the bound under it, within the declared family."""
    tests = tests.assign(correction=correction, p_corrected=np.nan, p_corrected_min=np.nan)
    for _, rows in tests[tests["p"].notna()].groupby(list(family)):
        tests.loc[rows.index, "p_corrected"] = adjusted(rows["p"], correction)
        tests.loc[rows.index, "p_corrected_min"] = adjusted(rows["p_min"], correction)
    return tests


def claim(median_difference: float, p_corrected: float) -> str:
    """Whether "the method is better" holds."""
    if np.isnan(median_difference) or np.isnan(p_corrected):
        return UNDEFINED
    if p_corrected < LEVEL:
        return HOLDS
    return AHEAD if median_difference > 0 else FAILS


def _compared_with_strict(table: pd.DataFrame) -> pd.DataFrame:
    verdicts = [claim(*pair) for pair in zip(table["median_difference"], table["p_corrected"], strict=True)]
    table = table.assign(claim=verdicts)
    reference = table[table["protocol"] == STRICT].set_index(PLACE)
    before = reference.loc[pd.MultiIndex.from_frame(table[PLACE])]
    same = [
        np.isclose(table[column], before[column].to_numpy(), rtol=1e-9, atol=1e-12, equal_nan=True)
        for column in ("median_difference", "p_corrected")
    ]
    signs = np.sign(table["median_difference"]), np.sign(before["median_difference"].to_numpy())
    flipped = (signs[0] != signs[1]) & signs[0].notna() & ~np.isnan(signs[1])
    table = table.assign(changed=~np.logical_and(*same), flipped=flipped)
    order = {protocol: place for place, protocol in enumerate(PROTOCOLS)}
    metrics = {metric: place for place, metric in enumerate(AUDITED_METRICS)}
    ranked = table.assign(_order=table["protocol"].map(order), _metric=table["metric"].map(metrics))
    return ranked.sort_values(["dataset", "K", "_metric", "method", "baseline", "_order"], ignore_index=True)
