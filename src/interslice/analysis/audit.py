"""What each departure of the released evaluation does to the conclusion: the audit table.

In: the long table of the strict protocol and that of `as_published`. Out: for every dataset, K, metric and pair of a trained
method and a baseline the difference and its p under strict, with each item switched alone, and with all switched.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from interslice.analysis.comparisons import (
    BONFERRONI,
    FALSE_DISCOVERY,
    SIGNIFICANT,
    compare,
    corrected,
    unit_values,
)
from interslice.common.errors import InputError
from interslice.scoring.longtable import KEYS, frame_means, subject_means
from interslice.scoring.released_protocol import AS_PUBLISHED, AUDITED_METRICS, PROTOCOLS, STRICT

TITLES = {
    STRICT: "strict",
    "shifted_baselines": "shifted baselines",
    "legacy_ssim": "SSIM without a range",
    "wrapping_vif": "VIF that wraps",
    "separate_scaling": "separate scaling",
    "all_slices": "all slices",
    "frames_as_samples": "frames as samples",
    "bonferroni": "one-sided, Bonferroni",
    AS_PUBLISHED: "all, as published",
}
EXPLAINED = {
    "shifted_baselines": "linear, B-spline and Lanczos are scored (K − 1)/2 slices off, as a filter that keeps the field "
    "of view leaves them",
    "legacy_ssim": "SSIM with range 2, a uniform 7 × 7 window and sample covariance",
    "wrapping_vif": "VIF in 8-bit arithmetic, where products wrap modulo 256",
    "separate_scaling": "the low-resolution volume and the reference are each scaled by their own extremes (brain alone)",
    "all_slices": "kept slices are averaged with synthesised ones",
    "frames_as_samples": "every frame of a subject counts as a subject",
    "bonferroni": "one-sided tests with Bonferroni's correction in place of two-sided ones corrected for false discoveries",
}
HOLDS, AHEAD, FAILS, UNDEFINED = "holds", "ahead, not shown", "does not hold", "not defined"
PLACE = ["dataset", "K", "metric", "method", "baseline"]
COLUMNS = [
    *PLACE, "protocol", "unit", "n", "method_mean", "baseline_mean", "estimate", "ci_low", "ci_high", "level",
    "alternative", "p", "p_corrected", "correction", "claim", "changed", "flipped", "nonfinite", "dropped",
]  # fmt: skip


def audit(
    strict: pd.DataFrame,
    published: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    *,
    brain: Collection[str],
    confidence: float,
) -> pd.DataFrame:
    """The audit table, columns COLUMNS, one row per place and protocol of `PROTOCOLS`, whole image.

    strict, published: long tables; pairs: (trained method, baseline); brain: the datasets of brains, for which alone the
    separate scaling was released; others have no row of it.

    - unit: subject or frame; n: how many. method_mean, baseline_mean: over units. estimate: positive where the trained
      method is better, with its interval, of `comparisons.compare`. alternative, correction: two-sided and false discovery
      rate; greater and bonferroni as released.
    - claim that the trained method is better: "holds" (p_corrected < 0.05, estimate positive), "ahead, not shown" (a positive
      estimate), "does not hold" (none), "not defined" (NaN).
    - changed: the estimate or p_corrected is another than under strict; flipped: the sign of the estimate is.
    - nonfinite: scores that are inf or NaN and stay; dropped: those that `without_nonfinite` left out.

    Raises InputError for scores that the audit needs and does not have.
    """
    tables = []
    for protocol, items in PROTOCOLS.items():
        scores, dropped = without_nonfinite(switched_scores(strict, published, protocol), protocol)
        if "separate_scaling" in items and protocol != AS_PUBLISHED:
            scores = scores[scores["dataset"].isin(brain)]
        if scores.empty:
            continue
        if "frames_as_samples" in items:
            scores = frames_as_subjects(scores)
        kind = "all" if "all_slices" in items else "synthesised"
        alternative = "greater" if "bonferroni" in items else "two-sided"
        frames = frame_means(scores)
        tests = compare(unit_values(frames, kind=kind), pairs, confidence=confidence, alternative=alternative)
        correction = BONFERRONI if "bonferroni" in items else FALSE_DISCOVERY
        tests = corrected(tests, correction).assign(correction=correction)
        tests["unit"] = "frame" if "frames_as_samples" in items else "subject"
        means = subject_means(frames, kind=kind).groupby(["dataset", "K", "metric", "method"])["value"].mean()
        for who in ("method", "baseline"):
            place = pd.MultiIndex.from_frame(tests[["dataset", "K", "metric", who]])
            tests[f"{who}_mean"] = means.reindex(place).to_numpy()
            tests[f"{who}_dropped"] = [dropped.get(key, 0) for key in place]
        tables.append(tests.assign(dropped=tests["method_dropped"] + tests["baseline_dropped"]))
    return _compared_with_strict(pd.concat(tables, ignore_index=True))[COLUMNS]


def frames_as_subjects(scores: pd.DataFrame) -> pd.DataFrame:
    """Every frame as a subject of its own; the column patient keeps whose it is."""
    unit = scores["subject"].astype(str) + " frame " + scores["frame"].astype(str)
    return scores.assign(patient=scores["subject"], subject=unit)


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
    items = PROTOCOLS[protocol]
    metrics = (["vif"] if "wrapping_vif" in items else []) + (["psnr"] if protocol == AS_PUBLISHED else [])
    finite = np.isfinite(scores["value"])
    kept = scores["kind"].eq("synthesised") | ("all_slices" in items)  # what is tested
    groups = [scores[key] for key in ("dataset", "K", "metric", "method", "seed", "subject", "frame")]
    some = (finite & kept).groupby(groups).transform("any")
    out = ~finite & kept & scores["metric"].isin(metrics) & some
    counts = scores[out].groupby(["dataset", "K", "metric", "method"]).size().to_dict()
    return scores[~out], counts


def claim(estimate: float, p_corrected: float) -> str:
    """Whether "the method is better" holds."""
    if np.isnan(estimate) or np.isnan(p_corrected):
        return UNDEFINED
    if estimate <= 0:
        return FAILS
    return HOLDS if p_corrected < SIGNIFICANT else AHEAD


def _compared_with_strict(table: pd.DataFrame) -> pd.DataFrame:
    verdicts = [claim(*pair) for pair in zip(table["estimate"], table["p_corrected"], strict=True)]
    table = table.assign(claim=verdicts)
    reference = table[table["protocol"] == STRICT].set_index(PLACE)
    before = reference.loc[pd.MultiIndex.from_frame(table[PLACE])]
    same = [
        np.isclose(table[column], before[column].to_numpy(), rtol=1e-9, atol=1e-12, equal_nan=True)
        for column in ("estimate", "p_corrected")
    ]
    signs = np.sign(table["estimate"]), np.sign(before["estimate"].to_numpy())
    flipped = (signs[0] != signs[1]) & signs[0].notna() & ~np.isnan(signs[1])
    table = table.assign(changed=~np.logical_and(*same), flipped=flipped)
    order = {protocol: place for place, protocol in enumerate(PROTOCOLS)}
    metrics = {metric: place for place, metric in enumerate(AUDITED_METRICS)}
    ranked = table.assign(_order=table["protocol"].map(order), _metric=table["metric"].map(metrics))
    return ranked.sort_values(["dataset", "K", "_metric", "method", "baseline", "_order"], ignore_index=True)
