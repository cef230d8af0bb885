import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page as PlaywrightPage

from accessibility import PHONE, against_a_phone, against_its_accessibility
from interslice.analysis.results import results_table
from interslice.common.errors import InputError
from interslice.report.formatting import Cell, Row, ShownTable
from interslice.report.leaderboard import FILTERS, leaderboard, views_of
from interslice.report.pages import (
    Details,
    Picture,
    Section,
    Table,
    Text,
    shown_benchmarks,
    study_sections,
    write_page,
)
from interslice.report.qualitative import training_curves
from interslice.report.style import save
from interslice.report.tables import shown_results
from interslice.scoring.longtable import frame_means
from synthetic_scores import CONTROLS, LABELS, synthetic_comparisons, synthetic_scores

OpenPage = Callable[..., PlaywrightPage]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
BENCHMARKS = pd.DataFrame(
    {"rule": ["train", "score", "train"], "s": [300.0, 0.4, 420.5], "max_rss": ["900.1", "NA", "910"]}
)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    scores = synthetic_scores()
    results = [
        results_table(frame_means(scores), kind=kind, labels=LABELS, controls=CONTROLS)
        for kind in ("synthesised", "kept")
    ]
    return study_sections(
        results=results,
        comparisons=synthetic_comparisons(scores),
        groups=[],
        ranks=[Text("No ranks.")],
        labels=LABELS,
        own={"cae_mse"},
        summary={"Study": "default"},
        figures=[Picture(PNG, "PSNR falls with K for all methods", "PSNR against K")],
        curves=[],
        config="study: default\nnote: <b>5 < 6</b>\n",
        provenance={"Commit": "abc1234"},
        benchmarks=BENCHMARKS,
        excluded=pd.DataFrame({"case": ["sub-09"], "reason": ["one slice at K = 4"]}),
    )


@pytest.fixture(scope="module")
def path(sections: list[Section], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(path, title="A study & more", sections=sections)
    return path


def test_page_is_well_formed_and_titled(path: Path):
    page = Page(path)
    assert page.open == []
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert "<title>A study &amp; more</title>" in path.read_text()
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_page_loads_nothing(path: Path):
    page = Page(path)
    loads = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "poster", "data")
        and not value.startswith(("data:", "#"))
    ]
    assert loads == []
    text = path.read_text()
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest|\bimport\b", text)
    assert "default-src 'none'" in text


def test_links_lead_to_sections(path: Path, sections: list[Section]):
    page = Page(path)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [a["href"].removeprefix("#") for a in page.all("a")]
    assert links == [section.anchor for section in sections]
    assert set(links) <= ids
    labels = [a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a]
    assert labels
    assert set(labels) <= ids


def test_tables_can_be_read_and_sorted_without_a_mouse(path: Path):
    page = Page(path)
    tables = len(page.all("table"))
    assert tables == 4 + 1 + 2 + 1 + 1 + 1  # results, leaderboard, comparisons, not finite, left out, time
    assert len(page.all("caption")) == tables
    heads = [a for a in page.all("th") if a.get("scope") == "col"]
    assert len(heads) == len([a for a in page.all("button") if a.get("type") == "button"])
    assert all(
        "data-value" in a for a in [*page.all("td"), *(a for a in page.all("th") if a["scope"] == "row")]
    )
    assert all(a.get("tabindex") == "0" for _, a in page.tags if a.get("role") == "region")


def test_best_and_controls_are_marked_in_words_too(path: Path):
    text = path.read_text()
    first = text[text.index("<tbody>") : text.index("</tbody>")]
    rows = dict(re.findall(r'<th scope="row" data-value="[^"]*">(.*?)</th>(.*?)</tr>', first, re.DOTALL))
    assert [name for name, cells in rows.items() if "(best)" in cells] == ["CAE (λ = 0.05)"]
    assert first.count('<tr class="control">') == 2
    assert 'data-value="inf"' in rows["Oracle"]
    assert "Bold: best mean; Oracle, Nearest: controls, never marked." in text


def test_counts_and_limits_are_told(path: Path):
    text = Page(path).text
    assert "p = 0.062 (smallest)" in text
    assert "with 5 subjects no p can be below 0.0625" in text
    assert "No primary comparison was declared that this study can make" in text
    assert "sub-09" in text
    assert "one slice at K = 4" in text
    table = text[text.index("Values that are infinite or not a number") :]
    rows = re.findall(
        r"K = (\d), (\w+) slices, whole image, protocol strict\s+(\S+)\s+PSNR \(dB\)\s+(\d+)", table
    )
    assert ("2", "synthesised", "Oracle", "20") in rows
    assert ("4", "kept", "Lanczos", "15") in rows
    assert len(rows) == 2 * 1 + 2 * 5


def test_every_picture_is_embedded_with_its_alternative(path: Path):
    (image,) = Page(path).all("img")
    assert image["alt"] == "PSNR falls with K for all methods"
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == PNG


def test_text_is_escaped(path: Path):
    assert "&lt;b&gt;5 &lt; 6&lt;/b&gt;" in path.read_text()
    assert "note: <b>5 < 6</b>" in Page(path).text


def test_equal_input_gives_equal_bytes(path: Path, sections: list[Section], tmp_path: Path):
    write_page(tmp_path / "b.html", title="A study & more", sections=sections)
    assert (tmp_path / "b.html").read_bytes() == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["b.html"]


def test_a_picture_is_as_wide_as_drawn_whatever_its_format(tmp_path: Path):
    history = pd.DataFrame(
        {"step": [1, 2], "loss": [2.0, 1.0], "validation_ssim": [0.5, 0.6], "validation_psnr": [20.0, 21.0]}
    )
    figure = training_curves({"CAE": history})
    for suffix in ("png", "svg"):
        save(figure, tmp_path / f"f.{suffix}")
        picture = Picture(tmp_path / f"f.{suffix}", "curves", "Curves")
        assert picture.width == pytest.approx(96 * figure.get_size_inches()[0], abs=1)
        assert picture.source.startswith(f"data:image/{suffix}")


def test_pictures_without_alternative_or_of_other_formats_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="text alternative"):
        write_page(tmp_path / "x.html", title="t", sections=[Section("S", [Picture(PNG, " ", "c")])])
    with pytest.raises(InputError, match="PNG and SVG"):
        write_page(tmp_path / "x.html", title="t", sections=[Section("S", [Picture(b"GIF89a", "a", "c")])])
    assert list(tmp_path.iterdir()) == []


def test_sections_of_one_name_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="distinct"):
        write_page(tmp_path / "x.html", title="t", sections=[Section("A b", []), Section("A-B", [])])


def test_blocks_nest(tmp_path: Path):
    inner = Details("Inner", [Table(ShownTable("Caption", ("A",), (Row((Cell("x", "x"),)),)))])
    write_page(
        tmp_path / "x.html", title="t", sections=[Section("S", [Details("Outer", [Text("hello"), inner])])]
    )
    page = Page(tmp_path / "x.html")
    assert page.open == []
    assert len(page.all("details")) == 2
    assert "hello" in page.text


def test_benchmarks_add_time_and_take_the_peak():
    table = shown_benchmarks(BENCHMARKS)
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows == [["train", "2", "720.5", "420.5", "910"], ["score", "1", "0.4", "0.4", "not measured"]]
    assert table.notes[1] == "Memory of 1 jobs too short to sample was not measured."
    assert np.isnan(table.rows[1].cells[4].value)
    with pytest.raises(InputError, match="max_rss"):
        shown_benchmarks(BENCHMARKS.drop(columns="max_rss"))


def test_a_click_sorts_by_value_with_nan_last(tmp_path: Path, open_page: OpenPage):
    values = {"a": 10.0, "b": float("nan"), "c": 9.0, "d": float("inf")}
    rows = tuple(Row((Cell(name, name), Cell(str(value), value))) for name, value in values.items())
    write_page(
        tmp_path / "x.html", title="t", sections=[Section("S", [Table(ShownTable("C", ("N", "V"), rows))])]
    )
    page = open_page(tmp_path / "x.html")
    for direction, order in (("ascending", "cadb"), ("descending", "dacb")):
        page.get_by_role("button", name="V").click()
        assert page.locator("thead th").nth(1).get_attribute("aria-sort") == direction
        assert "".join(page.locator("tbody th").all_text_contents()) == order


def shown_rows(page: PlaywrightPage) -> list[list[str]]:
    """The texts of the visible cells of the leaderboard."""
    return page.locator(".filtered tbody tr:visible").evaluate_all(
        "rows => rows.map((row) => [...row.cells].filter((cell) => !cell.hidden).map((cell) => cell.textContent))"
    )


def test_the_leaderboard_is_filtered(path: Path, open_page: OpenPage):
    page = open_page(path)
    assert page.get_by_role("status").first.text_content() == "14 of 28 rows"
    assert {row[2] for row in shown_rows(page)} == {"2", "4"}
    page.get_by_role("combobox", name="K", exact=True).select_option("4")
    page.get_by_role("combobox", name="Slices", exact=True).select_option("kept")
    page.get_by_role("combobox", name="Metric", exact=True).select_option(label="PSNR (dB)")
    rows = shown_rows(page)
    assert [row[0] for row in rows] == list(LABELS.values())
    assert {len(row) for row in rows} == {3}  # method, dataset, PSNR: what is filtered by is not repeated
    assert rows[0][2] == "∞"
    page.get_by_role("combobox", name="Slices", exact=True).select_option("all")
    assert len(shown_rows(page)) == 14
    page.get_by_role("combobox", name="Metric", exact=True).select_option("all")
    heads = page.locator(".filtered thead th:visible")
    heads.filter(has_text="PSNR").get_by_role("button").press("Enter")
    shown = [row[4] for row in shown_rows(page)]
    finite = [float(text.split()[0]) for text in shown if "∞" not in text]
    assert finite == sorted(finite)


def test_without_scripts_there_is_the_whole_table(path: Path, open_page: OpenPage):
    page = open_page(path, java_script_enabled=False)
    assert page.locator(".filtered tbody tr:visible").count() == 28
    assert page.locator("select").count() == 0
    assert page.locator("figure img:visible").count() == 1


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_no_wider_than_the_window(path: Path, width: int, open_page: OpenPage):
    assert open_page(path, width).evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.page
@pytest.mark.parametrize("judge", [against_a_phone, against_its_accessibility])
def test_a_page_that_cannot_be_read_is_found(judge, tmp_path: Path, open_page: OpenPage):
    """What the tests of pages rest on: a wide body, small letters, a picture without words, grey on white."""
    bad = '<p style="font-size: 8px">small</p><p style="width: 500px; color: #999">grey</p><img src="data:,">'
    (tmp_path / "bad.html").write_text(
        f'<!DOCTYPE html><meta name="viewport" content="width=device-width">{bad}'
    )
    found = " ".join(judge(open_page(tmp_path / "bad.html", PHONE)))
    expected = {
        against_a_phone: ["pixels wide", '"small" in 8 pixels'],
        against_its_accessibility: ["image-alt", "color-contrast"],
    }
    assert [words for words in expected[judge] if words not in found] == []


@pytest.mark.page
def test_the_page_can_be_read_by_all_and_on_a_phone(path: Path, check_page: Callable[[Path], None]):
    check_page(path)


def test_the_leaderboard_has_every_view_of_a_table():
    scores = synthetic_scores()
    assert views_of(frame_means(scores))[:2] == [
        ("synthesised", "whole", "strict"),
        ("synthesised", "foreground", "strict"),
    ]
    assert len(views_of(frame_means(scores))) == 6
    only = scores[scores["kind"] == "synthesised"]
    two = pd.concat([only.assign(protocol="as_published"), scores])
    assert {view[0] for view in views_of(frame_means(two)) if view[2] == "as_published"} == {"synthesised"}
    tables = [
        results_table(frame_means(two), kind=k, region=r, protocol=p, labels=LABELS, controls=CONTROLS)
        for k, r, p in views_of(frame_means(two))
    ]
    table = leaderboard(tables)
    assert len(table.rows) == (6 + 2) * 2 * len(LABELS)
    assert table.columns[:6] == ("Method", *FILTERS)
    kept = [
        row
        for row in table.rows
        if [cell.text for cell in row.cells[2:6]] == ["4", "kept", "whole", "strict"]
    ]
    (shown,) = [
        one
        for one in shown_results(tables[views_of(frame_means(two)).index(("kept", "whole", "strict"))])
        if "K = 4" in one.caption
    ]
    assert [row.cells[6:] for row in kept] == [row.cells[1:] for row in shown.rows]


def test_a_metric_that_only_some_views_have_is_not_scored_in_the_others():
    scores = synthetic_scores()
    scores = scores[(scores["metric"] != "vif") | (scores["kind"] == "kept")]
    tables = [
        results_table(frame_means(scores), kind=kind, labels=LABELS, controls=CONTROLS)
        for kind in ("synthesised", "kept")
    ]
    table = leaderboard(tables)
    column = table.columns.index("VIF ↑")
    assert {
        row.cells[column].text == "not scored" for row in table.rows if row.cells[3].text == "synthesised"
    } == {True}
    assert {row.cells[column].text == "not scored" for row in table.rows if row.cells[3].text == "kept"} == {
        False
    }
