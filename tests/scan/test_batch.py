import json
import os
import re
import time

import nibabel as nib
import numpy as np
import pydicom
import pytest

import interslice
from finished_models import random_model
from generators import edit_dicom, write_dicom_series
from interslice.cli import main
from interslice.common.errors import InputError
from interslice.scan import batch
from interslice.scan.jobs import Wanted, derivative_name, find_jobs, is_batch
from interslice.scan.options import Options
from interslice.scan.scans import read_scan
from phantoms import ellipsoids
from scan_files import PLAIN, nifti, saved


@pytest.fixture
def bids(tmp_path):
    """A raw BIDS tree: two subjects, one with sessions, an earlier derivative, a functional run."""
    root = tmp_path / "study"
    for name in (
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-thick_T2w.nii",
        "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "derivatives/other/sub-01/anat/sub-01_desc-clean_T1w.nii.gz",
        "sourcedata/sub-01/anat/sub-01_T1w.nii.gz",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        saved(nifti(), root / name)
    (root / "dataset_description.json").write_text('{"Name": "raw", "BIDSVersion": "1.9.0"}')
    (root / "sub-01/anat/sub-01_T1w.json").write_text("{}")
    return root


def run(capsys, *arguments):
    """A command in this process, with the spline unless it says another method."""
    fast = [] if {"--method", "--model"} & set(arguments) else ["--fast"]
    code = main(["upsample", *(str(argument) for argument in arguments), *fast])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def files(folder):
    """What a folder holds, without the page of a run and the file that excuses it to validators."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [name for name in found if name not in ("report.html", ".bidsignore")]


EXPECTED = [
    "dataset_description.json",
    "sub-01/anat/sub-01_acq-thick_desc-interslice_T2w.json",
    "sub-01/anat/sub-01_acq-thick_desc-interslice_T2w.nii.gz",
    "sub-01/anat/sub-01_desc-interslice_T1w.json",
    "sub-01/anat/sub-01_desc-interslice_T1w.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_desc-interslice_T1w.json",
    "sub-02/ses-a/anat/sub-02_ses-a_desc-interslice_T1w.nii.gz",
]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_bids_tree_becomes_bids_derivatives(bids, capsys, jobs):
    output = bids / "derivatives" / "interslice"
    code, _, err = run(capsys, bids, "-o", output, "--spacing", 1, "--jobs", jobs)
    assert code == 0
    assert "3 written, 0 skipped, 0 failed" in err
    assert files(output) == EXPECTED
    made = json.loads((output / EXPECTED[3]).read_text())
    assert made["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert (made["InterpolationMethod"], made["InterpolationFactor"]) == ("bspline", 5)
    assert (made["SliceSpacingBefore"], made["SliceSpacingAfter"]) == (5.0, 1.0)
    assert made["SoftwareVersion"] == interslice.__version__
    whole = json.loads((output / "dataset_description.json").read_text())
    assert whole["DatasetType"] == "derivative"
    assert whole["GeneratedBy"][0]["Name"] == "interslice"
    assert (output / whole["DatasetLinks"]["raw"]).resolve() == bids.resolve()
    fine = nib.load(output / EXPECTED[4])
    raw = nib.load(bids / "sub-01/anat/sub-01_T1w.nii.gz")
    np.testing.assert_array_equal(fine.get_fdata()[..., ::5], raw.get_fdata())


def test_the_model_is_in_the_sidecar(bids, tmp_path, capsys):
    from interslice.common.files import sha256_of

    model = random_model(tmp_path / "model.pt")
    code, _, err = run(capsys, bids, "-o", tmp_path / "out", "--factor", 2, "--model", model)
    assert code == 0, err
    made = json.loads((tmp_path / "out" / EXPECTED[3]).read_text())
    assert made["InterpolationMethod"] == "cae"
    assert (made["ModelFile"], made["ModelSHA256"]) == ("model.pt", sha256_of(model))


def test_a_failed_file_is_named_and_the_others_finish(bids, tmp_path, capsys):
    (bids / "sub-01/anat/sub-01_T1w.nii.gz").write_bytes(b"no image")
    output = tmp_path / "out"
    code, _, err = run(capsys, bids, "-o", output, "--factor", 2, "--jobs", 2)
    assert code == 1
    assert "2 written, 0 skipped, 1 failed" in err
    assert "sub-01_T1w.nii.gz: not a readable image" in err
    assert files(output) == [name for name in EXPECTED if "sub-01_desc" not in name]


def test_even_a_bug_in_one_file_does_not_stop_the_others(bids, tmp_path, capsys, monkeypatch):
    read = batch.read_scan

    def reading(path, axis, **options):
        if "sub-02" in path.name:
            raise ZeroDivisionError("a bug")
        return read(path, axis, **options)

    monkeypatch.setattr(batch, "read_scan", reading)
    code, _, err = run(capsys, bids, "-o", tmp_path / "out", "--factor", 2, "--quiet")
    assert code == 1
    assert "sub-02_ses-a_T1w.nii.gz: ZeroDivisionError: a bug" in err
    assert len(files(tmp_path / "out")) == 5


def test_what_was_made_is_skipped_unless_forced(bids, tmp_path, capsys):
    output = tmp_path / "out"
    run(capsys, bids, "-o", output, "--factor", 2)
    before = {name: (output / name).stat().st_mtime_ns for name in EXPECTED if name.endswith(".nii.gz")}
    code, _, err = run(capsys, bids, "-o", output, "--factor", 2)
    assert code == 0
    assert "0 written, 3 skipped, 0 failed" in err
    assert before == {name: (output / name).stat().st_mtime_ns for name in before}
    # Killed between the image and its sidecar: not yet made.
    (output / EXPECTED[1]).unlink()
    assert "1 written, 2 skipped" in run(capsys, bids, "-o", output, "--factor", 2)[2]
    assert "3 written" in run(capsys, bids, "-o", output, "--factor", 3, "--force")[2]
    assert nib.load(output / EXPECTED[2]).shape[2] == 19


def test_scans_that_are_fine_enough_are_skipped_with_the_reason(bids, tmp_path, capsys):
    saved(nifti(np.eye(4)), bids / "sub-01/anat/sub-01_T1w.nii.gz")
    code, _, err = run(capsys, bids, "-o", tmp_path / "out")
    assert code == 0
    assert "2 written, 1 skipped, 0 failed" in err
    assert "1 mm apart already" in err


def test_a_plain_folder_keeps_its_shape(tmp_path, capsys):
    source = tmp_path / "scans"
    (source / "deep").mkdir(parents=True)
    saved(nifti(), source / "one.nii")
    saved(nib.AnalyzeImage(np.asarray(nifti().dataobj), None), source / "deep" / "two.img")
    write_dicom_series(source / "patient_3", ellipsoids((5, 20, 18))[..., None], trigger=False)
    (source / "notes.txt").write_text("no image")
    code, _, err = run(capsys, source, "-o", source / "out", "--factor", 2, "--axis", "k")
    assert code == 0, err
    made = [name for name in files(source / "out") if name.endswith(".nii.gz")]
    assert made == [
        "deep/two_desc-interslice.nii.gz", "one_desc-interslice.nii.gz", "patient_3_desc-interslice.nii.gz",
    ]  # fmt: skip
    assert (
        "0 written, 3 skipped" in run(capsys, source, "-o", source / "out", "--factor", 2, "--axis", "k")[2]
    )


def test_the_kind_of_a_folder(tmp_path, bids):
    write_dicom_series(tmp_path / "dicom" / "a", ellipsoids((4, 20, 18))[..., None], trigger=False)
    assert not is_batch(tmp_path / "dicom" / "a")
    assert not is_batch(tmp_path / "dicom")
    write_dicom_series(tmp_path / "dicom" / "b", ellipsoids((4, 20, 18))[..., None], trigger=False)
    assert is_batch(tmp_path / "dicom")
    assert is_batch(bids)
    assert not is_batch(bids / "sub-01/anat/sub-01_T1w.nii.gz")


def test_names():
    for stem, expected in {
        "sub-01_T1w": "sub-01_desc-interslice_T1w.nii.gz",
        "sub-01_ses-2_run-1_bold": "sub-01_ses-2_run-1_desc-interslice_bold.nii.gz",
        "sub-01_desc-clean_T1w": "sub-01_desc-interslice_T1w.nii.gz",
        "brain": "brain_desc-interslice.nii.gz",
        "T2_axial": "T2_axial_desc-interslice.nii.gz",
    }.items():
        assert derivative_name(stem) == expected


def test_what_to_include(bids, tmp_path):
    found = [job.source.name for job in find_jobs(bids, tmp_path / "out", Wanted("sub-*/func/*"))]
    assert found == ["sub-01_task-rest_bold.nii.gz"]
    for wanted, number in (
        (Wanted(participants=("02",)), 1),
        (Wanted(participants=("sub-01", "02")), 3),
        (Wanted(exclude=("**/*_T2w.nii",)), 2),
        (Wanted(exclude=("sub-02/**",)), 2),
        (Wanted(exclude=("**/*_T2w.nii", "sub-02/**/*")), 1),
    ):
        assert len(find_jobs(bids, tmp_path / "out", wanted)) == number
    with pytest.raises(InputError, match=r"found no image that matches 'nothing/\*'"):
        find_jobs(bids, tmp_path / "out", Wanted("nothing/*"))
    saved(nifti(), bids / "sub-01/anat/sub-01_T1w.nii")
    jobs = find_jobs(bids, tmp_path / "out")
    (second,) = [job for job in jobs if job.problem]
    assert re.search(r"would both be written to .*sub-01_desc-interslice_T1w.nii.gz", second.problem)
    assert batch.run_job(second, None, Options(bids)).state == "failed"


def test_jobs_run_side_by_side():
    began = time.monotonic()
    waited = list(batch.for_all(lambda job: time.sleep(0.3) or job, [1, 2, 3, 4], 4))
    assert waited == [1, 2, 3, 4]
    assert time.monotonic() - began < 1.0


def test_bad_batches_are_refused(bids, tmp_path, capsys):
    (tmp_path / "file").write_text("a file")
    other, page = tmp_path / "other", tmp_path / "page"
    for folder, name in ((other, "dataset_description.json"), (page, "report.html")):
        folder.mkdir()
        (folder / name).write_text('{"Name": "of value", "GeneratedBy": [{"Name": "another"}]}')
    for arguments, sentence in [
        (["-o", tmp_path / "file"], "output: found the file"),
        (["-o", tmp_path / "out.nii.gz"], "found the file name"),
        (["-o", bids], "is the input, allowed is another folder"),
        (["-o", tmp_path / "file" / "below"], "cannot be written, because"),
        ([], "found no output, -o FOLDER is needed"),
        (["-o", tmp_path / "out", "--jobs", 0], "jobs: found 0, allowed are whole numbers from 1"),
        (
            ["-o", tmp_path / "out", "--train-here", "--method", "cae"],
            "found --train-here with a folder of scans",
        ),
        (["-o", tmp_path / "out", "--uncertainty", "u.nii"], "found --uncertainty with a folder of scans"),
        (["-o", tmp_path / "out", "--preview", tmp_path / "file"], "preview: found the file"),
        (
            ["-o", tmp_path / "out", "--participant-label", "9", "sub-02"],
            "found no sub-9, there are sub-01, sub-02",
        ),
        (["-o", tmp_path / "out", "--method", "magic"], "method: found 'magic'"),
        (
            ["-o", other],
            f"{other / 'dataset_description.json'} is not of interslice, allowed is a new folder",
        ),
        (["-o", page], f"{page / 'report.html'} is not of interslice"),
        (["-o", tmp_path / "out", "--factor", 0], "factor: found 0"),
    ]:
        code, out, err = run(capsys, bids, *arguments)
        assert (code, out) == (2, ""), arguments
        assert sentence in err
        assert err.count("\n") == 1
        assert not (tmp_path / "out").exists()
    assert os.path.getsize(tmp_path / "file") == 6


def test_4d_files_in_a_batch(tmp_path, capsys):
    source = tmp_path / "cine"
    source.mkdir()
    saved(nifti(PLAIN, shape=(20, 18, 7, 3)), source / "cine.nii.gz")
    assert run(capsys, source, "-o", tmp_path / "out", "--factor", 2, "--method", "lanczos")[0] == 0
    assert nib.load(tmp_path / "out" / "cine_desc-interslice.nii.gz").shape == (20, 18, 13, 3)


def test_every_series_of_a_folder_becomes_a_series(tmp_path, capsys):
    """With --dicom; a NIfTI image that lies among them has no headers for one."""
    volume = ellipsoids((5, 20, 18))[..., np.newaxis]
    for name in ("T1", "T2"):
        write_dicom_series(tmp_path / "in" / name, volume, trigger=False, description=name)
    (scout, *_) = write_dicom_series(tmp_path / "in" / "scout", volume, trigger=False, description="scout")
    for path in scout.parent.iterdir():
        edit_dicom(path, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    saved(nifti(), tmp_path / "in" / "other.nii")
    arguments = (tmp_path / "in", "--dicom", "--factor", 2, "--method", "linear", "-o", tmp_path / "out")
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert "other.nii: is no DICOM series, whose headers --dicom needs" in err
    assert err.count("left out of the folder, --series takes them") == 1
    assert "scout localizer, 5 images" in err
    for name in ("T1", "T2"):
        stack = read_scan(tmp_path / "out" / f"{name}_desc-interslice")
        assert stack.stored.shape[2] == 9
        np.testing.assert_array_equal(stack.stored[:, :, ::2], read_scan(tmp_path / "in" / name).stored)
    assert run(capsys, *arguments)[2].count("--force makes it again") == 2


@pytest.mark.parametrize("kind", ["report", "cut", "screenshot"])
def test_a_dicom_file_that_is_no_slice_stops_nothing_else(tmp_path, capsys, kind):
    saved(nifti(), tmp_path / "scan.nii")
    path, *others = write_dicom_series(tmp_path, ellipsoids((4, 20, 18))[..., None], trigger=False)
    for other in others:
        other.unlink()
    header = pydicom.dcmread(path)
    del header.PixelData, header.Rows, header.ImagePositionPatient
    if kind == "report":
        header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    elif kind == "screenshot":
        header.SOPClassUID, header.Rows = "1.2.840.10008.5.1.4.1.1.7", 20
    header.save_as(path)
    code, _, err = run(capsys, tmp_path, "--factor", 2, "--fast", "-o", tmp_path / "out")
    assert code == (0 if kind == "report" else 1)
    assert f"1 written, 0 skipped, {code} failed" in err
    assert kind == "report" or f"failed: {path}: found " in err


def test_what_means_nothing_for_a_folder_is_refused(tmp_path, capsys):
    source = tmp_path / "in"
    source.mkdir()
    saved(nifti(), source / "scan.nii")
    for options, sentence in (
        (["--series", "2", "-o", tmp_path / "out"], f"{source}: found --series for a folder of images"),
        (["--fill-missing", "-o", tmp_path / "out"], f"{source}: holds no DICOM series, whose headers"),
        (["-o", tmp_path], f"output: {tmp_path} holds the input, allowed is another folder"),
    ):
        code, _, err = run(capsys, source, *options)
        assert (code, sentence in err) == (2, True), err
    assert files(tmp_path) == ["in/scan.nii"]
    assert main(["upsample", str(source), "--deblur", "-o", str(tmp_path / "out")]) == 1
    assert f"failed: {source / 'scan.nii'}: deblur: found no slice thickness" in capsys.readouterr().err


def test_a_file_is_made_of_the_series_beside_an_image(tmp_path, capsys):
    """A folder that a converter has been at; also one that is reached by a link."""
    write_dicom_series(tmp_path / "in", ellipsoids((5, 20, 18))[..., np.newaxis], trigger=False)
    saved(nifti(), tmp_path / "in" / "converted.nii")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "series").symlink_to(tmp_path / "in")
    for number, source in enumerate(("in", "links")):
        output = tmp_path / f"{number}.nii"
        code, _, err = run(capsys, tmp_path / source, "--factor", 2, "--method", "linear", "-o", output)
        assert code == 0, err
        assert nib.load(output).shape == (18, 20, 9)


def test_a_name_too_long_for_its_result_stops_nothing_else(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a.nii", "x" * 240 + ".nii"):
        saved(nifti(), tmp_path / "in" / name)
    code, _, err = run(capsys, tmp_path / "in", "--factor", 2, "-o", tmp_path / "out")
    assert (code, "x_desc-interslice.nii.gz: File name too long" in err) == (1, True)
    assert "1 written, 0 skipped, 1 failed" in err
    assert (tmp_path / "out" / "report.html").exists()


def test_names_that_are_no_text_are_on_the_page(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    path = saved(nifti(), tmp_path / "in" / "scan.nii")
    os.rename(path, os.fsencode(tmp_path) + b"/in/sch\xe4del.nii")
    code, _, err = run(capsys, tmp_path / "in", "--factor", 2, "--method", "linear", "-o", tmp_path / "out")
    assert code == 0, err
    assert "del.nii" in (tmp_path / "out" / "report.html").read_text()


def test_a_folder_that_cannot_be_read_fails_and_is_not_left_out(bids, tmp_path, monkeypatch):
    """As root may read everything, the system's refusal is made up."""
    listed = os.scandir

    def scandir(path="."):
        if str(path).endswith("sub-02"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    *others, closed = find_jobs(bids, tmp_path / "out")
    assert (closed.source, closed.problem) == (
        bids / "sub-02",
        f"{bids / 'sub-02'}: the folder cannot be read",
    )
    assert not any(job.problem for job in others)
    assert not any("sub-02" in job.source.name for job in others)
