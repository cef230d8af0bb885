import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from interslice.common.errors import InputError
from interslice.report.pages import Section, Text, Viewer, write_page
from interslice.report.viewer_images import middle_slab, pack, quantise, sprite_columns, unpack, viewer_record
from phantoms import ellipsoids

OpenPage = Callable[..., Page]
SHAPE = (25, 40, 30)
FACTOR = 4
PIXELS = """canvas => { const d = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return [canvas.height, canvas.width, [...d].filter((_, i) => i % 4 < 3)]; }"""


@pytest.fixture(scope="module")
def volumes() -> dict[str, np.ndarray]:
    """A reference, one method that is nearly right and one that is wrong by 0.3 in the middle."""
    reference = ellipsoids(SHAPE)
    wrong = reference.copy()
    wrong[:, 10:30, 10:20] = np.clip(reference[:, 10:30, 10:20] + 0.3, 0, 1)
    return {"Reference": reference, "Good": np.clip(reference + 0.02, 0, 1), "Wrong": wrong}


def record_of(volumes: dict[str, np.ndarray], budget: int = 1_000_000, title: str = "t1, K = 4") -> dict:
    methods = {label: volume for label, volume in volumes.items() if label != "Reference"}
    return viewer_record(
        methods, volumes["Reference"], factor=FACTOR, spacing_mm=(2.0, 1.0, 1.5), subject="s1", title=title,
        opened=("Good", "Wrong"), budget=budget,
    )  # fmt: skip


@pytest.fixture(scope="module")
def path(volumes: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = [record_of(volumes), record_of(volumes, budget=1, title="other, K = 4")]
    path = tmp_path_factory.mktemp("viewer") / "index.html"
    write_page(path, title="t", sections=[Section("Slices", [Viewer(records)])])
    return path


def test_a_stack_survives_packing_with_a_small_error(volumes: dict[str, np.ndarray]):
    stack = quantise(volumes["Reference"])
    assert stack.shape == (25, 30, 40)
    np.testing.assert_array_equal(stack[3], np.rint(np.rot90(volumes["Reference"][3]) * 255))
    found = unpack(pack(stack), stack.shape).astype(float)
    assert sprite_columns(len(stack)) == 5
    assert np.sqrt(np.mean((found - stack) ** 2)) < 3  # of 255
    # A shuffled or turned sprite would be as far from the stack as its slices are from each other.
    assert np.sqrt(np.mean((found[1:] - stack[:-1]) ** 2)) > 6


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [(1, (8, 13)), (2, (8, 17)), (3, (4, 17)), (6, (0, 25)), (99, (0, 25)), (0, (8, 13))],
)
def test_the_slab_is_whole_gaps_about_the_middle(gaps: int, expected: tuple[int, int]):
    slab = middle_slab(25, FACTOR, gaps)
    assert (slab.start, slab.stop) == expected


def test_as_many_gaps_as_fit_are_shown(volumes: dict[str, np.ndarray]):
    whole = record_of(volumes)
    assert (whole["first"], whole["slices"], whole["of"]) == (0, 25, 25)
    size = sum(len(stack["source"]) for stack in whole["stacks"])
    half = record_of(volumes, budget=size * 2 // 3)
    assert 5 <= half["slices"] < 25
    assert half["first"] % FACTOR == 0
    assert sum(len(stack["source"]) for stack in half["stacks"]) <= size * 2 // 3 + 3 * 40
    assert record_of(volumes, budget=1)["slices"] == FACTOR + 1


def test_the_record_tells_scale_and_packing_error(volumes: dict[str, np.ndarray]):
    record = record_of(volumes)
    assert record["error_max"] == pytest.approx(0.3, abs=0.01)
    assert 0 < record["packing_rms"] < 0.015
    assert record["packing_rms"] < record["packing_max"] < 0.15
    assert [stack["label"] for stack in record["stacks"]] == ["Reference", "Good", "Wrong"]
    with pytest.raises(InputError, match="Good of shape"):
        record_of(volumes | {"Good": volumes["Good"][:5]})


def shown(page: Page, name: str) -> np.ndarray:
    """The picture in a canvas, (rows, columns, 3)."""
    height, width, values = page.locator(f"canvas[data-name={name}]").evaluate(PIXELS)
    return np.array(values).reshape(height, width, 3)


def number(page: Page) -> int:
    """The slice that the viewer says it shows."""
    return int(re.match(r"Slice (\d+)", page.locator("#viewer-place").text_content() or "")[1])


def close(picture: np.ndarray, plane: np.ndarray) -> bool:
    """Whether a picture shows a plane in [0, 1], up to the packing."""
    return bool(picture.shape[:2] == plane.shape and np.abs(picture[..., 0] - 255 * plane).mean() < 4)


def test_it_shows_the_slice_that_it_names(path: Path, volumes: dict[str, np.ndarray], open_page: OpenPage):
    page = open_page(path)
    page.locator("canvas[data-name=reference]").wait_for()
    assert number(page) == 14
    assert "synthesised" in page.locator("#viewer-place").text_content()
    for slice_number in (14, 3, 20):
        page.locator("#viewer-slice").fill(str(slice_number))
        page.wait_for_function(
            f"document.querySelector('#viewer-place').textContent.startsWith('Slice {slice_number},')"
        )
        assert ("kept" in page.locator("#viewer-place").text_content()) == (slice_number % FACTOR == 0)
        for name, label in (("left", "Good"), ("right", "Wrong"), ("reference", "Reference")):
            assert close(shown(page, name), np.rot90(volumes[label][slice_number])), (slice_number, name)
    assert not close(shown(page, "right"), np.rot90(volumes["Reference"][20]))


def test_through_plane_views_have_the_last_slice_on_top(
    path: Path, volumes: dict[str, np.ndarray], open_page: OpenPage
):
    page = open_page(path)
    page.get_by_role("combobox", name="Plane", exact=True).select_option("through")
    page.locator("#viewer-slice").fill("11")
    page.wait_for_function(
        "document.querySelector('#viewer-place').textContent === 'Through-plane view 12 of 30'"
    )
    # The pictures are turned: row 11 of one is column 30 - 1 - 11 of the volume.
    assert close(shown(page, "right"), volumes["Wrong"][::-1, :, 18])
    ratio = page.locator("canvas[data-name=right]").evaluate("c => c.clientWidth / c.clientHeight")
    assert ratio == pytest.approx(40 * 1.0 / (25 * 2.0), rel=0.02)


def test_wiping_joins_two_methods_at_the_edge(
    path: Path, volumes: dict[str, np.ndarray], open_page: OpenPage
):
    page = open_page(path)
    page.get_by_role("combobox", name="Show", exact=True).select_option("wipe")
    page.locator("#viewer-wipe").fill("25")
    picture = shown(page, "wipe")
    expected = np.rot90(volumes["Wrong"][14]).copy()
    expected[:, :10] = np.rot90(volumes["Good"][14])[:, :10]
    beside = np.arange(40) != 10  # the edge itself is drawn
    assert close(picture[:, beside], expected[:, beside])
    assert picture[:, 10].tolist() == [[255, 212, 0]] * 30
    box = page.locator("canvas[data-name=wipe]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20, steps=3)
    page.mouse.up()
    assert page.locator("#viewer-wipe").input_value() == "75"


def test_differences_are_on_the_stated_scale(path: Path, open_page: OpenPage):
    page = open_page(path)
    page.locator("canvas[data-name=right-error]").wait_for()
    assert "from 0 to 0.3 of the intensity range" in page.locator("#viewer-scale-text").text_content()
    brightness = {name: shown(page, f"{name}-error").sum(axis=2) for name in ("left", "right")}
    inside = np.rot90(
        np.pad(np.ones((16, 6), bool), ((12, 12), (12, 12)))
    )  # well within the block that is wrong
    assert brightness["right"][inside].mean() > 400  # the end of inferno is nearly white
    assert brightness["left"].mean() < 80
    page.get_by_label("Differences from the reference").uncheck()
    page.wait_for_function("document.querySelectorAll('#viewer canvas[data-name]').length === 3")
    assert page.locator("#viewer-scale").is_hidden()


def test_it_is_used_by_keyboard(path: Path, open_page: OpenPage):
    page = open_page(path)
    page.locator("canvas[data-name=reference]").wait_for()
    order = [
        "viewer-data",
        "viewer-left",
        "viewer-right",
        "viewer-mode",
        "viewer-plane",
        "viewer-errors",
        "viewer-slice",
    ]
    page.locator("#viewer-data").focus()
    for name in order:
        assert page.evaluate("document.activeElement.id") == name
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.name") == "left"
    for key, expected in (
        ("ArrowUp", 15),
        ("ArrowDown", 14),
        ("PageUp", 18),
        ("ArrowRight", 19),
        ("PageDown", 15),
    ):
        page.keyboard.press(key)
        page.wait_for_function(
            f"document.querySelector('#viewer-place').textContent.startsWith('Slice {expected},')"
        )
    assert page.evaluate("document.activeElement.dataset.name") == "left"  # drawing anew leaves the focus
    label = page.locator("canvas[data-name=left]").get_attribute("aria-label")
    assert label.startswith("Good, Slice 15, synthesised")


def test_another_dataset_is_opened(path: Path, open_page: OpenPage):
    page = open_page(path)
    page.get_by_role("combobox", name="Right", exact=True).select_option("Good")
    page.get_by_role("combobox", name="Data", exact=True).select_option(label="other, K = 4")
    page.wait_for_function(
        "document.querySelector('#viewer-place').textContent.includes('shown are 8 to 12 of 0 to 24')"
    )
    assert page.locator("#viewer-right").input_value() == "Good"
    assert "5 of 25 slices" in page.locator("#viewer-note").text_content()


@pytest.mark.parametrize("mode", ["side", "wipe"])
def test_a_phone_is_wide_enough(path: Path, mode: str, open_page: OpenPage):
    page = open_page(path, width=360)
    page.get_by_role("combobox", name="Show", exact=True).select_option(mode)
    page.wait_for_function(
        f"document.querySelector('#viewer-wipe-label').hidden === {str(mode == 'side').lower()}"
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    widths = page.locator("#viewer canvas[data-name]").evaluate_all("all => all.map((c) => c.clientWidth)")
    assert min(widths) >= 150
    small = page.locator("#viewer select, #viewer input[type=range]").evaluate_all(
        "all => all.filter((one) => one.checkVisibility() && one.clientHeight < 30).map((one) => one.id)"
    )
    assert small == []


def test_without_scripts_the_page_says_what_is_missing(path: Path, open_page: OpenPage):
    page = open_page(path, java_script_enabled=False)
    assert "needs JavaScript" in page.locator("noscript").text_content()
    assert page.locator("#viewer").is_hidden()


def test_a_page_has_one_viewer(volumes: dict[str, np.ndarray], tmp_path: Path):
    one = Viewer([record_of(volumes, budget=1)])
    with pytest.raises(InputError, match="2 viewers found"):
        write_page(tmp_path / "x.html", title="t", sections=[Section("S", [one, Text("and"), one])])
