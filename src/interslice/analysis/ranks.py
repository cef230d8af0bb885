"""How methods rank and how far a ranking can be trusted: the means of frames in; ranks, agreement and pairwise tests out.

The parts are those of challengeR (Wiesenfarth et al., Scientific Reports 2021): ranks of means, a bootstrap over subjects,
Kendall's tau between rankings, and a map of which method is better than which. Controls take no rank.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import scipy

from interslice.analysis.comparisons import (
    BETTER,
    FALSE_DISCOVERY,
    PLACE,
    compare,
    corrected,
    judged,
    unit_values,
)
from interslice.analysis.rows import metric_order
from interslice.scoring.longtable import subject_means

DRAWS, SEED = 1000, 1
OVER_METRICS = "all metrics"
RANKS = ["dataset", "K", "metric", "method", "n", "rank", "ci_low", "ci_high", "first"]
AGREEMENT = ["between", "dataset", "K", "metric", "other", "methods", "tau", "ci_low", "ci_high"]
# Methods, subjects, ranks (1 + DRAWS, methods): of all subjects, then of draws.
Ranking = tuple[list[str], int, np.ndarray]


def rank_tables(
    means: pd.DataFrame, controls: Collection[str], *, confidence: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ranks (columns RANKS) and agreement (AGREEMENT) of the methods on synthesised slices, whole image, strict protocol.

    rank: of the mean over subjects, 1 the best, ties their mean; under the metric OVER_METRICS that of the mean rank over all
    metrics. ci_low, ci_high: percentiles of DRAWS bootstrap draws of subjects, the same draws wherever subjects
    are the same; first: share of draws in which the method is first, alone or tied. A mean that is NaN ranks last. tau:
    Kendall's tau-b of two rankings, `between` two metrics, datasets or K, or of one ranking and its draws ("subjects", the
    mean); methods: how many both rank. Without rows for fewer than two methods or subjects.
    """
    rankings = dict(_rankings(means[~means["method"].isin(list(controls))]))
    limits = 50 * (1 - confidence), 50 * (1 + confidence)
    rows = []
    for (dataset, factor, metric), (methods, n, ranks) in rankings.items():
        low, high = np.percentile(ranks[1:], limits, axis=0)
        first = (ranks[1:] == ranks[1:].min(axis=1, keepdims=True)).mean(axis=0)
        for i, method in enumerate(methods):
            rows.append([dataset, factor, metric, method, n, ranks[0, i], low[i], high[i], first[i]])
    agreement = []
    for between, (dataset, factor, metric), other, one, two in _pairs(rankings):
        common = [method for method in one[0] if method in two[0]]
        if len(common) < 2:
            continue
        pair = [ranks[:, [methods.index(method) for method in common]] for methods, _, ranks in (one, two)]
        taus = kendall_tau(pair[0], pair[1]) if other else kendall_tau(pair[0], pair[0][:1])
        low, high = np.percentile(taus[1:], limits)
        tau = taus[0] if other else taus[1:].mean()
        agreement.append([between, dataset, factor, metric, other, len(common), tau, low, high])
    return pd.DataFrame(rows, columns=RANKS), pd.DataFrame(agreement, columns=AGREEMENT)


def _rankings(means: pd.DataFrame) -> Iterator[tuple[tuple[str, int, str], Ranking]]:
    """(dataset, K, metric) and its ranking."""
    subjects = subject_means(means[means["protocol"] == "strict"])
    for keys, part in subjects.groupby(["dataset", "K"], sort=False):
        dataset, factor = str(keys[0]), int(str(keys[1]))
        by_metric = {}
        for metric in metric_order(list(part["metric"].unique())):
            values = part[part["metric"] == metric].pivot(
                index="subject", columns="method", values="shortfall"
            )
            if min(values.shape) >= 2:
                draws = _draws(list(values.index))
                with np.errstate(invalid="ignore"):
                    # One by one: all draws of many subjects together would take gigabytes.
                    drawn = np.array([values.to_numpy()[draw].mean(axis=0) for draw in draws])
                ranks = scipy.stats.rankdata(
                    np.nan_to_num(drawn, nan=np.inf, posinf=np.inf, neginf=-np.inf), axis=1
                )
                by_metric[metric] = list(values.columns), len(values), ranks
                yield (dataset, factor, metric), by_metric[metric]
        sets = {(tuple(methods), n) for methods, n, _ in by_metric.values()}
        if len(by_metric) > 1 and len(sets) == 1:
            methods, n, _ = next(iter(by_metric.values()))
            over = np.mean([ranks for *_, ranks in by_metric.values()], axis=0)
            yield (dataset, factor, OVER_METRICS), (methods, n, scipy.stats.rankdata(over, axis=1))


def _draws(subjects: Sequence[str]) -> np.ndarray:
    """(1 + DRAWS, n) indices of subjects: all of them, then draws with replacement, which names of subjects decide."""
    rng = np.random.default_rng([SEED, *"\n".join(subjects).encode()])
    n = len(subjects)
    return np.vstack([np.arange(n), rng.integers(0, n, (DRAWS, n))])


def _pairs(rankings: Mapping[tuple[str, int, str], Ranking]) -> Iterator[tuple]:
    """(what differs, place, the other's name, ranking, ranking) of all rankings that differ in one thing, and of each alone."""
    for place, ranking in rankings.items():
        yield "subjects", place, "", ranking, ranking
    for one, two in combinations(rankings, 2):
        differing = [i for i in range(3) if one[i] != two[i]]
        if len(differing) == 1 and not (differing == [2] and OVER_METRICS in (one[2], two[2])):
            between = ("datasets", "K", "metrics")[differing[0]]
            yield between, one, str(two[differing[0]]), rankings[one], rankings[two]


def kendall_tau(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of ranks (draws, methods), draw by draw, (draws,); NaN where one ranking ties all methods.

    Many at once, which scipy's kendalltau is not.
    """
    left, right = np.triu_indices(one.shape[1], 1)
    first, second = (np.sign(ranks[:, left] - ranks[:, right]) for ranks in (one, two))
    with np.errstate(invalid="ignore"):
        return (first * second).sum(axis=1) / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))


def significance_map(
    means: pd.DataFrame, controls: Collection[str], metric: str, *, confidence: float
) -> pd.DataFrame:
    """Every method against every other by one metric: dataset, K, method, baseline, p, p_corrected and better.

    better: p below 0.05, corrected for false discoveries among all pairs of the dataset and K, and the method ahead. Exact
    two-sided signed-rank tests on subjects (`comparisons.compare`).
    """
    own = means[~means["method"].isin(list(controls)) & (means["metric"] == metric)]
    tables = []
    for _, part in unit_values(own[own["protocol"] == "strict"]).groupby(["dataset", "K"], sort=False):
        pairs = list(combinations(dict.fromkeys(part["method"]), 2))
        tests = corrected(compare(part, pairs, confidence=confidence), FALSE_DISCOVERY, PLACE)
        turned = tests.rename(columns={"method": "baseline", "baseline": "method"})
        turned = turned.assign(
            estimate=-tests["estimate"], ci_low=-tests["ci_high"], ci_high=-tests["ci_low"]
        )
        tables.append(judged(pd.concat([tests, turned], ignore_index=True)))
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return found.assign(better=found["verdict"] == BETTER)
