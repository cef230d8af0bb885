"""Table step: results as CSV, Markdown and LaTeX, and the summary that a terminal shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.analysis.results import group_means, results_table
from interslice.analysis.rows import labelled
from interslice.common.files import replacing, write_text
from interslice.common.provenance import environment_record
from interslice.report.comparison_tables import NO_PRIMARY, shown_comparisons, shown_primary
from interslice.report.formatting import ShownTable, markdown, plain, write_formats
from interslice.report.methods_text import methods_paragraph
from interslice.report.tables import shown_groups, shown_results
from interslice.scoring.longtable import read_means
from interslice.steps.budgets import marked_display, with_budgets

VIEWS = (("synthesised", "whole"), ("synthesised", "foreground"), ("kept", "whole"), ("all", "whole"))


def groups_of(
    study: Mapping[str, Any], means: str, datasets: Mapping[str, str], display: Mapping[str, Any]
) -> tuple[list[ShownTable], pd.DataFrame]:
    """The tables of groups of test subjects, and their numbers."""
    of = {name: study["datasets"][name] for name in datasets}
    own = read_means(means, kind=["synthesised"], region=["whole"])
    numbers = group_means(own, {name: dataset["groups"] for name, dataset in of.items()}, display["labels"])
    seen = {datasets[name]: dataset["seen"] for name, dataset in of.items()}
    named = labelled(numbers, datasets) if len(numbers) else numbers
    return shown_groups(named, seen, display["controls"]), numbers


def tabulate_results(
    means: str,
    statistics: str,
    budgets: str,
    *,
    display: Mapping[str, Any],
    datasets: Mapping[str, str],
    own: Sequence[str],
    study: Mapping[str, Any],
    folder: Path,
    summary: Path,
) -> None:
    """Write KIND_REGION.csv, .md and .tex for every view, statistics.md, methods.md, and the headline as plain text.

    budgets: the CSV of `budgets.collect_budgets`; datasets: to their labels, in order; own: the methods of this project, which
    the paper does not have; study: `study.Study.resolved`.
    """
    display, shown = marked_display(display, budgets), {}
    with replacing(folder) as tables:
        tables.mkdir(parents=True)
        for kind, region in VIEWS:
            scored = read_means(means, kind=[kind], region=[region])
            results = results_table(scored, kind=kind, region=region, **display)
            # Without seconds: equal trainings give equal tables, byte by byte.
            results = with_budgets(results, budgets).drop(columns="training_seconds")
            shown[kind, region] = shown_results(labelled(results, datasets), own)
            write_formats(results, shown[kind, region], tables, f"{kind}_{region}")
        grouped, numbers = groups_of(study, means, datasets, display)
        numbers.to_csv(tables / "groups.csv", index=False)
        write_text(markdown(grouped), tables / "groups.md")
        tests = pd.read_csv(statistics)
        named = labelled(tests, datasets)
        primary, others = shown_primary(named, display["labels"]), shown_comparisons(named, display["labels"])
        text = markdown([*([primary] if primary else []), *others])
        write_text(text if primary else f"{NO_PRIMARY}\n\n{text}", tables / "statistics.md")
        write_text(methods_paragraph(study, tests, environment_record()), tables / "methods.md")
    write_text("\n".join(plain(shown[VIEWS[0]])) + "\n", summary)
