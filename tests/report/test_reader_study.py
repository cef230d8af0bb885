import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page
from scipy import stats

from interslice.analysis.reader_analysis import (
    ANSWERS_KIND,
    Answers,
    agreement,
    read_answers,
    reader_rates,
)
from interslice.cli import main
from interslice.common.errors import InputError
from interslice.data.interpolated import write_interpolated
from interslice.data.parts import write_record
from interslice.data.volumes import Volume, decimate, write_volume
from interslice.report.reader_study import KEY_KIND, REFERENCE, draw_items, study_cases, usable_slices
from interslice.report.reader_table import shown_analysis
from phantoms import ellipsoids

OpenPage = Callable[..., Page]
FACTOR, SHAPE = 4, (41, 26, 22)
METHODS = ["bad", "good"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a study with two test subjects, as the workflow lays them out."""
    results = tmp_path_factory.mktemp("study") / "results" / "tiny"
    for seed, subject in enumerate(("s1", "s2")):
        volume = Volume(ellipsoids(SHAPE, seed)[np.newaxis], np.diag([1.0, 2.0, 1.0, 1.0]), 2)
        low = decimate(volume, FACTOR, "none")
        write_volume(volume, results.parent / f"normalised/{subject}.nii")
        write_volume(low, results.parent / f"low/{subject}.nii")
        for method, error in (("bad", 0.2), ("good", 0.0)):
            frames = np.clip(volume.data + error, 0, 1)
            write_interpolated(frames, low, FACTOR, results.parent / f"{method}/{subject}.nii.gz")
    for folder in ("normalised", "low", *METHODS):
        write_record(results.parent / folder, "0123456789")
    for method in METHODS:
        record = results / f"score_method/t1/K4/{method}/seed1/0.json"
        record.parent.mkdir(parents=True)
        places = {"normalised": "normalised", "low": "low", "interpolated": method}
        record.write_text(json.dumps({name: f"results/{folder}" for name, folder in places.items()}))
    return results


def test_volumes_of_another_preprocessing_are_not_mixed(results: Path):
    write_record(results.parent / "good", "9876543210")
    try:
        with pytest.raises(InputError, match="good: its volumes were made of the preprocessing 9876543210"):
            study_cases(results, "t1", FACTOR, METHODS)
    finally:
        write_record(results.parent / "good", "0123456789")


@pytest.fixture(scope="module")
def study(results: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The page of 12 images, and its key."""
    page = tmp_path_factory.mktemp("page") / "reader.html"
    options = ["--dataset", "t1", "--factor", "4", "--methods", *METHODS, "--per-method", "3", "--seed", "5"]
    assert main(["reader-study", str(results), *options, "-o", str(page)]) == 0
    return page, json.loads(page.with_name("reader.key.json").read_text())


def test_the_draw_is_balanced_seeded_and_shows_no_place_twice(results: Path):
    cases = study_cases(results, "t1", FACTOR, METHODS)
    items = draw_items(cases, FACTOR, 10, seed=1)
    assert pd.Series([item.method for item in items]).value_counts().to_dict() == {
        REFERENCE: 20,
        "bad": 10,
        "good": 10,
    }
    places = [(item.subject, item.slice) for item in items]
    assert len(set(places)) == 40
    assert {subject for subject, _ in places} == {"s1", "s2"}
    assert all(index % FACTOR for _, index in places), "kept slices would be real in every method"
    assert items == draw_items(cases, FACTOR, 10, seed=1)
    assert items != draw_items(cases, FACTOR, 10, seed=2)
    firsts = [draw_items(cases, FACTOR, 3, seed=seed)[0].method for seed in range(30)]
    assert set(firsts) == {REFERENCE, *METHODS}, "the order is random"
    usable = sum(len(usable_slices(case, FACTOR)) for case in cases)
    assert usable < 2 * 30, "slices without much of the object are left out"
    with pytest.raises(InputError, match=f"allowed are 1 to {usable // 4}: {usable} places for 2 methods"):
        draw_items(cases, FACTOR, 20, seed=1)


def test_the_page_holds_the_slices_of_the_key_and_nothing_that_tells_them(
    results: Path, study: tuple[Path, dict]
):
    text, key = study[0].read_text(), study[1]
    assert (key["seed"], key["dataset"], key["kind"]) == (5, "t1", KEY_KIND)
    assert not re.search(r"\bbad\b|\bgood\b|reference|\bs1\b|\bs2\b|\"seed\"|https?://", text, re.IGNORECASE)
    record = json.loads(re.search(r'id="record">(.*?)</script>', text)[1])
    assert set(record["images"][0]) == {"height", "width", "ratio", "pixels"}
    assert len({len(image["pixels"]) for image in record["images"]}) == 1, (
        "no size tells how smooth a slice is"
    )
    cases = {case.subject: case for case in study_cases(results, "t1", FACTOR, METHODS)}
    for image, item in zip(record["images"], key["items"], strict=True):
        case = cases[item["subject"]]
        volume = case.reference if item["method"] == REFERENCE else case.volumes[item["method"]]
        found = np.frombuffer(base64.b64decode(image["pixels"]), np.uint8).reshape(
            image["height"], image["width"]
        )
        np.testing.assert_array_equal(found, np.rint(np.rot90(volume[item["slice"]]) * 255))
        assert image["ratio"] == pytest.approx(26 * 1.0 / (22 * 2.0))


def read(page: Page, key: dict, judge: Callable[[int], bool], first: int, last: int) -> None:
    """Answer images first to last - 1, by button and key in turn."""
    for item in range(first, last):
        assert page.locator("#progress").text_content() == f"Image {item + 1} of {len(key['items'])}"
        said = judge(item)
        if item % 2:
            page.keyboard.press("s" if said else "r")
        else:
            page.get_by_role("button", name="Synthesised" if said else "Real").click()


def begin(page: Page, name: str) -> None:
    page.get_by_label("Your name or initials").fill(name)
    page.keyboard.press("Enter")


def save(page: Page, path: Path) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the answers").click()
    download.value.save_as(path)


@pytest.mark.page
def test_it_can_be_read_by_all_and_on_a_phone(study: tuple[Path, dict], check_page: Callable[[Path], None]):
    check_page(study[0])


def test_two_readers_click_through_it(study: tuple[Path, dict], tmp_path: Path, open_page: OpenPage, capsys):
    path, key = study
    truth = [item["method"] for item in key["items"]]
    page = open_page(path, width=360)
    assert page.locator("#image").is_hidden()
    begin(page, "A. B.")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert (
        page.locator("#synthetic").bounding_box()["y"] + page.locator("#synthetic").bounding_box()["height"]
        <= 740
    )
    read(page, key, lambda item: truth[item] == "bad", 0, 5)
    page.reload()
    read(page, key, lambda item: truth[item] == "bad", 5, 12)
    save(page, tmp_path / "a.json")
    page.get_by_role("button", name="Another reader").click()
    begin(page, "second")
    read(page, key, lambda item: truth[item] != REFERENCE, 0, 12)
    save(page, tmp_path / "b.json")
    first = json.loads((tmp_path / "a.json").read_text())
    assert (first["kind"], first["study"], first["reader"]) == (ANSWERS_KIND, key["study"], "A. B.")
    assert [one["item"] for one in first["answers"]] == list(range(12))
    assert [one["synthetic"] for one in first["answers"]] == [method == "bad" for method in truth]
    assert [one["item"] for one in first["answers"] if one["interrupted"]] == [5], (
        "the image on show at the reload"
    )
    assert all(0 <= one["seconds"] < 60 for one in first["answers"])

    table = tmp_path / "rates.csv"
    assert main(["reader-analysis", str(tmp_path / "a.json"), str(path.with_name("reader.key.json")),
                 str(tmp_path / "b.json"), "-o", str(table)]) == 0  # fmt: skip
    rates = pd.read_csv(table).set_index(["reader", "method"])
    assert rates["called"].to_dict() == {
        ("A. B.", "bad"): 3, ("A. B.", "good"): 0, ("A. B.", REFERENCE): 0,
        ("second", "bad"): 3, ("second", "good"): 3, ("second", REFERENCE): 0,
        ("all readers", "bad"): 6, ("all readers", "good"): 3, ("all readers", REFERENCE): 0,
    }  # fmt: skip
    shown = capsys.readouterr().out
    # 9 of 12 the same, expected by chance 1/4 * 1/2 + 3/4 * 1/2 = 1/2: (3/4 - 1/2) / (1 - 1/2)
    assert "Agreement of 2 readers on 12 images, Cohen's kappa: 0.50." in " ".join(shown.split())
    assert "1 answers were interrupted" in shown


def test_a_reader_who_comes_back_goes_on(study: tuple[Path, dict], open_page: OpenPage):
    path, key = study
    page = open_page(path)
    begin(page, "first")
    read(page, key, lambda item: False, 0, 2)
    page.evaluate("localStorage.removeItem(Object.keys(localStorage).find((key) => !key.endsWith('first')))")
    page.reload()
    # Chromium hands the storage to the new page a moment late when the machine is busy (seen once); a reader takes longer.
    page.wait_for_function("Object.keys(localStorage).some((key) => key.endsWith('first'))")
    begin(page, "first")
    read(page, key, lambda item: True, 2, 3)


def answers_of(reader: str, said: list[int]) -> Answers:
    table = pd.DataFrame({"item": range(len(said)), "synthetic": [bool(one) for one in said]})
    return Answers(reader, table.assign(seconds=[1.0 + i for i in range(len(said))], interrupted=False))


ITEMS = pd.DataFrame({"method": ["m"] * 10 + [REFERENCE] * 10})


def test_rates_have_exact_intervals_and_tests():
    one = answers_of("x", [1] * 8 + [0] * 2 + [1] * 3 + [0] * 7)
    method, real = (row for _, row in reader_rates(ITEMS, [one]).iterrows())
    assert (method["called"], method["n"], method["rate"]) == (8, 10, 0.8)
    # Clopper-Pearson by its definition: at each end the tail beyond what was seen has probability 0.025.
    assert stats.binom.sf(7, 10, method["ci_low"]) == pytest.approx(0.025, rel=1e-6)
    assert stats.binom.cdf(8, 10, method["ci_high"]) == pytest.approx(0.025, rel=1e-6)
    assert stats.binom.cdf(3, 10, real["ci_high"]) == pytest.approx(0.025, rel=1e-6)
    # Fisher: of 20 answers 11 were "synthesised"; at least 8 of them among the method's 10.
    assert method["p"] == pytest.approx(stats.hypergeom.sf(7, 20, 11, 10))
    assert np.isnan(real["p"])
    assert (method["seconds"], real["seconds"]) == (5.5, 15.5)


def test_an_interrupted_answer_counts_but_its_time_does_not():
    one = answers_of("x", [1] * 20)
    one.table.loc[9, ["seconds", "interrupted"]] = [500.0, True]
    row = reader_rates(ITEMS, [one]).iloc[0]
    assert (row["n"], row["seconds"]) == (10, 5.0)


def test_agreement_of_three_readers_is_fleiss_of_the_common_images():
    readers = [
        answers_of("a", [1, 1, 0, 0, 1]),
        answers_of("b", [1, 0, 0, 0, 1, 1]),
        answers_of("c", [1, 1, 0, 1, 1]),
    ]
    # By hand: P = (1 + 1/3 + 1 + 1/3 + 1) / 5 = 11/15; shares 9/15 and 6/15: Pe = .52; kappa = (11/15 - .52) / .48
    assert agreement(readers) == ("Fleiss' kappa", pytest.approx((11 / 15 - 0.52) / 0.48), 5)
    assert np.isnan(agreement([answers_of("a", [1, 1]), answers_of("b", [1, 1])])[1])
    note = shown_analysis(ITEMS, [answers_of("a", [1] * 20), answers_of("b", [1] * 20)]).notes[2]
    assert note.endswith("Cohen's kappa: not defined: all answers are the same.")


def write(path: Path, **content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path):
    said = [{"item": 0, "synthetic": True, "seconds": 1.0, "interrupted": False}]
    items = [{"method": REFERENCE, "subject": "s", "slice": 1}]
    key = write(tmp_path / "k.json", kind=KEY_KIND, study="x", items=items)
    good = write(tmp_path / "a.json", kind=ANSWERS_KIND, study="x", reader="r", answers=said)
    assert len(read_answers([key, good])[1]) == 1
    other = write(tmp_path / "b.json", kind=ANSWERS_KIND, study="y", reader="q", answers=said)
    twice = write(tmp_path / "c.json", kind=ANSWERS_KIND, study="x", reader="r", answers=said)
    beyond = write(
        tmp_path / "d.json", kind=ANSWERS_KIND, study="x", reader="q", answers=[said[0] | {"item": 1}]
    )
    none = write(tmp_path / "e.json", kind=ANSWERS_KIND, study="x", reader="q", answers=[])
    for files, message in (
        ([good], "0 keys and 1 answer files found"),
        ([key], "1 keys and 0 answer files found"),
        ([key, other], "study y found, the key is of x"),
        ([key, good, twice], "second file of reader 'r'"),
        ([key, beyond], r"items \[1\] found, allowed are 0 to 0"),
        ([key, none], r"items \[\] found"),
        ([key, write(tmp_path / "f.json", a=1)], "found kind None"),
        ([key, tmp_path / "absent.json"], "not readable as JSON"),
    ):
        with pytest.raises(InputError, match=message):
            read_answers(files)


def test_what_a_study_lacks_is_named(results: Path, tmp_path: Path, capsys):
    command = ["reader-study", str(results), "--dataset", "t1", "-o", str(tmp_path / "x.html")]
    assert main([*command, "--factor", "4", "--methods", "cae"]) == 2
    assert "found no results of cae, there are bad, good" in capsys.readouterr().err
    assert main([*command, "--factor", "3", "--methods", "good"]) == 2
    assert "there are none" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
