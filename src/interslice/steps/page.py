"""Page step: one HTML file that shows a whole study."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from interslice.analysis.comparisons import PRIMARY
from interslice.analysis.results import results_table
from interslice.analysis.rows import labelled
from interslice.common.provenance import environment_record
from interslice.data.sources import read_excluded
from interslice.report.leaderboard import views_of
from interslice.report.methods_text import batch_of
from interslice.report.pages import Block, Details, Picture, Table, study_sections, write_page
from interslice.report.ranks import shown_agreement, shown_ranks
from interslice.scoring.longtable import read_means, read_views
from interslice.scoring.registry import METRICS
from interslice.steps.budgets import marked_display, with_budgets
from interslice.steps.tables import groups_of
from interslice.training.record import read_record


def write_study_page(
    means: str,
    statistics: str,
    budgets: str,
    ranks: str,
    agreement: str,
    recheck: str,
    *,
    excluded: Sequence[str],
    figures: Mapping[str, str],
    curves: Mapping[str, str],
    trainings: Mapping[str, str],
    benchmarks: Sequence[Path],
    stacks: Sequence[str],
    study: Mapping[str, Any],
    display: Mapping[str, Any],
    datasets: Mapping[str, str],
    own: Sequence[str],
    output: Path,
) -> None:
    """Write the page.

    budgets: the CSV of `budgets.collect_budgets`; excluded: the tables of cases that were left out; figures, curves: PNG file
    to caption; trainings: label to provenance.json; stacks: the viewer's files of `pack_viewer`; study:
    `study.Study.resolved`; display: labels, controls and supervised methods; datasets: to their labels, in order; own: the
    methods of this project.
    """
    display = marked_display(display, budgets)
    tests = labelled(pd.read_csv(statistics), datasets)
    pictures = {Path(path): Picture(Path(path), caption, caption) for path, caption in figures.items()}
    of_ranks = [picture for path, picture in pictures.items() if path.stem == "ranks"]
    sections = study_sections(
        results=[labelled(with_budgets(one, budgets), datasets) for one in results_of(means, display)],
        comparisons=tests[(tests["region"] == "whole") | (tests["role"] == PRIMARY)],
        groups=groups_of(study, means, datasets, display)[0],
        labels=display["labels"],
        own=own,
        summary={"Data": "; ".join(dataset["title"] for dataset in study["datasets"].values())}
        | {"Scores checked": checked(pd.read_csv(recheck))}
        | facts_of(trainings),
        ranks=ranks_blocks(ranks, agreement, of_ranks, datasets, display["labels"]),
        figures=[picture for picture in pictures.values() if picture not in of_ranks],
        curves=[Picture(Path(path), caption, caption) for path, caption in curves.items()],
        config=yaml.safe_dump(dict(study), sort_keys=False, allow_unicode=True),
        provenance=flattened(environment_record()),
        benchmarks=read_benchmarks(benchmarks),
        views=[json.loads(Path(path).read_text(encoding="utf-8")) for path in stacks],
        excluded=pd.DataFrame([vars(one) for path in excluded for one in read_excluded(Path(path))]),
    )
    write_page(output, title=f"interslice: study {study['config']['study']}", sections=sections)


def ranks_blocks(
    ranks: str, agreement: str, figures: list[Picture], datasets: Mapping[str, str], labels: Mapping[str, str]
) -> list[Block]:
    """The tables of ranks, their figure, and folded how far rankings agree."""
    ranked, agreed = (labelled(pd.read_csv(path), datasets) for path in (ranks, agreement))
    agreed = agreed.assign(other=agreed["other"].fillna("").replace(datasets))
    folded = Details("How far rankings agree", [Table(shown_agreement(agreed))])
    return [*map(Table, shown_ranks(ranked, labels)), *figures, folded]


def results_of(means: str, display: Mapping[str, Any]) -> Iterator[pd.DataFrame]:
    """The results table of every view; the means are read view by view, because there may be millions."""
    for kind, region, protocol in views_of(read_views(means)):
        own = read_means(means, kind=[kind], region=[region], protocol=[protocol])
        yield results_table(own, kind=kind, region=region, protocol=protocol, **display)


def checked(recheck: pd.DataFrame) -> str:
    """What `recheck.recheck_scores` found, in words."""
    parts = [
        f"{METRICS[str(row.metric)].label} by {row.library}: {row.slices} slices, largest deviation {row.largest:.1e} "
        f"(allowed {row.allowed:g})"
        for row in recheck.itertuples()
    ]
    return "; ".join(parts) or "no metric that another library has"


def facts_of(trainings: Mapping[str, str]) -> dict[str, str]:
    """What each training cost, from its provenance."""
    facts = {}
    for label, path in trainings.items():
        record = json.loads(Path(path).read_text())
        facts[f"Training of {label}"] = (
            f"{read_record(Path(path)).sentence(batch_of(record['settings']))}; "
            f"{record['seconds']:,.1f} s on the clock ({record['steps_per_second']:.1f} steps/s) on {record['device']}, "
            f"best step {record['best_step']:,}, {record['parameters']:,} parameters"
        )
    return facts


def read_benchmarks(folders: Sequence[Path]) -> pd.DataFrame:
    """Every benchmark file below the folders, a row per job; the first folder level is the rule."""
    rows = [
        pd.read_csv(path, sep="\t").assign(rule=path.relative_to(folder).parts[0].removesuffix(".tsv"))
        for folder in folders
        for path in sorted(folder.rglob("*.tsv"))
    ]
    return pd.concat(rows, ignore_index=True)


def flattened(record: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested names joined by a space, values as text."""
    flat: dict[str, str] = {}
    for key, value in record.items():
        name = f"{prefix}{key}".replace("_", " ")
        flat |= flattened(value, f"{name} ") if isinstance(value, Mapping) else {name: str(value)}
    return flat
