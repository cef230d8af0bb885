"""Score steps: many long tables into one, and the comparisons of methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interslice.analysis.comparisons import study_comparisons
from interslice.common.files import replacing
from interslice.scoring.longtable import read_scores, write_scores


def collect_scores(parts: Sequence[str], output: str) -> None:
    """One long table from the shards' tables."""
    write_scores(read_scores([Path(part) for part in parts]), Path(output))


def compare_methods(
    scores: str, pairs: Sequence[tuple[str, str]], settings: Mapping[str, Any], output: str
) -> None:
    """The comparisons of a study on synthesised slices, for both regions, and its primary ones.

    pairs: (method, other); settings: confidence, margins and primary of the study's `statistics`.
    """
    tests = study_comparisons(
        read_scores(Path(scores)), [(method, other) for method, other in pairs], settings
    )
    with replacing(output) as temporary:
        tests.to_csv(temporary, index=False)
