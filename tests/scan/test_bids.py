"""A BIDS tree as people have it: links, ignored files, diffusion, echoes and phases, metadata beside the images."""

import base64
import io
import json
import os
import subprocess
import sys
import threading
from html.parser import HTMLParser
from typing import ClassVar

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

import interslice
from interslice.cli import main
from interslice.common.streams import say_to_stderr
from interslice.scan.bids import is_ignored, matcher
from scan_files import nifti, saved


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "study"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "raw", "BIDSVersion": "1.9.0"}')
    return root


def add(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        saved(nifti(), root / name)


def run(capsys, *arguments):
    code = main(["upsample", *(str(argument) for argument in arguments), "--factor", "2", "--fast"])
    return code, capsys.readouterr().err


def images(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.nii.gz"))


def test_metadata_comes_along_and_what_is_not_true_of_new_slices_does_not(tree, tmp_path, capsys):
    add(tree, "sub-1/anat/sub-1_T2w.nii.gz")
    known = {"EchoTime": 0.09, "SliceTiming": [0, 1], "Description": "as acquired", "SpacingBetweenSlices": 5}
    (tree / "sub-1/anat/sub-1_T2w.json").write_text(json.dumps(known))
    assert run(capsys, tree, "-o", tmp_path / "out")[0] == 0
    beside = json.loads((tmp_path / "out/sub-1/anat/sub-1_desc-interslice_T2w.json").read_text())
    assert beside["EchoTime"] == 0.09
    assert "SliceTiming" not in beside
    assert (beside["InterpolationFactor"], beside["SpacingBetweenSlices"], beside["SkullStripped"]) == (
        2,
        2.5,
        False,
    )
    assert beside["Description"].startswith("Slices added")
    (tree / "sub-1/anat/sub-1_T2w.json").write_text("{")
    code, err = run(capsys, tree, "-o", tmp_path / "again")
    assert (code, "sub-1_T2w.json: not readable as JSON" in err) == (1, True)


def test_gradients_come_along(tree, tmp_path, capsys):
    add(tree, "sub-1/dwi/sub-1_dwi.nii.gz")
    for ending, text in ((".bval", "0 1000\n"), (".bvec", "0 1\n0 0\n0 0\n")):
        (tree / f"sub-1/dwi/sub-1_dwi{ending}").write_text(text)
    assert run(capsys, tree, "--include", "sub-*/dwi/*_dwi.nii.gz", "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out/sub-1/dwi/sub-1_desc-interslice_dwi.bval").read_text() == "0 1000\n"
    assert (tmp_path / "out/sub-1/dwi/sub-1_desc-interslice_dwi.bvec").read_text() == "0 1\n0 0\n0 0\n"
    _, err = run(capsys, tree / "sub-1/dwi/sub-1_dwi.nii.gz", "-o", tmp_path / "one.nii.gz")
    assert (tmp_path / "one.bval").read_text() == "0 1000\n"
    assert "one.bval: copied" in err


def test_metadata_of_folders_above_holds_where_nothing_nearer_says_otherwise(tree, tmp_path, capsys):
    add(tree, "sub-1/ses-a/anat/sub-1_ses-a_acq-thick_T2w.nii.gz", "sub-2/anat/sub-2_T2w.nii.gz")
    for name, content in {
        "T2w.json": {"EchoTime": 0.1, "FlipAngle": 90, "Manufacturer": "A"},
        "acq-thick_T2w.json": {"FlipAngle": 120},
        "acq-thin_T2w.json": {"FlipAngle": 1},
        "T1w.json": {"FlipAngle": 2},
        "sub-1/ses-a/anat/sub-1_ses-a_acq-thick_T2w.json": {"EchoTime": 0.2},
    }.items():
        (tree / name).write_text(json.dumps(content))
    assert run(capsys, tree, "-o", tmp_path / "out")[0] == 0
    made = [
        json.loads((tmp_path / "out" / name).read_text())
        for name in (
            "sub-1/ses-a/anat/sub-1_ses-a_acq-thick_desc-interslice_T2w.json",
            "sub-2/anat/sub-2_desc-interslice_T2w.json",
        )
    ]
    found = [[one[key] for key in ("EchoTime", "FlipAngle", "Manufacturer")] for one in made]
    assert found == [[0.2, 120, "A"], [0.1, 90, "A"]]


def test_events_of_a_run_come_along_under_their_own_name(tree, tmp_path, capsys):
    add(tree, "sub-1/func/sub-1_task-rest_bold.nii.gz")
    (tree / "sub-1/func/sub-1_task-rest_events.tsv").write_text("onset\tduration\n1\t2\n")
    add(tree, "sub-1/func/sub-1_task-rest_echo-2_bold.nii.gz", "sub-1/func/sub-1_task-move_bold.nii.gz")
    for wanted, events in (("rest_bold", True), ("rest_echo-2_bold", True), ("move_bold", False)):
        out = tmp_path / wanted
        assert run(capsys, tree, "--include", f"sub-*/func/*{wanted}.nii.gz", "-o", out)[0] == 0
        copied = [path.read_text() for path in out.rglob("sub-1/func/sub-1_task-rest_events.tsv")]
        assert copied == ["onset\tduration\n1\t2\n"] * events, wanted


def test_the_folder_of_a_subject_is_a_part_of_its_tree(tree, tmp_path, capsys):
    add(tree, "sub-1/anat/sub-1_part-mag_T2w.nii.gz", "sub-1/anat/sub-1_part-phase_T2w.nii.gz")
    (tree / "T2w.json").write_text('{"EchoTime": 0.1}')
    code, err = run(capsys, tree / "sub-1", "-o", tmp_path / "out")
    assert (code, "left out: 1 phase image(s)" in err) == (0, True)
    assert images(tmp_path / "out") == ["anat/sub-1_part-mag_desc-interslice_T2w.nii.gz"]
    made = (tmp_path / "out/anat/sub-1_part-mag_desc-interslice_T2w.json").read_text()
    assert json.loads(made)["EchoTime"] == 0.1


def test_it_is_called_as_bids_apps_are(tree, tmp_path, capsys):
    add(tree, "sub-1/anat/sub-1_T2w.nii.gz", "sub-2/anat/sub-2_T2w.nii.gz", "sub-3/anat/sub-3_T2w.nii.gz")
    command = ["bids", str(tree), str(tmp_path / "out"), "participant", "--participant_label", "1", "sub-3"]
    assert main([*command, "--spacing", "2", "--fast"]) == 0
    assert "2 written, 0 skipped, 0 failed" in capsys.readouterr().err
    assert images(tmp_path / "out") == [
        "sub-1/anat/sub-1_desc-interslice_T2w.nii.gz",
        "sub-3/anat/sub-3_desc-interslice_T2w.nii.gz",
    ]
    assert main(["bids", str(tree), str(tmp_path / "out"), "group"]) == 2
    assert "invalid choice: 'group'" in capsys.readouterr().err
    assert main(["bids", str(tmp_path / "none"), str(tmp_path / "out"), "participant"]) == 2
    assert "none: found no folder, allowed is a BIDS dataset" in capsys.readouterr().err


@pytest.mark.page
def test_the_page_of_a_run_can_be_read_by_all_and_on_a_phone(tree, tmp_path, capsys, check_page):
    name = f"sub-2/anat/sub-2_acq-{'long' * 20}_T2w.nii.gz"
    add(tree, "sub-1/anat/sub-1_T2w.nii.gz", name)
    (tree / "sub-1/anat/sub-1_T1w.nii.gz").write_text("no image")
    assert run(capsys, tree, "-o", tmp_path / "out")[0] == 1
    check_page(tmp_path / "out" / "report.html")


class Cells(HTMLParser):
    """The rows of a table: the text of every cell, and how many pictures a row has."""

    def __init__(self):
        super().__init__()
        self.rows, self.pictures = [], []

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
            self.pictures.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "img":
            self.pictures[-1].append(dict(attributes)["src"])

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def test_a_page_shows_every_image_of_a_run(tree, tmp_path, capsys):
    """What was written with picture, method and gain, what failed with its sentence; it asks no network for anything."""
    add(tree, "sub-1/anat/sub-1_T2w.nii.gz", "sub-2/anat/sub-2_T2w.nii.gz")
    (tree / "sub-3/anat").mkdir(parents=True)
    (tree / "sub-3/anat/sub-3_<b>T2w.nii.gz").write_text("no image")
    arguments = ["upsample", str(tree), "-o", str(tmp_path / "out"), "--factor", "2", "--check"]
    assert main([*arguments, "--preview", str(tmp_path / "pictures")]) == 1
    capsys.readouterr()
    page = Cells()
    text = (tmp_path / "out" / "report.html").read_text()
    page.feed(text)
    heads, first, second, third = page.rows
    assert heads[:4] == ["image", "state", "method", "gain over the spline (dB)"]
    made = json.loads((tmp_path / "out/sub-1/anat/sub-1_desc-interslice_T2w.json").read_text())
    scores = made["HeldOutPSNR"]
    assert first[:3] == ["sub-1/anat/sub-1_T2w.nii.gz", "written", made["InterpolationMethod"]]
    assert first[3:6] == [f"{max(scores.values()) - scores['bspline']:.2f}", "5.0", "2.5"]
    assert second[1] == "written"
    assert third[:2] == ["sub-3/anat/sub-3_<b>T2w.nii.gz", "failed"]
    assert "not a readable image" in third[7]
    assert [len(found) for found in page.pictures] == [0, 1, 1, 0]
    picture = imread(io.BytesIO(base64.b64decode(page.pictures[1][0].partition(",")[2])))
    assert max(picture.shape[:2]) > 100
    assert np.ptp(picture[..., 0]) > 0.5
    assert "http" not in text
    assert any("recommended for this scan" in line for line in made["Check"])
    assert (tmp_path / "out" / ".bidsignore").read_text() == "report.html\n*.bval\n*.bvec\n"
    picture = tmp_path / "pictures/sub-1/anat/sub-1_desc-interslice_T2w.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_check_that_is_not_possible_stops_no_interpolation(tree, tmp_path, capsys):
    (tree / "sub-1/anat").mkdir(parents=True)
    saved(nifti(shape=(20, 18, 3)), tree / "sub-1/anat/sub-1_T2w.nii.gz")
    code, err = run(capsys, tree, "-o", tmp_path / "out", "--check")
    assert (code, "found 3 slices, --check needs at least 4" in err) == (0, True)
    assert images(tmp_path / "out") == ["sub-1/anat/sub-1_desc-interslice_T2w.nii.gz"]


def test_a_link_to_nothing_is_named_and_stops_nothing_else(tree, tmp_path, capsys):
    add(tree, "sub-1/anat/sub-1_T2w.nii.gz")
    (tree / "sub-2/anat").mkdir(parents=True)
    os.symlink("../../.git/annex/objects/x.nii.gz", tree / "sub-2/anat/sub-2_T2w.nii.gz")
    code, err = run(capsys, tree, "-o", tmp_path / "out")
    assert code == 0
    assert "1 written, 0 skipped, 0 failed, 1 not here, only a link to each" in err
    assert "absent: " in err
    assert "sub-2_T2w.nii.gz: a link to a file that is not here (../../.git/annex/objects/x.nii.gz)" in err
    assert images(tmp_path / "out") == ["sub-1/anat/sub-1_desc-interslice_T2w.nii.gz"]
    assert "not here" in (tmp_path / "out" / "report.html").read_text()
    assert run(capsys, tree, "--participant-label", "2", "-o", tmp_path / "none")[0] == 1


@pytest.mark.parametrize("link", ["sub-1", "sub-1/ses-1", "sub-1/ses-1/anat"])
def test_linked_folders_are_followed_once(tree, tmp_path, capsys, link):
    name = "sub-1/ses-1/anat/sub-1_ses-1_T2w.nii.gz"
    add(tmp_path / "real", name)
    (tree / link).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(tmp_path / "real" / link, tree / link)
    os.symlink(tmp_path / "real" / "sub-1", tmp_path / "real/sub-1/ses-1/circle")
    code, err = run(capsys, tree, "-o", tmp_path / "out")
    assert (code, f"1 image(s) are behind links that lead out of {tree} ({tree / name})" in err) == (0, True)
    assert images(tmp_path / "out") == ["sub-1/ses-1/anat/sub-1_ses-1_desc-interslice_T2w.nii.gz"]


def test_ignored_files_and_phases_are_left_out_and_echoes_are_not(tree, tmp_path, capsys):
    names = [f"sub-1_echo-{echo}_part-{part}_T2starw" for echo in (1, 2) for part in ("mag", "phase")]
    add(tree, *(f"sub-1/anat/{name}.nii.gz" for name in [*names, "sub-1_bad_T2w", "sub-1_T2w"]))
    (tree / ".bidsignore").write_text("# not ours\n*_bad_*\n")
    code, err = run(capsys, tree, "-o", tmp_path / "out")
    assert code == 0
    assert images(tmp_path / "out") == [
        "sub-1/anat/sub-1_desc-interslice_T2w.nii.gz",
        "sub-1/anat/sub-1_echo-1_part-mag_desc-interslice_T2starw.nii.gz",
        "sub-1/anat/sub-1_echo-2_part-mag_desc-interslice_T2starw.nii.gz",
    ]
    assert "left out: 2 phase image(s)" in err
    assert "links" not in err
    assert run(capsys, tree, "--include", "**/*part-phase*", "-o", tmp_path / "phases")[0] == 0
    assert len(images(tmp_path / "phases")) == 2


def test_a_described_image_and_the_raw_one_are_both_written(tree, tmp_path, capsys):
    add(tree, "sub-1/anat/sub-1_T2w.nii.gz", "sub-1/anat/sub-1_desc-preproc_T2w.nii.gz")
    assert run(capsys, tree, "-o", tmp_path / "out")[0] == 0
    assert images(tmp_path / "out") == [
        "sub-1/anat/sub-1_desc-interslice_T2w.nii.gz",
        "sub-1/anat/sub-1_desc-preprocInterslice_T2w.nii.gz",
    ]


@pytest.mark.parametrize(
    ("pattern", "path", "match"),
    [
        ("sub-*/**/anat/*", "sub-1/anat/a.nii", True),
        ("sub-*/**/anat/*", "sub-1/ses-1/anat/a.nii", True),
        ("sub-*/**/anat/*", "sub-1/anat/more/a.nii", False),
        ("*.nii", "a/b.nii", False),
        ("**/*", "a.nii", True),
    ],
)
def test_patterns_are_those_of_a_glob(tmp_path, pattern, path, match):
    assert bool(matcher(pattern).fullmatch(path)) is match
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    assert ((tmp_path / path) in tmp_path.glob(pattern)) is match


def test_bidsignore_is_like_gitignore(tmp_path):
    path = tmp_path.__class__("sub-1/extra/a_T1w.nii")
    for pattern in ("extra/", "*/extra/*", "*_T1w.nii", "sub-1"):
        assert is_ignored(path, [pattern])
    for pattern in ("other/", "T1w", "b_*"):
        assert not is_ignored(path, [pattern])


def test_a_pipe_that_closes_loses_no_output(tmp_path):
    source, target = saved(nifti(), tmp_path / "a.nii.gz"), tmp_path / "fine.nii.gz"
    command = [
        sys.executable,
        "-u",
        "-m",
        "interslice",
        "upsample",
        source,
        "--check",
        "--factor",
        "2",
        "-o",
        target,
    ]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert nib.load(target).shape[2] == 13


def test_messages_of_threads_stand_on_lines_of_their_own(monkeypatch):
    class Stream:
        writes: ClassVar[list[str]] = []

        def write(self, text):
            self.writes.append(text)

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stderr", Stream())
    threads = [threading.Thread(target=say_to_stderr, args=(f"line {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Stream.writes) == [f"line {i}\n" for i in range(8)]


def test_the_error_can_be_caught_from_python():
    with pytest.raises(interslice.InputError):
        interslice.upsample("scan.nii")
