"""Table step: results as CSV, Markdown and LaTeX, and the summary that a terminal shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.analysis.results import group_means, results_table
from interslice.analysis.rows import labelled
from interslice.common.files import replacing
from interslice.common.provenance import environment_record
from interslice.report.comparison_tables import NO_PRIMARY, shown_comparisons, shown_primary
from interslice.report.formatting import ShownTable, markdown
from interslice.report.methods_text import methods_paragraph
from interslice.report.tables import shown_groups, summary_lines, to_latex, to_markdown
from interslice.scoring.longtable import read_scores
from interslice.steps.budgets import marked, with_budgets

VIEWS = (("synthesised", "whole"), ("synthesised", "foreground"), ("kept", "whole"), ("all", "whole"))


def write_text(text: str, path: Path) -> None:
    """Write text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def groups_of(
    study: Mapping[str, Any], scores: pd.DataFrame, datasets: Mapping[str, str], labels: Mapping[str, str]
) -> tuple[list[ShownTable], pd.DataFrame]:
    """The tables of groups of test subjects, and their numbers."""
    of = {name: study["datasets"][name] for name in datasets}
    means = group_means(scores, {name: dataset["groups"] for name, dataset in of.items()}, labels)
    seen = {datasets[name]: dataset["seen"] for name, dataset in of.items()}
    return shown_groups(labelled(means, datasets) if len(means) else means, seen), means


def tabulate_results(
    scores: str,
    statistics: str,
    budgets: str,
    *,
    labels: Mapping[str, str],
    controls: Sequence[str],
    supervised: Sequence[str],
    datasets: Mapping[str, str],
    own: Sequence[str],
    study: Mapping[str, Any],
    folder: Path,
    summary: Path,
) -> None:
    """Write KIND_REGION.csv, .md and .tex for every view, statistics.md, methods.md, and the headline as plain text.

    budgets: the CSV of `budgets.collect_budgets`; datasets: to their labels, in order; own: the methods of this project, which
    the paper does not have; study: `config.Study.resolved`.
    """
    table, shown_labels = read_scores(Path(scores)), marked(labels, pd.read_csv(budgets))
    with replacing(folder) as tables:
        tables.mkdir(parents=True)
        for kind, region in VIEWS:
            results = results_table(
                table,
                kind=kind,
                region=region,
                labels=shown_labels,
                controls=set(controls),
                supervised=set(supervised),
            )
            # Without seconds: equal trainings give equal tables, byte by byte.
            results = with_budgets(results, budgets).drop(columns="training_seconds")
            results.to_csv(tables / f"{kind}_{region}.csv", index=False)
            results = labelled(results, datasets)
            write_text(to_markdown(results, own), tables / f"{kind}_{region}.md")
            write_text(to_latex(results, own), tables / f"{kind}_{region}.tex")
            if (kind, region) == VIEWS[0]:
                headline = results
        grouped, means = groups_of(study, table, datasets, shown_labels)
        means.to_csv(tables / "groups.csv", index=False)
        write_text(markdown(grouped), tables / "groups.md")
        tests = pd.read_csv(statistics)
        named = labelled(tests, datasets)
        primary, others = shown_primary(named, shown_labels), shown_comparisons(named, shown_labels)
        shown = markdown([*([primary] if primary else []), *others])
        write_text(shown if primary else f"{NO_PRIMARY}\n\n{shown}", tables / "statistics.md")
        write_text(methods_paragraph(study, tests, environment_record()), tables / "methods.md")
    write_text("\n".join(summary_lines(headline, own)) + "\n", summary)
