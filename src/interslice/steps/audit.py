"""Audit steps: the audit table, its figure, the published numbers and the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.analysis.audit import audit
from interslice.analysis.published import beside, read_beside, read_published
from interslice.analysis.rows import labelled
from interslice.common.files import write_csv, write_text
from interslice.common.provenance import environment_record
from interslice.report.audit_tables import ITEMS_TEXT, by_origin, shown_audit, shown_claims, shown_summary
from interslice.report.formatting import BUDGET_NOTE, markdown
from interslice.report.pages import Details, Facts, Picture, Section, Table, Text, write_page
from interslice.report.published_table import shown_published
from interslice.scoring.longtable import KEYS, read_scores
from interslice.scoring.released_protocol import AUDITED_METRICS
from interslice.steps.budgets import marked
from interslice.steps.page import flattened


def tabulate_audit(
    strict: Sequence[str],
    rescored: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    *,
    brain: Sequence[str],
    confidence: float,
    output: str,
) -> None:
    """Write the audit table. strict, rescored: long tables of shards; pairs: (trained method, baseline); brain: the datasets of
    brains.
    """
    compared = [(method, other) for method, other in pairs]
    table = audit(
        audited_slices(strict), audited_slices(rescored), compared, brain=brain, confidence=confidence
    )
    write_csv(table, output)


def audited_slices(shards: Sequence[str]) -> pd.DataFrame:
    """The scores of the slices that an audit is of, sorted as a long table is; it alone needs slices, not their means."""
    scores = read_scores([Path(path) for path in shards], region=["whole"], metric=AUDITED_METRICS)
    return scores.sort_values(KEYS, ignore_index=True)


def plot_audit(
    table: str, budgets: str, dataset: str, method: str, labels: Mapping[str, str], outputs: Sequence[str]
) -> None:
    """Draw the audit of one dataset and trained method. budgets: the CSV of `budgets.collect_budgets`."""
    from interslice.report.audit_figure import audit_figure  # matplotlib: the other steps draw nothing
    from interslice.report.style import save

    labels = marked(labels, pd.read_csv(budgets))
    figure = audit_figure(pd.read_csv(table), dataset=dataset, method=method, labels=labels)
    save(figure, *outputs)


def compare_published(
    numbers: str, strict: Sequence[str], rescored: Sequence[str], study: Mapping[str, Any], output: str
) -> None:
    """Write the published numbers with ours beside them; strict, rescored: long tables of shards."""
    table = beside(read_published(Path(numbers)), audited_slices(strict), audited_slices(rescored), study)
    write_csv(table, output)


def write_audit_page(
    table: str,
    published: str,
    budgets: str,
    figures: Mapping[str, str],
    *,
    labels: Mapping[str, str],
    datasets: Mapping[str, str],
    own: Sequence[str],
    study: str,
    page: str,
    prose: str,
) -> None:
    """Write the page and, as Markdown, its tables. figures: PNG file to caption; datasets: to their labels; own: the methods of
    this project.
    """
    results, labels = labelled(pd.read_csv(table), datasets), marked(labels, pd.read_csv(budgets))
    parts = by_origin(results, frozenset(own))
    summaries = [shown_summary(title, part) for title, part in parts.items()]
    claims = [shown_claims(title, part, labels) for title, part in parts.items()]
    tables, comparison = shown_audit(results, labels), shown_published(read_beside(Path(published)), labels)
    title = f"Audit of study {study}"
    details = [Details(group, [Table(one) for one in shown]) for group, shown in tables.items()]
    pictures = [Picture(Path(path), text, text) for path, text in figures.items()]
    sections = [
        Section("In short", [*(Table(one) for one in summaries), Text(ITEMS_TEXT), Text(BUDGET_NOTE)]),
        Section("Where the ranking flips", pictures),
        Section("What holds under which protocol", [Table(one) for one in claims]),
        Section("The audit table", details),
        Section("Published numbers", [Table(comparison)]),
        Section("Provenance", [Facts(flattened(environment_record()))]),
    ]
    write_page(page, title=f"interslice: {title.lower()}", sections=sections)
    every = [one for shown in tables.values() for one in shown]
    texts = [
        f"# {title}\n",
        markdown(summaries),
        f"{ITEMS_TEXT}\n",
        f"{BUDGET_NOTE}\n",
        "## What holds under which protocol\n",
        markdown(claims),
    ]
    texts += ["## The audit table\n", markdown(every), "## Published numbers\n", markdown([comparison])]
    write_text("\n".join(texts), Path(prose))
