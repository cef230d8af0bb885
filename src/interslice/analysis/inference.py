"""What a paired test alone does not say: "as good as", frames within patients, and what so few subjects can show.

Every function takes differences of subjects (or frames), positive where the method is better, in units of the metric.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from interslice.analysis.statistics import (
    GROUP,
    LEVEL,
    adjusted,
    improvement,
    null_distribution,
    signed_rank_p,
)
from interslice.scoring.longtable import subject_means

COLUMNS = ["margin", "p_not_worse", "p_not_worse_holm", "p_equivalent", "p_equivalent_holm"]
COLUMNS += [
    "mean_difference",
    "sd_difference",
    "frames",
    "mixed_difference",
    "mixed_low",
    "mixed_high",
    "mixed_p",
]
COLUMNS += ["detectable", "detectable_holm"]
DRAWS = 4000  # of the simulated power; its standard error at 0.8 is 0.006
LARGEST_EFFECT = 50.0  # standard deviations; an effect beyond it is called undetectable


def supplement(
    tests: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    region: str,
    margins: Mapping[str, float],
    family: Sequence[str],
    confidence: float,
    power: float,
) -> pd.DataFrame:
    """The tests of `statistics.compare` with COLUMNS added, from the long table that they were made of.

    - margin: the largest difference that counts as none (`margins`, by metric; NaN where none is declared).
      p_not_worse: of H1 "not worse by more than the margin"; p_equivalent: two one-sided tests, H1 "within
      the margin"; both by `statistics.signed_rank_p`, and Holm-corrected over the same family as p.
    - mean_difference, sd_difference: over subjects. frames: over all subjects; mixed_*: `mixed_model` of them,
      one-sided p, NaN where every subject has one frame, because the subjects' values are all there is then.
    - detectable: the smallest true mean difference that the one-sided test at 0.05 finds with probability
      `power`, for normal differences of the observed standard deviation; detectable_holm: at the level that Holm
      asks of the smallest p of the family. inf: no difference, however large, could be shown.
    """
    synthesised = scores[(scores["region"] == region) & (scores["kind"] == "synthesised")]
    means = subject_means(synthesised, region=region)
    frames = _frame_means(synthesised, region)
    sizes = tests[tests["p"].notna()].groupby(list(family))["p"].size()
    rows = []
    for _, test in tests.iterrows():
        place = {key: test[key] for key in GROUP}
        differences, _ = improvement(_at(means, place), test["method"], test["baseline"], place)
        row = _not_worse(differences, margins.get(test["metric"], math.nan))
        row |= _mixed(_at(frames, place), test, place, confidence)
        with np.errstate(invalid="ignore"):
            spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else math.nan
            row |= {"mean_difference": float(np.mean(differences)), "sd_difference": spread}
        size = int(sizes.get(_key(test, family), 1))
        for name, level in (("detectable", LEVEL), ("detectable_holm", LEVEL / size)):
            row[name] = spread * smallest_effect(len(differences), level, power)
        rows.append(row)
    # A study of conventional methods alone has no test; its table has the columns all the same.
    added = pd.DataFrame(rows, index=tests.index, columns=COLUMNS)  # without a test, the columns all the same
    return _holm(pd.concat([tests, added], axis=1), family)


def not_worse_p(differences: np.ndarray, margin: float) -> float:
    """p of H1 "the method is not worse than the baseline by `margin` or more"."""
    return signed_rank_p(differences + margin) if np.isfinite(margin) else math.nan


def equivalence_p(differences: np.ndarray, margin: float) -> float:
    """p of H1 "the difference is within the margin": the larger of two one-sided tests (Schuirmann 1987)."""
    return max(not_worse_p(differences, margin), not_worse_p(-differences, margin))


def mixed_model(
    differences: np.ndarray, subjects: Sequence[str], confidence: float
) -> tuple[float, float, float, float]:
    """(mean difference, low, high, one-sided p) by a random intercept per subject (statsmodels, REML).

    differences: (frames,), of which subjects[i] is the subject. The interval and p are by t with as many degrees of
    freedom as subjects minus 1; with equally many frames per subject, and subjects that differ, that is the paired t
    test on subject means. NaN where a difference is not finite, no subject has two frames, or the fit fails.
    """
    count = len(set(subjects))
    if count < 2 or len(differences) == count or not np.isfinite(differences).all():
        return (math.nan,) * 4
    model = MixedLM(differences, np.ones((len(differences), 1)), groups=np.asarray(subjects))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a variance of 0 is an answer here
            fit = model.fit(reml=True)
    except np.linalg.LinAlgError:
        return (math.nan,) * 4
    mean, error = float(fit.fe_params[0]), float(fit.bse_fe[0])
    if not (fit.converged and error > 0):
        return (math.nan,) * 4
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return mean, mean - half, mean + half, float(stats.t.sf(mean / error, count - 1))


@cache
def smallest_effect(n: int, level: float, power: float) -> float:
    """The smallest mean, in standard deviations, that the one-sided signed-rank test at `level` finds with `power`.

    For n normal differences, by simulation with fixed draws; the critical value is exact. inf where n subjects can give
    no p of `level`.
    """
    tail = np.cumsum(null_distribution(2 * np.arange(1, n + 1))[::-1])[::-1]
    reached = np.flatnonzero(tail <= level * (1 + 1e-12))
    if len(reached) == 0:
        return math.inf
    critical = reached[0] / 2
    draws = np.random.default_rng(0).standard_normal((DRAWS, n))

    def power_at(effect: float) -> float:
        shifted = draws + effect
        ranks = stats.rankdata(np.abs(shifted), axis=1)
        return float(np.mean((ranks * (shifted > 0)).sum(axis=1) >= critical))

    low, high = 0.0, 1.0
    while power_at(high) < power:
        low, high = high, 2 * high
        if high > LARGEST_EFFECT:
            return math.inf
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if power_at(middle) >= power else (middle, high)
    return high


def _at(means: pd.DataFrame, place: Mapping[str, object]) -> pd.DataFrame:
    chosen = np.logical_and.reduce([means[key] == value for key, value in place.items()])
    return means[chosen]


def _key(test: pd.Series, family: Sequence[str]) -> object:
    values = tuple(test[key] for key in family)
    return values if len(values) > 1 else values[0]


def _frame_means(scores: pd.DataFrame, region: str) -> pd.DataFrame:
    """As `subject_means`, a row per frame; `patient` is the subject. Subjects with one frame are included."""
    parts = [
        subject_means(part, region=region).assign(patient=lambda m: m["subject"], frame=frame)
        for frame, part in scores.groupby("frame")
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(subject=table["patient"].astype(str) + " frame " + table["frame"].astype(str))


def _mixed(
    frames: pd.DataFrame, test: pd.Series, place: dict[str, object], confidence: float
) -> dict[str, float]:
    differences, _ = improvement(frames, test["method"], test["baseline"], place)
    own = frames[frames["method"] == test["method"]].set_index("subject").sort_index()
    estimate = mixed_model(differences, list(own["patient"]), confidence)
    names = ("mixed_difference", "mixed_low", "mixed_high", "mixed_p")
    return {"frames": len(differences), **dict(zip(names, estimate, strict=True))}


def _not_worse(differences: np.ndarray, margin: float) -> dict[str, float]:
    return {
        "margin": margin,
        "p_not_worse": not_worse_p(differences, margin),
        "p_equivalent": equivalence_p(differences, margin),
    }


def _holm(table: pd.DataFrame, family: Sequence[str]) -> pd.DataFrame:
    table = table.assign(p_not_worse_holm=np.nan, p_equivalent_holm=np.nan)
    for name in ("p_not_worse", "p_equivalent"):
        for _, rows in table[table[name].notna()].groupby(list(family)):
            table.loc[rows.index, f"{name}_holm"] = adjusted(rows[name], "holm")
    return table
