"""Table step: results as CSV, Markdown and LaTeX, and the summary that a terminal shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from interslice.files import replacing
from interslice.longtable import read_scores
from interslice.tables import results_table, statistics_markdown, summary_lines, to_latex, to_markdown

VIEWS = (("synthesised", "whole"), ("synthesised", "foreground"), ("kept", "whole"), ("all", "whole"))


def write_text(text: str, path: Path) -> None:
    """Write text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def tabulate_results(
    scores: str,
    statistics: str,
    *,
    labels: Mapping[str, str],
    controls: Sequence[str],
    supervised: Sequence[str],
    confidence: float,
    folder: Path,
    summary: Path,
) -> None:
    """Write KIND_REGION.csv, .md and .tex for every view, statistics.md, and the headline as plain text."""
    table = read_scores(Path(scores))
    with replacing(folder) as tables:
        tables.mkdir(parents=True)
        for kind, region in VIEWS:
            results = results_table(
                table,
                kind=kind,
                region=region,
                labels=labels,
                controls=set(controls),
                supervised=set(supervised),
            )
            results.to_csv(tables / f"{kind}_{region}.csv", index=False)
            write_text(to_markdown(results), tables / f"{kind}_{region}.md")
            write_text(to_latex(results), tables / f"{kind}_{region}.tex")
            if (kind, region) == VIEWS[0]:
                headline = results
        tests = pd.read_csv(statistics, keep_default_na=False, na_values=[""])
        shown = [
            f"## Synthesised slices, {region}\n\n"
            + statistics_markdown(
                tests[tests["region"] == region].drop(columns="region"), labels, confidence=confidence
            )
            for region in ("whole", "foreground")
        ]
        write_text("\n".join(shown), tables / "statistics.md")
    write_text("\n".join(summary_lines(headline)) + "\n", summary)
