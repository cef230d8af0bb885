"""Audit steps: the audit table, its figure, the published numbers and the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.analysis.audit import audit
from interslice.analysis.published import beside, read_published, shown_published
from interslice.common.files import replacing
from interslice.common.provenance import environment_record
from interslice.report.audit_figure import audit_figure
from interslice.report.audit_prose import claims, items_text, shown_audit, summary
from interslice.report.formatting import markdown
from interslice.report.pages import Block, Details, Facts, Picture, Section, Table, Text, write_page
from interslice.report.style import save
from interslice.scoring.longtable import read_scores
from interslice.steps.page import flattened
from interslice.steps.tables import write_text


def tabulate_audit(
    strict: str,
    rescored: str,
    trained: Sequence[str],
    baselines: Sequence[str],
    settings: Mapping[str, Any],
    output: str,
) -> None:
    """Write the audit table. settings: the study's `statistics`."""
    table = audit(read_scores(Path(strict)), read_scores(Path(rescored)), trained, baselines, settings)
    with replacing(output) as temporary:
        table.to_csv(temporary, index=False)


def plot_audit(
    table: str, dataset: str, method: str, labels: Mapping[str, str], outputs: Sequence[str]
) -> None:
    """Draw the audit of one dataset and trained method."""
    figure = audit_figure(pd.read_csv(table), dataset=dataset, method=method, labels=labels)
    for path in outputs:
        save(figure, path)


def compare_published(
    numbers: str, strict: str, rescored: str, study: Mapping[str, Any], output: str
) -> None:
    """Write the published numbers with ours beside them."""
    table = beside(
        read_published(Path(numbers)), read_scores(Path(strict)), read_scores(Path(rescored)), study
    )
    with replacing(output) as temporary:
        table.to_csv(temporary, index=False)


def write_audit_page(
    table: str,
    published: str,
    figures: Mapping[str, str],
    labels: Mapping[str, str],
    study: str,
    page: str,
    prose: str,
) -> None:
    """Write the page and, as Markdown, its prose and tables. figures: PNG file to caption."""
    results = pd.read_csv(table)
    text_columns = ["ours", "kind", "variant", "split", "protocol", "remark"]
    numbers = pd.read_csv(published)
    numbers[text_columns] = numbers[text_columns].fillna("")
    title = f"Audit of study {study}"
    verdicts, sentences = claims(results, labels), summary(results, labels)
    tables, comparison = shown_audit(results, labels), shown_published(numbers, labels)
    by_group: dict[str, list[Block]] = {}
    for shown in tables:
        group = shown.caption.rsplit(":", 1)[0]
        by_group.setdefault(group, []).append(Table(shown))
    sections = [
        Section(
            "In short",
            [*(Text(sentence) for sentence in sentences), Text(f"What is switched: {items_text()}")],
        ),
        Section(
            "Where the ranking flips", [Picture(Path(path), text, text) for path, text in figures.items()]
        ),
        Section("What holds under which protocol", [Facts(dict(verdicts))]),
        Section("The audit table", [Details(group, blocks) for group, blocks in by_group.items()]),
        Section("Published numbers", [Table(comparison)]),
        Section("Provenance", [Facts(flattened(environment_record()))]),
    ]
    write_page(page, title=f"interslice: {title.lower()}", sections=sections)
    lines = [
        f"# {title}\n",
        *(f"{sentence}\n" for sentence in sentences),
        f"What is switched: {items_text()}\n",
    ]
    lines += [
        "## What holds under which protocol\n",
        *(f"- **{name}.** {verdict}" for name, verdict in verdicts),
    ]
    lines += ["", "## The audit table\n", markdown(tables), "## Published numbers\n", markdown([comparison])]
    write_text("\n".join(lines), Path(prose))
