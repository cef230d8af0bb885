"""One self-contained HTML page for a study: tables, figures, configuration and provenance; it loads nothing.

A page is sections of blocks; `study_sections` makes those of a study, `write_page` writes any. Equal input
gives equal bytes: nothing here reads a clock.
"""

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from interslice.analysis.results import table_metrics
from interslice.analysis.rows import describe
from interslice.common.errors import InputError
from interslice.common.files import write_text
from interslice.report.comparison_tables import NO_PRIMARY, shown_comparisons, shown_primary
from interslice.report.formatting import Cell, ShownTable, legend, metric_name, number, table_of
from interslice.report.leaderboard import FILTERS, leaderboard
from interslice.report.tables import shown_results
from interslice.report.web import render

HOW_TO_READ = (
    "Through-plane interpolation by a factor K fills K − 1 slices between each two slices of the input. "
    "Kept slices are those of the input: conventional methods return them unchanged, so their PSNR there "
    "is infinite where the input is not blurred, while an autoencoder encodes and decodes them. "
    "Synthesised slices are the ones filled in.",
    "Protocol strict: every method on one aligned grid, one normalisation to [0, 1], data range 1, one "
    "value per subject (the mean over its slices), and nothing dropped: values that are not finite are "
    "counted.",
    "Controls, such as the oracle (the reference itself) and nearest neighbour, bracket the tables and "
    "are never marked as best.",
    "One comparison per dataset is primary, declared in the study file; all others are exploratory. A large p does not show "
    "that two methods are equal.",
)


class Block:
    """What a section is made of."""

    @property
    def kind(self) -> str:
        """What the template tells it by."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Text(Block):
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Facts(Block):
    """Names with their values, such as versions."""

    facts: Mapping[str, str]


@dataclass(frozen=True)
class Table(Block):
    """A sortable table; its first `filters` columns after the row's name are filtered by, the rest can be picked from."""

    table: ShownTable
    filters: int = 0


@dataclass(frozen=True)
class Picture(Block):
    """A PNG or SVG, as bytes or a file, embedded in the page; `alt` says in words what it shows."""

    image: bytes | Path
    alt: str
    caption: str

    @property
    def content(self) -> bytes:
        """The file itself."""
        return self.image if isinstance(self.image, bytes) else self.image.read_bytes()

    @property
    def source(self) -> str:
        """The image as a data URI; raises InputError for another format or an empty `alt`."""
        kind = "svg+xml" if b"<svg" in self.content[:1000] else ""
        kind = "png" if self.content.startswith(b"\x89PNG") else kind
        if not kind or not self.alt.strip():
            raise InputError(f"picture {self.caption!r}: allowed are PNG and SVG with a text alternative")
        return f"data:image/{kind};base64,{base64.b64encode(self.content).decode()}"

    @property
    def width(self) -> int:
        """The width in which it was drawn, in CSS pixels of 1/96 inch, from the file."""
        points = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', self.content[:2000])
        if points:
            return round(float(points[1]) * 96 / 72)
        if not self.content.startswith(b"\x89PNG"):
            return 640
        with Image.open(BytesIO(self.content)) as image:
            return round(image.width * 96 / image.info.get("dpi", (96, 96))[0])


@dataclass(frozen=True)
class Code(Block):
    """Text shown as it is, such as YAML."""

    text: str


@dataclass(frozen=True)
class Details(Block):
    """Blocks that the reader opens."""

    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Viewer(Block):
    """Volumes to scroll through, each view a record of `stacks.viewer_record`; one to a page."""

    views: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Section:
    """A heading and what is under it."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """The id that the table of contents points to."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def write_page(path: str | Path, *, title: str, sections: Sequence[Section]) -> None:
    """Write the sections as one HTML file that needs no other; InputError for two sections of one name."""
    anchors = [section.anchor for section in sections]
    if len(set(anchors)) < len(anchors):
        raise InputError(f"page {title!r}: section titles {anchors} found, allowed are distinct ones")
    viewers = [block for section in sections for block in section.blocks if block.kind == "viewer"]
    if len(viewers) > 1:
        raise InputError(f"page {title!r}: {len(viewers)} viewers found, allowed is one")
    page = render("page.html.j2", title=title, sections=sections, legend=legend, has_viewer=bool(viewers))
    write_text(page, path)


def study_sections(
    *,
    results: Sequence[pd.DataFrame],
    ranks: Sequence[Block],
    comparisons: pd.DataFrame,
    groups: Sequence[ShownTable],
    labels: Mapping[str, str],
    own: Collection[str],
    summary: Mapping[str, str],
    figures: Sequence[Picture],
    curves: Sequence[Picture],
    config: str,
    provenance: Mapping[str, str],
    benchmarks: pd.DataFrame,
    excluded: pd.DataFrame,
    views: Sequence[Mapping[str, Any]] = (),
) -> list[Section]:
    """The sections of a study's page.

    `results` are tables of `results.results_table`, the headline first; `ranks` is what is shown of ranks; `groups` are
    tables of `tables.shown_groups`; `own` the methods of this project; `comparisons` is that of
    `comparisons.study_comparisons`, whole image; `config` the YAML that was run; `benchmarks` as in `shown_benchmarks`;
    `excluded` has a row per case left out, its first column naming the case; `views` are the viewer's records.
    """
    headline = results[0]
    primary = shown_primary(comparisons, labels)
    tests = [Table(shown) for shown in shown_comparisons(comparisons, labels)]
    left_out: Block = Text("No case was left out.")
    if len(excluded):
        left_out = Table(table_of("Cases left out", excluded.astype(str).to_dict("records")))
    return [
        Section("Ranks", ranks),
        Section("Primary comparison", [Table(primary) if primary else Text(NO_PRIMARY)]),
        Section("Summary", [Facts({**_what_was_run(headline), **summary})]),
        Section("How to read this", [Text(text) for text in HOW_TO_READ]),
        Section("Results", [Table(shown) for shown in [*shown_results(headline, own), *groups]]),
        Section("Leaderboard", [Table(leaderboard(results), len(FILTERS))]),
        Section("Slice viewer", [Viewer(views)] if views else [Text("No volume was kept for the viewer.")]),
        Section("Exploratory comparisons", tests or [Text("No pair of methods was compared.")]),
        Section("Figures", figures or [Text("No figure was made.")]),
        Section("Training", curves or [Text("Nothing was trained.")]),
        Section("Not finite and left out", [_nonfinite(results), left_out]),
        Section("Time and memory", [Table(shown_benchmarks(benchmarks))]),
        Section("Provenance", [Facts(provenance), Details("The configuration that was run", [Code(config)])]),
    ]


def _what_was_run(table: pd.DataFrame) -> dict[str, str]:
    def listed(values: pd.Series) -> str:
        return "; ".join(str(value) for value in dict.fromkeys(values))

    n = table[[f"{metric}_n" for metric in table_metrics(table)]].to_numpy()
    subjects = str(n.max()) if n.min() == n.max() else f"{n.min()} to {n.max()}"
    return {
        "Datasets": listed(table["dataset"]),
        "Anisotropy factors K": listed(table["K"]),
        "Methods": listed(table["label"]),
        "Test subjects": subjects,
        "Headline": describe(table.iloc[0]),
    }


def shown_benchmarks(benchmarks: pd.DataFrame) -> ShownTable:
    """Wall time and peak memory by rule from Snakemake's benchmark files, a row per job.

    Needs columns rule, s (wall time, seconds) and max_rss (MB); a value that is not a number was not
    measured, which happens to jobs shorter than the sampling interval. InputError for a missing column.
    """
    missing = {"rule", "s", "max_rss"} - set(benchmarks.columns)
    if missing:
        raise InputError(f"benchmarks: columns {sorted(missing)} are missing")
    rows, unmeasured = [], 0
    for rule, jobs in benchmarks.groupby("rule", sort=False):
        seconds, memory = (pd.to_numeric(jobs[column], errors="coerce") for column in ("s", "max_rss"))
        unmeasured += int(memory.isna().sum())
        peak = float(memory.max())
        rows.append(
            {
                "Rule": str(rule),
                "Jobs": number(len(jobs), 0),
                "Wall time, sum (s)": number(seconds.sum(), 1),
                "Longest job (s)": number(seconds.max(), 1),
                "Peak memory of a job (MB)": number(peak, 0) if peak > 0 else Cell("not measured", peak),
            }
        )
    notes = ["Peak memory is the largest resident set of a job and its children."]
    notes += [f"Memory of {unmeasured} jobs too short to sample was not measured."] if unmeasured else []
    return table_of("Wall time and peak memory by rule", rows, notes)


def _nonfinite(results: Sequence[pd.DataFrame]) -> Block:
    rows = [
        {
            "Dataset": row["dataset"],
            "Values": f"K = {row['K']}, {describe(row)}",
            "Method": row["label"],
            "Metric": metric_name(metric),
            "Not finite": number(row[f"{metric}_nonfinite"], 0),
        }
        for table in results
        for _, row in table.iterrows()
        for metric in table_metrics(table)
        if row[f"{metric}_nonfinite"]
    ]
    if not rows:
        return Text("Every scored value is finite.")
    note = "PSNR is infinite where a slice equals the reference: the oracle, or a slice passed through."
    return Table(table_of("Values that are infinite or not a number", rows, (note,)))
