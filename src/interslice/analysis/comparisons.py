"""Paired comparisons of methods, the subject as the unit: the means of frames in; one row per comparison out.

One comparison per dataset may be primary, declared in the study file before its scores are looked at. All others are
exploratory and corrected together for the rate of false discoveries (Benjamini and Hochberg 1995).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy

from interslice.analysis.signed_rank import (
    LARGEST_EXACT,
    hodges_lehmann,
    signed_rank_p,
    smallest_p,
    widened_by_seeds,
)
from interslice.common.errors import InputError
from interslice.scoring.longtable import REGIONS, seed_values

PRIMARY, EXPLORATORY = "primary", "exploratory"
PLACE = ["dataset", "K", "protocol", "region", "kind", "metric"]
# All K and all pairs: any of them would be read as a win on this metric.
FAMILY = ["dataset", "protocol", "region", "metric"]
COLUMNS = [
    "role", *PLACE, "method", "baseline", "n", "seeds", "estimate", "ci_low", "ci_high", "level",
    "alternative", "p", "p_min", "p_corrected", "margin", "verdict", "nonfinite", "note",
]  # fmt: skip
SIGNIFICANT = 0.05
FALSE_DISCOVERY, BONFERRONI = "false discovery rate", "bonferroni"
BETTER, WORSE, SAME, UNDECIDED = "better", "worse", "within the margin", "undecided"


def unit_values(means: pd.DataFrame, *, kind: str = "synthesised", region: str = "whole") -> pd.DataFrame:
    """One value per subject and seed: how far from the best value, the mean over slices, then over frames.

    As `longtable.seed_values`, with the kind and region in columns; compared is the shortfall: smaller is better.
    """
    return seed_values(means, kind, region).assign(kind=kind, region=region)


def study_comparisons(
    means: pd.DataFrame, pairs: Sequence[tuple[str, str]], settings: Mapping[str, Any]
) -> pd.DataFrame:
    """Every comparison of a study, the primary ones first; columns COLUMNS.

    pairs: (method, other); settings: confidence, margins and primary of the study's `statistics`, primary None where none
    is declared. The primary comparison has K NaN where it is of the means over all K. It is not corrected, and
    not repeated among the exploratory ones.
    """
    shared = {name: settings[name] for name in ("confidence", "margins")}
    tests = pd.concat(compare(unit_values(means, region=region), pairs, **shared) for region in REGIONS)
    if not settings["primary"]:
        return judged(corrected(tests.reset_index(drop=True), FALSE_DISCOVERY))[COLUMNS]
    primary, keys = primary_comparisons(means, settings), [*PLACE, "method", "baseline"]
    again = pd.MultiIndex.from_frame(tests[keys]).isin(pd.MultiIndex.from_frame(primary[keys]))
    tests = judged(corrected(tests[~again].reset_index(drop=True), FALSE_DISCOVERY))
    return pd.concat([part for part in (primary, tests) if len(part)] or [tests], ignore_index=True)[COLUMNS]


def primary_comparisons(means: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """The comparison that `settings["primary"]` declares, one row per dataset and protocol; its p stands for itself."""
    declared = settings["primary"]
    values = unit_values(means, kind=declared["kind"], region=declared["region"])
    values = values[values["metric"] == declared["metric"]]
    if declared["factor"] is None:
        keys = [key for key in [*PLACE, "method", "seed", "subject"] if key != "K"]
        groups = values.groupby(keys)
        values = pd.DataFrame(
            {"shortfall": groups["shortfall"].mean(skipna=False), "nonfinite": groups["nonfinite"].sum()}
        )
        values = values.reset_index().assign(K=math.nan)
    else:
        values = values[values["K"] == declared["factor"]]
    tests = compare(
        values,
        [(declared["method"], declared["baseline"])],
        confidence=settings["confidence"],
        margins=settings["margins"],
        alternative=declared["alternative"],
    )
    return judged(tests.assign(role=PRIMARY, p_corrected=tests["p"]))


def compare(
    values: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    *,
    confidence: float,
    margins: Mapping[str, float] | None = None,
    alternative: str = "two-sided",
) -> pd.DataFrame:
    """Test every pair at every place of `unit_values`; columns COLUMNS without p_corrected and verdict.

    - n: subjects; seeds: repetitions of the method that has more. p: `signed_rank_p` of the means over seeds, so of the
      trainings that were made; p_min: the smallest that n subjects can give.
    - estimate, ci_low, ci_high: in units of the metric, positive where the method is better, by `hodges_lehmann`, the interval
      with the variance between seeds (`widened_by_seeds`); level: what the interval covers.
    - margin: of `margins`, by metric, NaN where there is none. nonfinite: scores of single slices of either method.
    - note: what a reader must know, "" otherwise.

    Two equal infinite means differ by 0; an infinite difference takes the highest rank. Where a subject's mean is NaN there is
    no p and no estimate: the subject is not dropped. Raises InputError for a method without values, a subject that only
    one of two methods has, seeds that do not pair and a confidence out of range.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence: {confidence} found, must be between 0 and 1")
    rows = []
    for keys, part in values.groupby(PLACE, sort=True, dropna=False):
        place = dict(zip(PLACE, keys, strict=True))
        for method, baseline in pairs:
            differences, nonfinite = paired_differences(part, method, baseline, place)
            row = {"role": EXPLORATORY, **place, "method": method, "baseline": baseline}
            row |= _compared(differences, confidence, alternative)
            row |= {"margin": (margins or {}).get(str(place["metric"]), math.nan), "nonfinite": nonfinite}
            rows.append(row)
    return pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in ("p_corrected", "verdict")])


def paired_differences(
    values: pd.DataFrame, method: str, baseline: str, place: Mapping[str, object]
) -> tuple[np.ndarray, int]:
    """The differences (seeds, subjects), positive where the method is better, and the scores that are not finite.

    A method with one seed is paired with every seed of the other.
    """
    where = ", ".join(f"{key} {value}" for key, value in place.items())
    sides, nonfinite = [], 0
    for name in (method, baseline):
        rows = values[values["method"] == name]
        if rows.empty:
            raise InputError(f"comparisons: no values of {name} found for {where}")
        sides.append(rows.pivot(index="seed", columns="subject", values="shortfall"))
        nonfinite += int(rows["nonfinite"].sum())
    ours, theirs = sides
    unpaired = sorted(set(ours.columns) ^ set(theirs.columns), key=str)
    if unpaired:
        raise InputError(
            f"comparisons: subjects {unpaired} found for only one of {method} and {baseline} ({where}), must be in both"
        )
    if 1 not in (len(ours), len(theirs)) and list(ours.index) != list(theirs.index):
        raise InputError(
            f"comparisons: seeds {list(ours.index)} of {method} and {list(theirs.index)} of {baseline} found ({where}), "
            "must be the same, or one"
        )
    left, right = np.broadcast_arrays(ours.to_numpy(float), theirs.to_numpy(float))
    with np.errstate(invalid="ignore"):
        return np.where(left == right, 0.0, right - left), nonfinite


def _compared(differences: np.ndarray, confidence: float, alternative: str) -> dict[str, Any]:
    """The test and estimate of differences (seeds, subjects)."""
    with np.errstate(invalid="ignore"):
        subjects, seeds = differences.mean(axis=0), differences.mean(axis=1)
    interval = widened_by_seeds(hodges_lehmann(subjects, confidence), seeds)
    numbers = dict(zip(("estimate", "ci_low", "ci_high", "level"), interval, strict=True))
    return {"n": len(subjects), "seeds": len(seeds), **numbers, "alternative": alternative} | {
        "p": signed_rank_p(subjects, alternative),
        "p_min": smallest_p(len(subjects), alternative),
        "note": "; ".join(_notes(subjects, alternative)),
    }


def _notes(differences: np.ndarray, alternative: str) -> list[str]:
    n, nan, zeros = len(differences), int(np.isnan(differences).sum()), int((differences == 0).sum())
    if nan:
        return [f"{nan} of {n} subjects have a NaN mean, so there is no test"]
    notes, infinite = [], int(np.isinf(differences).sum())
    if smallest_p(n, alternative) > SIGNIFICANT:
        notes.append(f"with {n} subjects no p can be below {smallest_p(n, alternative):g}")
    if zeros:
        notes.append(f"{zeros} of {n} differences are 0")
    if infinite:
        notes.append(f"{infinite} of {n} differences are infinite")
    if n < 2:
        notes.append("an interval needs 2 subjects")
    if n > LARGEST_EXACT:
        notes.append("p by the normal approximation")
    return notes


def corrected(tests: pd.DataFrame, correction: str, family: Sequence[str] = FAMILY) -> pd.DataFrame:
    """Fill p_corrected within each family, by FALSE_DISCOVERY or BONFERRONI; a row without a p does not count."""
    tests = tests.assign(p_corrected=math.nan)
    for _, rows in tests[tests["p"].notna()].groupby(list(family)):
        p = rows["p"].to_numpy(float)
        tests.loc[rows.index, "p_corrected"] = (
            np.minimum(1, len(p) * p) if correction == BONFERRONI else scipy.stats.false_discovery_control(p)
        )
    return tests


def judged(tests: pd.DataFrame) -> pd.DataFrame:
    """Fill verdict: better or worse (p_corrected below 0.05 and 0 outside the interval), within the margin, or undecided.

    Within the margin: the whole interval is; undecided is all else, so that a large p is never read as equality.
    """
    shown = tests["p_corrected"] < SIGNIFICANT
    choices = {
        BETTER: shown & (tests["ci_low"] > 0),
        WORSE: shown & (tests["ci_high"] < 0),
        SAME: (tests["ci_low"] > -tests["margin"]) & (tests["ci_high"] < tests["margin"]),
    }
    verdict = np.select(list(choices.values()), list(choices), UNDECIDED)
    return tests.assign(verdict=verdict)
