"""Score steps: many long tables into one, and the comparisons of methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interslice.analysis.comparisons import study_comparisons
from interslice.analysis.ranks import rank_tables, significance_map
from interslice.common.files import replacing
from interslice.scoring.longtable import read_scores, write_scores


def collect_scores(parts: Sequence[str], output: str) -> None:
    """One long table from the shards' tables."""
    write_scores(read_scores([Path(part) for part in parts]), Path(output))


def compare_methods(
    scores: str,
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
    table, confidence = read_scores(Path(scores)), settings["confidence"]
    tests = study_comparisons(table, [(method, other) for method, other in pairs], settings)
    ranks, agreement = rank_tables(table, controls, confidence=confidence)
    significance = significance_map(table, controls, metric, confidence=confidence)
    found = {"statistics": tests, "ranks": ranks, "agreement": agreement, "significance": significance}
    for name, path in outputs.items():
        with replacing(path) as temporary:
            found[name].to_csv(temporary, index=False)
