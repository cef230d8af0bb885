"""How values are shown, and how a table of them is written as Markdown, LaTeX and terminal lines."""

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interslice.common.files import write_text
from interslice.scoring.registry import METRICS

SUPERVISED_NOTE = "† trained on high-resolution reference volumes."
BUDGET_MARK = "‡"
BUDGET_NOTE = "‡ its training stopped at its budget of updates or seconds, not at a plateau."
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$",
    "±": r"$\pm$", "∞": r"$\infty$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$", "−": "$-$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "†": r"$^\dagger$", "‡": r"$^\ddagger$", "–": "--",
    "—": "---", "²": "$^2$", "³": "$^3$", "½": r"$\frac{1}{2}$",
}  # fmt: skip


def gaps_text(step: int) -> str:
    """Which gaps of a volume are scored, in words."""
    return "all gaps" if step == 1 else f"every {step}th gap" if step > 3 else f"one gap in {step}"


def metric_name(metric: str, arrow: bool = False) -> str:
    """The label of a metric with its unit, and with an arrow towards better, or to the best value, where wanted."""
    entry = METRICS[metric]
    name = f"{entry.label} ({entry.unit})" if entry.unit else entry.label
    best = f"→ {entry.best:g}" if np.isfinite(entry.best) else "↑" if entry.best > 0 else "↓"
    return f"{name} {best}" if arrow else name


def decimals_of(metric: str) -> int:
    """How many decimals a value of the metric is shown with."""
    return METRICS[metric].decimals


def format_value(value: float, decimals: int) -> str:
    """A number at fixed decimals; infinity as ∞ and NaN as NaN."""
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    return "NaN" if np.isnan(value) else f"{value:z.{decimals}f}"


def format_p(p: float, p_min: float = float("nan")) -> str:
    """A p-value at two digits, saying so where it is the smallest that so many subjects can give."""
    if np.isnan(p):
        return "not tested"
    text = "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
    return f"{text} (smallest)" if np.isclose(p, p_min, rtol=1e-6, atol=0) else text


@dataclass(frozen=True)
class Cell:
    """What a reader sees, the value a page sorts by, and whether it is the best of its column."""

    text: str
    value: float | str
    best: bool = False


def words(*texts: str) -> list[Cell]:
    """Cells of text, which a page sorts by it."""
    return [Cell(text, text) for text in texts]


def number(value: float, decimals: int) -> Cell:
    """The cell of a number at fixed decimals."""
    return Cell(format_value(value, decimals), float(value))


def estimated(row: Mapping[str, Any] | pd.Series, decimals: int, signed: bool = False) -> Cell:
    """The cell of an estimate with its interval: columns estimate, ci_low and ci_high of a comparison."""
    value, low, high = (format_value(row[name], decimals) for name in ("estimate", "ci_low", "ci_high"))
    sign = "+" if signed and row["estimate"] > 0 else ""
    return Cell(f"{sign}{value} [{low}, {high}]", float(row["estimate"]))


@dataclass(frozen=True)
class Row:
    """One line of a table; a control is drawn muted and never marked as best."""

    cells: tuple[Cell, ...]
    control: bool = False


@dataclass(frozen=True)
class ShownTable:
    """A table ready to be written in any format; the first column names the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def table_of(caption: str, records: Sequence[Mapping[Any, Any]], notes: Sequence[str] = ()) -> ShownTable:
    """A table of records, each from a column's name to its cell or text; the first names the columns."""
    cells = [
        [one if isinstance(one, Cell) else Cell(one, one) for one in record.values()] for record in records
    ]
    columns = tuple(records[0]) if records else ()
    return ShownTable(caption, columns, tuple(Row(tuple(row)) for row in cells), tuple(notes))


def marks_note(names: Iterable[str]) -> list[str]:
    """What the marks on names mean, a line for each mark that there is."""
    text = " ".join(names)
    return [note for note in (SUPERVISED_NOTE, BUDGET_NOTE) if note[0] in text]


def legend(table: ShownTable, mark: str) -> tuple[str, ...]:
    """A note on what `mark` and the controls mean, where the table has any."""
    controls = dict.fromkeys(row.cells[0].text for row in table.rows if row.control)
    marked = any(cell.best for row in table.rows for cell in row.cells)
    parts = [
        f"{mark}: best mean" if marked else "",
        f"{', '.join(controls)}: controls, never marked" if controls else "",
    ]
    text = "; ".join(part for part in parts if part)
    return (f"{text[0].upper()}{text[1:]}.",) if text else ()


def markdown(tables: Sequence[ShownTable]) -> str:
    """GitHub Markdown: caption, table and notes each; best values in bold, names of controls in italics."""
    return "\n".join(_markdown_one(table) for table in tables)


def _markdown_one(table: ShownTable) -> str:
    def written(cell: Cell, control: bool, first: bool) -> str:
        text = re.sub(r"([|*<\\])", r"\\\1", cell.text)
        return f"**{text}**" if cell.best else f"*{text}*" if control and first else text

    rows = [[written(cell, row.control, i == 0) for i, cell in enumerate(row.cells)] for row in table.rows]
    ruler = [":---", *["---:"] * (len(table.columns) - 1)]
    body = [f"| {' | '.join(line)} |" for line in [list(table.columns), ruler, *rows]]
    notes = [f"- {note}" for note in (*table.notes, *legend(table, "bold"))]
    return "\n".join([f"**{table.caption}**", "", *body, "", *notes, ""])


def latex(tables: Sequence[ShownTable]) -> str:
    r"""LaTeX `table` environments, ready for \input; needs \usepackage{booktabs}, compiles with pdflatex."""
    return "\n".join(_latex_one(table) for table in tables)


def _latex_one(table: ShownTable) -> str:
    def written(cell: Cell, control: bool, first: bool) -> str:
        text = latex_escape(cell.text)
        return rf"\textbf{{{text}}}" if cell.best else rf"\textit{{{text}}}" if control and first else text

    label = re.sub(r"[^a-z0-9]+", "-", table.caption.lower()).strip("-")
    rows = [[written(cell, row.control, i == 0) for i, cell in enumerate(row.cells)] for row in table.rows]
    lines = [" & ".join(row) + r" \\" for row in [[latex_escape(c) for c in table.columns], *rows]]
    notes = [
        rf"{{\footnotesize\raggedright {latex_escape(note)}\par}}"
        for note in (*table.notes, *legend(table, "bold"))
    ]
    head = [
        r"\begin{table}",
        r"\centering\small\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{latex_escape(table.caption)}}}",
        rf"\label{{tab:{label}}}",
    ]
    body = [rf"\begin{{tabular}}{{l{'c' * (len(table.columns) - 1)}}}", r"\toprule", lines[0], r"\midrule"]
    foot = [r"\bottomrule", r"\end{tabular}", r"\par\smallskip", *notes, r"\end{table}", ""]
    return "\n".join([*head, *body, *lines[1:], *foot])


def latex_escape(text: str) -> str:
    """Text as LaTeX: special characters escaped, mathematical signs and Greek letters as maths."""
    return "".join(LATEX.get(character) or _greek(character) or character for character in text)


def _greek(character: str) -> str:
    words = unicodedata.name(character, "").split()
    if words[:1] != ["GREEK"] or len(words) != 4 or words[3] == "OMICRON":
        return ""
    name = {"LAMDA": "lambda"}.get(words[3], words[3].lower())
    return f"$\\{name if words[1] == 'SMALL' else name.capitalize()}$"


def plain(tables: Sequence[ShownTable], width: int = 100) -> list[str]:
    """Lines of at most `width` columns for a terminal; a star marks the best.

    Columns that do not fit are left out from the right, and a line says which.
    """
    return [line for table in tables for line in _plain_one(table, width)]


def _plain_one(table: ShownTable, width: int) -> list[str]:
    grid = [list(table.columns)] + [
        [c.text + (" *" if c.best else "  ") for c in row.cells] for row in table.rows
    ]
    grid = [[text.strip() if i == 0 else text for i, text in enumerate(line)] for line in grid]
    grid = [[textwrap.shorten(line[0], width // 3, placeholder="…"), *line[1:]] for line in grid]
    widths = [max(len(line[i]) for line in grid) for i in range(len(table.columns))]
    fitting = max(k for k in range(1, len(widths) + 1) if k == 1 or sum(widths[:k]) + 2 * (k - 1) <= width)
    body = [
        "  ".join(text.ljust(w) for text, w in zip(line[:fitting], widths[:fitting], strict=True)).rstrip()
        for line in grid
    ]
    ruler = "-" * (sum(widths[:fitting]) + 2 * (fitting - 1))
    left_out = (
        [f"Not shown here for width: {', '.join(table.columns[fitting:])}."] if fitting < len(widths) else []
    )
    notes = [
        line
        for note in (*table.notes, *legend(table, "*"), *left_out)
        for line in textwrap.wrap(note, width, subsequent_indent="  ")
    ]
    return [*textwrap.wrap(table.caption, width), ruler, body[0], ruler, *body[1:], ruler, *notes, ""]


def write_formats(table: pd.DataFrame, shown: Sequence[ShownTable], folder: Path, name: str) -> None:
    """A table unrounded as NAME.csv in a folder, and as it is shown as NAME.md and NAME.tex."""
    table.to_csv(folder / f"{name}.csv", index=False)
    write_text(markdown(shown), folder / f"{name}.md")
    write_text(latex(shown), folder / f"{name}.tex")
