"""Comparison step: how the methods of a study compare and rank."""

from collections.abc import Mapping, Sequence
from typing import Any

from interslice.analysis.comparisons import study_comparisons
from interslice.analysis.ranks import rank_tables, significance_map
from interslice.common.files import write_csv
from interslice.scoring.longtable import read_means


def compare_methods(
    means: str,
    pairs: Sequence[tuple[str, str]],
    settings: Mapping[str, Any],
    *,
    controls: Sequence[str],
    metric: str,
    outputs: Mapping[str, str],
) -> None:
    """The comparisons of a study on synthesised slices, for both regions, with its primary ones; and how its methods rank.

    pairs: (method, other); settings: confidence, margins and primary of the study's `statistics`; metric: of the map of what is
    better than what; outputs: CSV files by the names statistics, ranks, agreement and significance.
    """
    kinds = {"synthesised", *([settings["primary"]["kind"]] if settings["primary"] else [])}
    table, confidence = read_means(means, kind=kinds), settings["confidence"]
    tests = study_comparisons(table, [(method, other) for method, other in pairs], settings)
    ranks, agreement = rank_tables(table, controls, confidence=confidence)
    significance = significance_map(table, controls, metric, confidence=confidence)
    found = {"statistics": tests, "ranks": ranks, "agreement": agreement, "significance": significance}
    for name, path in outputs.items():
        write_csv(found[name], path)
