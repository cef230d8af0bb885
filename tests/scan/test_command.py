import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

import interslice
from finished_models import random_model
from generators import edit_dicom, write_dicom_series
from interslice.cli import main
from interslice.scan.scans import read_scan
from phantoms import ellipsoids
from scan_files import PLAIN, SHAPE, nifti, saved, values


def run(capsys, *arguments):
    """Exit code, standard output and standard error of a command in this process."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def scan(tmp_path):
    return saved(nifti(), tmp_path / "scan.nii.gz")


def test_a_scan_in_a_scan_out(scan, tmp_path, capsys):
    code, out, err = run(capsys, "upsample", scan, "--factor", 5, "-o", tmp_path / "new" / "fine.nii.gz")
    assert (code, out) == (0, "")
    assert "7 slices, 5 mm apart, along axis k; factor 5: 31 slices, 1 mm apart" in err
    assert nib.load(tmp_path / "new" / "fine.nii.gz").shape == (20, 18, 31)


def test_what_is_taken_is_said(scan, tmp_path, capsys):
    code, _, err = run(capsys, "upsample", scan, "--spacing", 0.8, "-o", tmp_path / "fine.nii")
    assert code == 0
    assert "to 38 slices, 0.8 mm apart; 2 of the 7 lie on this grid and stay" in err
    assert "it ends 0.4 mm before the last one" in err
    options = ["--method", "linear", "--no-keep-original"]
    _, _, err = run(capsys, "upsample", scan, "--spacing", 0.8, "-o", tmp_path / "anew.nii", *options)
    assert "2 of the 7 lie on this grid and are made anew" in err
    code, _, err = run(capsys, "upsample", scan, "--isotropic", "-o", tmp_path / "isotropic.nii")
    assert (code, "factor 5: 31 slices, 1 mm apart; all 7 stay" in err) == (0, True)
    code, _, err = run(capsys, "upsample", scan, "-o", tmp_path / "default.nii")
    assert (code, "factor 5: 31 slices, 1 mm apart" in err) == (0, True)


@pytest.mark.parametrize("method", ["bspline", "lanczos", "linear", "nearest"])
def test_every_method_and_every_extra_file(scan, tmp_path, capsys, method):
    code, out, _ = run(
        capsys, "upsample", scan, "--factor", 2, "--method", method, "-o", tmp_path / "fine.nii", "--check",
        "--uncertainty", tmp_path / "map.nii.gz", "--preview", tmp_path / "picture.png", "--quiet",
    )  # fmt: skip
    assert code == 0
    assert "recommended for this scan" in out
    assert nib.load(tmp_path / "map.nii.gz").shape == nib.load(tmp_path / "fine.nii").shape
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_label_map_is_interpolated_by_shape_and_said(tmp_path, capsys):
    labels = nifti()
    labels.header.set_intent("label")
    source, known = saved(labels, tmp_path / "labels.nii"), set(np.unique(np.asarray(labels.dataobj)))
    code, _, err = run(capsys, "upsample", source, "--factor", 2, "-o", tmp_path / "a.nii")
    assert (code, "a label map (its header says so)" in err) == (0, True)
    arguments = ("upsample", source, "--factor", 2, "--method", "nearest", "-o", tmp_path / "b.nii")
    code, _, err = run(capsys, *arguments)
    assert (code, "label map" in err) == (0, False)
    for name in ("a", "b"):
        assert set(np.unique(np.asarray(nib.load(tmp_path / f"{name}.nii").dataobj))) <= known
    code, _, err = run(capsys, "upsample", source, "--factor", 2, "--check")
    assert (code, "is only interpolated; --no-label takes it for an image" in err) == (2, True)
    code, _, err = run(capsys, "upsample", source, "--factor", 2, "--no-label", "-o", tmp_path / "c.nii")
    assert (code, "label map" in err) == (0, False)


def test_a_dicom_series_becomes_a_series(tmp_path, capsys):
    """Into a folder as DICOM, into a file as NIfTI: the same voxels in the same place."""
    write_dicom_series(tmp_path / "in", ellipsoids((6, 20, 18))[..., None], trigger=False)
    for output in ("out", "out.nii"):
        code, _, err = run(capsys, "upsample", tmp_path / "in", "--factor", 4, "-o", tmp_path / output)
        assert code == 0, err
    again, image = read_scan(tmp_path / "out"), nib.load(tmp_path / "out.nii")
    np.testing.assert_array_equal(again.stored, np.asarray(image.dataobj))
    np.testing.assert_allclose(again.affine, image.affine, atol=1e-5)
    assert again.stored.shape[2] == 21
    for arguments, sentence in (
        ((tmp_path / "in", "-o", tmp_path / "out"), "holds a series already; --force overwrites it"),
        ((tmp_path / "in", "-o", tmp_path / "in"), "allowed is a new or an empty folder for a DICOM series"),
        (
            (tmp_path / "out.nii", "--dicom", "-o", tmp_path / "b"),
            "is no DICOM series, whose headers --dicom",
        ),
    ):
        code, _, err = run(capsys, "upsample", *arguments, "--factor", 2)
        assert (code, len(err.splitlines())) == (2, 1)
        assert sentence in err


def test_check_alone_writes_nothing(scan, tmp_path, capsys):
    code, out, err = run(capsys, "upsample", scan, "--check")
    assert (code, err.count("\n")) == (0, 1)
    assert "method bspline, best of 3 on 5 held-out slice(s)" in err
    assert "recommended for this scan: bspline" in out
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii.gz"]


def test_a_trained_checkpoint(scan, tmp_path, capsys):
    model = random_model(tmp_path / "model.pt")
    fine = tmp_path / "fine.nii"
    code, _, err = run(
        capsys, "upsample", scan, "--method", "cae", "--model", model, "--factor", 2, "-o", fine
    )
    assert code == 0, err
    assert "written with cae (model.pt, sha256 " in err
    assert run(capsys, "upsample", scan, "--model", model, "--factor", 2, "-o", fine, "--force")[0] == 0


def test_a_pretrained_name_is_looked_up_in_the_repository(scan, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("interslice.scan.models.PRETRAINED", tmp_path)
    random_model(tmp_path / "small.pt")
    arguments = ("upsample", scan, "--factor", 2, "-o", tmp_path / "fine.nii", "--model")
    assert run(capsys, *arguments, "small")[0] == 0
    code, _, err = run(capsys, *arguments, "large", "--force")
    assert code == 2
    assert "models known by name: cae_K2, cae_K4" in err


def test_training_here(tmp_path, capsys, monkeypatch):
    from interslice.scan import own_training
    from settings import SMALL_NETWORK

    settings = own_training.settings_here("cae")
    settings["network"].update(SMALL_NETWORK)
    settings["training"]["crop"] = 16
    monkeypatch.setattr(own_training, "settings_here", lambda method: settings)
    monkeypatch.setattr(own_training, "MOST_STEPS", 5)
    data = np.moveaxis(values(shape=(14, 20, 18)), 0, 2)
    first = saved(nib.Nifti1Image(data, PLAIN), tmp_path / "first.nii")
    second = saved(nib.Nifti1Image(data[::-1].copy(), PLAIN), tmp_path / "second.nii")
    model = tmp_path / "model.pt"
    code, out, err = run(
        capsys, "upsample", first, "--method", "cae", "--train-here", "--minutes", 1, "--factor", 2,
        "--check", "--also", second, "-o", tmp_path / "fine.nii", "--save-model", model,
    )  # fmt: skip
    assert code == 0, err
    assert "training: 5 steps in" in err
    assert "2 slice(s) that the training never saw" in out or "1 slice(s) that the training never saw" in out
    code, _, err = run(capsys, "upsample", second, "--model", model, "--factor", 2, "-o", tmp_path / "2.nii")
    assert code == 0, err


def test_conventional_methods_do_not_wait_for_torch(scan, tmp_path):
    """In a process of its own, as a shell starts it; also: no remark of a library reaches the user."""
    command = (
        "import sys; from interslice.cli import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    arguments = [
        "upsample",
        str(scan),
        "--factor",
        "2",
        "-o",
        str(tmp_path / "fine.nii"),
        "--fast",
        "--quiet",
    ]
    done = subprocess.run([sys.executable, "-c", command, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# What a person may get wrong: how to make it (in a folder), the arguments, and what the sentence must say.


def image(data, affine=PLAIN):
    return lambda folder: saved(nib.Nifti1Image(data, affine), folder / "bad.nii")


def content(name, data):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return make


def cut_gzip(folder):
    path = saved(nifti(), folder / "whole.nii.gz")
    (folder / "bad.nii.gz").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return folder / "bad.nii.gz"


def damaged_gzip(folder):
    path = saved(nifti(), folder / "whole.nii.gz")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    (folder / "bad.nii.gz").write_bytes(data)
    return folder / "bad.nii.gz"


def header_bytes(**fields):
    """A scan whose header says something that cannot be."""

    def make(folder):
        path = saved(nifti(), folder / "bad.nii")
        header = nib.Nifti1Header(path.read_bytes()[:348], check=False)
        for field, (index, value) in fields.items():
            header[field][index] = value
        path.write_bytes(header.binaryblock + path.read_bytes()[348:])
        return path

    return make


def packed(name):
    """A gzip file that is called `name`."""

    def make(folder):
        path = saved(nifti(), folder / "whole.nii.gz")
        return path.rename(folder / name)

    return make


def not_packed(folder):
    return saved(nifti(), folder / "plain.nii").rename(folder / "bad.nii.gz")


def huge_gzip(folder):
    path = header_bytes(dim=(slice(1, 4), 20000))(folder)
    (folder / "bad.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    return folder / "bad.nii.gz"


def singular_affine(folder):
    image = nifti()
    image.set_sform([[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], code=2)
    return saved(image, folder / "bad.nii")


def colour(folder):
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return saved(nib.Nifti1Image(np.zeros(SHAPE, kind), PLAIN), folder / "bad.nii")


def with_value(value):
    data = values(np.float32)
    data[3, 3, 3] = value
    return image(data)


def series(change):
    """A DICOM series, changed."""

    def make(folder):
        paths = write_dicom_series(folder / "bad", ellipsoids((6, 20, 18))[..., None], trigger=False)
        change(folder / "bad", paths)
        return folder / "bad"

    return make


def mix(folder, paths):
    write_dicom_series(folder / "b", ellipsoids((4, 20, 18))[..., None], trigger=False, description="T2")
    for path in (folder / "b").iterdir():
        path.rename(folder / f"b-{path.name}")
    (folder / "b").rmdir()


def shift_last_slice(folder, paths):
    import pydicom

    position = pydicom.dcmread(paths[-1]).ImagePositionPatient
    edit_dicom(paths[-1], ImagePositionPatient=[float(value) + 1.3 for value in position])


def truncated_slice(folder, paths):
    paths[2].write_bytes(paths[2].read_bytes()[:-100])


def looped_link(folder):
    (folder / "loop.nii").symlink_to("loop.nii")
    return folder / "loop.nii"


def flat_metaimage(folder):
    sitk.WriteImage(sitk.GetImageFromArray(values(np.float32)[:, :, 0]), str(folder / "flat.mha"))
    return folder / "flat.mha"


def broken_compression(folder, paths):
    from pydicom import dcmread, encaps, uid

    for path in paths:
        image = dcmread(path)
        image.file_meta.TransferSyntaxUID = uid.JPEGLSLossless
        image.PixelData = encaps.encapsulate([bytes(80)])
        image["PixelData"].is_undefined_length = True
        image.save_as(path)


def without_voxels(folder):
    sitk.WriteImage(sitk.GetImageFromArray(values().T), str(folder / "bad.mhd"))
    (folder / "bad.raw").unlink()
    return folder / "bad.mhd"


def short_voxels(folder):
    sitk.WriteImage(sitk.GetImageFromArray(values().T), str(folder / "bad.mhd"))
    (folder / "bad.raw").write_bytes(bytes(500))
    return folder / "bad.mhd"


VOID = np.zeros((0, 5, 5), np.int16)
BAD_SCANS = {
    "unknown_form": (header_bytes(sform_code=((), 9)), "bad.nii: found sform_code 9 in the header, allowed are 0 to 5"),
    "metaimage_without_voxels": (without_voxels, "bad.raw, which is not there"),
    "metaimage_of_short_voxels": (short_voxels, "bad.mhd: found 20x18x7 voxels in the header (5040 bytes), the file holds"),
    "metaimage_without_fields": (content("bad.mha", b"NDims = 3\n"), "bad.mha: found no DimSize in the header, needed"),
    "mgh_of_zeros": (content("bad.mgh", bytes(400)), "bad.mgh: not a readable image"),
    "minc_without_its_library": (content("bad.mnc", b"\x89HDF" + bytes(100)), "bad.mnc: not a readable image"),
    "missing_file": (lambda folder: folder / "none.nii", r"none.nii: no such file"),
    "not_an_image": (content("bad.nii", b"hello" * 200), "bad.nii: not a readable image"),
    "another_suffix": (content("bad.txt", b"hello"), "bad.txt: not a readable image"),
    "empty_file": (content("bad.nii.gz", b""), "bad.nii.gz: not a readable image"),
    "gzip_without_its_suffix": (packed("bad.nii"), "bad.nii: is compressed by gzip, which its name does not say; rename"),
    "suffix_without_its_gzip": (
        not_packed,
        "bad.nii.gz: not a readable image (not compressed by gzip, which its name says; an uncompressed image is bad.nii)",
    ),
    "cut_gzip": (cut_gzip, "bad.nii.gz: not a readable image"),
    "damaged_gzip": (damaged_gzip, "bad.nii.gz: not a readable image"),
    "cut_file": (
        lambda folder: content("bad.nii", saved(nifti(), folder / "w.nii").read_bytes()[:3000])(folder),
        "the file holds at most 3000",
    ),
    "1d": (image(np.arange(9, dtype=np.int16)), "found 1-D data of shape (9,)"),
    "2d": (image(np.zeros((9, 9), np.int16)), "found 2-D data of shape (9, 9)"),
    "5d": (image(np.zeros((4, 4, 4, 2, 2), np.int16)), "found 5-D data of shape (4, 4, 4, 2, 2)"),
    "vectors": (image(np.zeros((4, 4, 4, 1, 3), np.int16)), "found 5-D data of shape (4, 4, 4, 1, 3)"),
    "colour": (colour, "found colour voxels (R, G, B)"),
    "empty": (header_bytes(dim=(1, 0)), "bad.nii: "),
    "one_slice": (image(np.arange(81, dtype=np.int16).reshape(9, 9, 1)), "found 1 slice along axis k"),
    "nan": (image(np.full(SHAPE, np.nan, np.float32)), "every voxel is NaN"),
    "infinite": (with_value(np.inf), "found 1 infinite voxels"),
    "constant": (image(np.full(SHAPE, 7, np.int16)), "every voxel is 7, contrast is needed"),
    "negative_spacing": (header_bytes(pixdim=(3, -5)), "found voxel sizes"),
    "zero_spacing": (header_bytes(pixdim=(3, 0)), "found voxel sizes"),
    "nan_spacing": (header_bytes(pixdim=(1, np.nan)), "found voxel sizes"),
    "zero_affine": (header_bytes(srow_x=(0, 0), srow_y=(0, 0), srow_z=(0, 0)), "found voxel sizes [0.0, "),
    "singular_affine": (singular_affine, "the affine maps the volume onto a plane"),
    "unreasonable_size": (header_bytes(dim=(slice(1, 4), 20000)), "found 20000x20000x20000 voxels"),
    "unreasonable_size_gzipped": (huge_gzip, "found 20000x20000x20000 voxels in the header"),
    "negative_size": (header_bytes(dim=(2, -4)), "bad.nii: "),
    "unknown_type": (header_bytes(datatype=((), 77)), "bad.nii: not a readable image"),
    "empty_folder": (lambda folder: (folder / "bad").mkdir() or folder / "bad", "found no DICOM image"),
    "mixed_series": (series(mix), "found 2 mixed series"),
    "missing_slice": (series(lambda folder, paths: paths[2].unlink()), "found 1 missing slice(s)"),
    "shifted_slice": (series(shift_last_slice), "found slices shifted in plane"),
    "one_dicom_slice": (
        series(lambda folder, paths: [path.unlink() for path in paths[1:]]), "found 1 slice, a stack needs",
    ),
    "link_to_itself": (looped_link, "loop.nii: no such file"),
    "bzip2": (lambda folder: saved(nifti(), folder / "bad.nii.bz2"), "bad.nii.bz2: found .bz2, of compressed files .gz is"),
    "unknown_unit": (header_bytes(xyzt_units=((), 7)), "bad.nii: found code 7 of a unit in the header"),
    "flat_metaimage": (flat_metaimage, "flat.mha: found 2-D data, allowed are 3-D and 4-D images"),
    "broken_compression": (series(broken_compression), "(compressed as JPEG-LS Lossless Image Compression; dcm2niix"),
    "cut_dicom": (series(truncated_slice), "the pixels cannot be read"),
}  # fmt: skip


def refused(capsys, folder, arguments, sentence):
    """Exit code 2, one line that says `sentence`, and nothing new or changed in `folder`."""

    def listing():
        return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}

    before = listing()
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, ""), err
    assert sentence in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert listing() == before


@pytest.mark.parametrize("name", BAD_SCANS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_scans_are_refused_with_one_sentence(tmp_path, capsys, name):
    make, sentence = BAD_SCANS[name]
    source = make(tmp_path)
    refused(capsys, tmp_path, ["upsample", source, "--factor", 2, "-o", tmp_path / "fine.nii"], sentence)


BAD_CHOICES = {
    "factor_0": (["--factor", 0], "factor: found 0, allowed are whole numbers from 2 to 32"),
    "factor_1": (["--factor", 1], "factor: found 1, allowed"),
    "factor_negative": (["--factor", -4], "factor: found -4, allowed"),
    "factor_2.5": (["--factor", 2.5], "factor: found 2.5, allowed"),
    "factor_1000": (["--factor", 1000], "factor: found 1000, allowed"),
    "factor_text": (["--factor", "two"], "factor: found two, allowed"),
    "factor_nan": (["--factor", "nan"], "factor: found nan, allowed"),
    "spacing_0": (["--spacing", 0], "spacing: found 0, allowed are millimetres above 0"),
    "spacing_text": (["--spacing", "x"], "argument --spacing: invalid float value: 'x'"),
    "spacing_coarser": (["--spacing", 5], "the slices are 5 mm apart already"),
    "spacing_finest": (["--spacing", 0.01], "5 mm to 0.01 mm is a factor of 500, allowed is up to 32"),
    "isotropic_and_factor": (["--isotropic", "--factor", 2], "found more than one of --factor, --spacing"),
    "spacing_and_factor": (
        ["--spacing", 1, "--factor", 2],
        "found more than one of --factor, --spacing and --isotropic",
    ),
    "axis": (["--axis", "z"], "axis: found 'z', allowed are i, j, k, sagittal, coronal, axial"),
    "method": (
        ["--method", "magic"],
        "method: found 'magic', allowed are auto, bspline, lanczos, linear, nearest",
    ),
    "control": (["--method", "oracle"], "method: found 'oracle', allowed"),
    "no_model": (
        ["--method", "cae"],
        "method cae: is a trained method, it needs --train-here or --model, a file or one of cae_K2, cae_K4",
    ),
    "model_missing": (["--model", "none.pt"], "model: found no file none.pt"),
    "model_and_training": (["--model", "x.pt", "--train-here"], "found both --model and --train-here"),
    "also_alone": (["--also", "x.nii"], "found --also without --train-here"),
    "save_alone": (["--save-model", "x.pt"], "found --save-model without --train-here"),
    "train_bspline": (["--train-here", "--method", "bspline"], "--train-here: found method bspline"),
    "minutes": (["--train-here", "--minutes", -1], "minutes: found -1, allowed"),
    "few_slices": (["--train-here", "--check"], "found 7 slices, training on it needs at least 9"),
    "suffix": (
        ["-o", "fine.png"],
        "output: found fine.png, allowed are names that end in .nii, .nii.gz, .mgz",
    ),
    "preview_suffix": (["--preview", "p.bmp"], "preview: found p.bmp, allowed are names that end in .png"),
    "jobs": (["--jobs", 0], "jobs: found 0, allowed are whole numbers from 1"),
    "of_a_training": (["--minutes", 5], "found --minutes without --train-here"),
    "empty_output": (["--preview", ""], "argument --preview: found an empty name, allowed is a path"),
    "seed": (["--train-here", "--seed", -1], "seed: found -1, allowed are whole numbers from 0"),
    "of_a_folder": (["--exclude", "x"], "found --exclude with one scan, allowed is it for a folder of scans"),
    "subjects": (["--participant-label", "1"], "found --participant-label with one scan"),
    "of_dicom": (["--series", "2"], "is no DICOM series, whose headers --series needs"),
    "unknown_option": (["--colour"], "unrecognized arguments: --colour"),
}


@pytest.mark.parametrize("name", BAD_CHOICES)
def test_bad_choices_are_refused_with_one_sentence(scan, tmp_path, capsys, name):
    arguments, sentence = BAD_CHOICES[name]
    output = [] if "-o" in arguments else ["-o", tmp_path / "fine.nii"]
    refused(capsys, tmp_path, ["upsample", scan, *output, *arguments], sentence)


def test_what_is_of_nifti_is_refused_for_dicom(tmp_path, capsys):
    write_dicom_series(tmp_path / "series", ellipsoids((4, 20, 18))[..., None], trigger=False)
    for source, output in ((tmp_path / "series", "fine.nii"), (tmp_path, "folder")):
        arguments = ["upsample", source, "--trust", "sform", "-o", tmp_path / output]
        refused(
            capsys, tmp_path, arguments, f"{source}: found --trust for DICOM, whose headers say one geometry"
        )
    with pytest.raises(interslice.InputError, match="is no DICOM series, whose headers --series needs"):
        interslice.read(saved(nifti(), tmp_path / "scan.nii"), series="2")


def test_bad_outputs_are_refused(scan, tmp_path, capsys):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "old.nii").write_text("something of value")
    (tmp_path / "link.nii.gz").symlink_to(scan)
    (tmp_path / "folder.nii").mkdir()
    below = tmp_path / "file" / "sub" / "fine.nii"
    for arguments, sentence in [
        (["-o", scan], f"output: {scan} is an input, allowed is another file"),
        (["-o", tmp_path / "link.nii.gz"], "link.nii.gz is an input"),
        (["-o", tmp_path / "x" / ".." / "scan.nii.gz"], "is an input"),
        (["-o", below], f"{below}: cannot be written, because {tmp_path / 'file'} is not a folder"),
        (["-o", tmp_path / "old.nii"], "old.nii exists already; --force overwrites it"),
        (["-o", tmp_path / "folder.nii"], "folder.nii: is a folder, allowed is a file name"),
        (["-o", tmp_path / "a.nii", "--uncertainty", tmp_path / "a.nii"], "a.nii is asked for twice"),
        (["-o", tmp_path / "a.nii", "--preview", below.with_suffix(".png")], "is not a folder"),
        (["-o", tmp_path / os.fsdecode(b"\xff.mha")], "its name is not UTF-8, allowed for this format"),
        ([], "found no output, -o FILE is needed (or --check alone)"),
        (["--check", "--preview", tmp_path / "p.png"], "found --preview without -o, it is of a result"),
    ]:
        refused(capsys, tmp_path, ["upsample", scan, "--factor", 2, *arguments], sentence)
    refused(capsys, tmp_path, ["upsample", tmp_path / "gone", "-o", "x"], "gone: no such file or folder")
    refused(capsys, tmp_path, ["upsample"], "the following arguments are required: SCAN")
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert all(name in err for name in ("usage: interslice", "upsample", "bids"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(scan, tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(capsys, tmp_path, ["upsample", scan, "-o", tmp_path / "locked" / "a.nii"], "cannot be written to")


def test_bad_models_are_refused(scan, tmp_path, capsys):
    import torch

    good = random_model(tmp_path / "good.pt")
    state = torch.load(good, weights_only=True)
    (tmp_path / "cut.pt").write_bytes(good.read_bytes()[:5000])
    (tmp_path / "text.pt").write_text("not a checkpoint")
    torch.save({"weights": {}}, tmp_path / "foreign.pt")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "script.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    torch.save(state | {"format": 99}, tmp_path / "future.pt")
    wide = state | {"settings": state["settings"] | {"network": state["settings"]["network"] | {"latent": 4}}}
    torch.save(wide, tmp_path / "other.pt")
    torch.save(state | {"settings": {"method": "magic"}}, tmp_path / "unknown.pt")
    torch.save({"format": 1, "weights": {}}, tmp_path / "bare.pt")
    torch.save(state | {"settings": {"method": "cae"}}, tmp_path / "hollow.pt")
    for arguments, sentence in [
        (["--model", tmp_path / "cut.pt"], "cut.pt: not a readable checkpoint"),
        (["--model", tmp_path / "text.pt"], "text.pt: not a readable checkpoint"),
        (["--model", scan], "not a readable checkpoint of interslice, it is cut or of another program\n"),
        (
            ["--model", tmp_path / "script.pt"],
            "script.pt: not a readable checkpoint of interslice, it is cut or of another program\n",
        ),
        (
            ["--model", tmp_path / "module.pt"],
            "module.pt: not a readable checkpoint of interslice, it is cut or of another program\n",
        ),
        (["--model", tmp_path / "foreign.pt"], "foreign.pt: found a checkpoint of another program"),
        (["--model", tmp_path / "future.pt"], "future.pt: found checkpoint format 99, allowed is 1"),
        (["--model", tmp_path / "other.pt"], "other.pt: the weights do not fit the cae network"),
        (["--model", tmp_path / "unknown.pt"], "unknown.pt: found a checkpoint of method magic, allowed are"),
        (["--model", tmp_path / "bare.pt"], "bare.pt: found a checkpoint of method None"),
        (["--model", tmp_path / "hollow.pt"], "hollow.pt: the weights do not fit the cae network"),
        (["--model", tmp_path], "found a folder, allowed is a checkpoint file"),
        (["--model", good, "--method", "bspline"], "with method bspline, which is not trained"),
    ]:
        arguments = ["upsample", scan, "--factor", 2, "-o", tmp_path / "fine.nii", *arguments]
        refused(capsys, tmp_path, arguments, sentence)


def test_what_lies_beside_the_output_is_not_overwritten_either(scan, tmp_path, capsys):
    (tmp_path / "scan.bval").write_text("0 1000")
    for name in ("fine.bval", "fine_odd-slices.tfm"):
        (tmp_path / name).write_text("of value")
        arguments = ["upsample", scan, "--factor", 2, "--correct-motion", "-o", tmp_path / "fine.nii"]
        refused(capsys, tmp_path, arguments, f"{name} exists already; --force overwrites it")
        (tmp_path / name).unlink()


def test_the_other_file_of_a_pair_is_not_overwritten_either(tmp_path, capsys):
    """Header and voxels have names of their own: of the input, and of what is there already."""
    source = saved(nib.Nifti1Pair(values(), PLAIN), tmp_path / "scan.hdr")
    for name, other in (("scan.img", "scan.img"), ("fine.hdr", "fine.img"), ("fine.mhd", "fine.raw")):
        if name.startswith("fine"):
            (tmp_path / other).write_text("of value")
        sentence = f"{other} exists already" if name.startswith("fine") else f"{name} is an input"
        force = [] if name.startswith("fine") else ["--force"]
        refused(
            capsys, tmp_path, ["upsample", source, "--factor", 2, *force, "-o", tmp_path / name], sentence
        )
    for name in ("FINE.IMG", "other.mhd"):
        assert run(capsys, "upsample", source, "--factor", 2, "--fast", "-o", tmp_path / "new" / name)[0] == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "FINE.IMG",
        "FINE.HDR",
        "other.mhd",
        "other.raw",
    }


def test_slices_of_one_pixel_are_slices(tmp_path, capsys):
    """A profile through a body: no movement can be seen in it, and none is looked for."""
    source = saved(nifti(shape=(1, 18, 9)), tmp_path / "profile.nii")
    assert (
        run(capsys, "upsample", source, "--factor", 2, "--method", "linear", "-o", tmp_path / "f.nii")[0] == 0
    )


def test_memory_that_does_not_suffice_is_one_sentence(scan, tmp_path, capsys, monkeypatch):
    def allocate(*arguments):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr("interslice.scan.command.upsample_scan", allocate)
    arguments = ["upsample", scan, "--factor", 2, "--fast", "--quiet", "-o", tmp_path / "fine.nii"]
    refused(capsys, tmp_path, arguments, "the memory does not suffice (Unable to allocate 9 GiB)")


def test_a_scan_that_would_not_fit_into_memory_is_refused(scan, tmp_path, capsys, monkeypatch):
    class Little:
        available = 100_000

    monkeypatch.setattr("psutil.virtual_memory", lambda: Little)
    arguments = ["upsample", scan, "--factor", 30, "-o", tmp_path / "fine.nii"]
    refused(capsys, tmp_path, arguments, "GiB of memory are needed")


def test_a_disk_that_is_full_is_one_sentence_and_leaves_nothing(scan, tmp_path, capsys, monkeypatch):
    def write(image, path, **options):
        Path(path).write_bytes(b"half of it")
        raise RuntimeError("Exception thrown in ITK\n  in its code\nITK ERROR: stream is fail after write")

    def save(image, path):
        Path(path).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("interslice.scan.scans.nib.save", save)
    full = "not written, its file system is full or a quota is reached"
    options = ["--factor", 2, "--fast", "--quiet"]
    for name in ("fine.nii", "new/deeper/fine.nii", "new/fine.hdr"):
        refused(capsys, tmp_path, ["upsample", scan, *options, "-o", tmp_path / name], f"{name}: {full}")
    monkeypatch.setattr("SimpleITK.WriteImage", write)
    found = shutil.disk_usage(tmp_path)
    for free, said in ((found.free, "cannot be written (ITK ERROR: stream is fail after write)"), (0, full)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: found._replace(free=free))
        for name in ("fine.mha", "new/fine.mhd"):
            refused(capsys, tmp_path, ["upsample", scan, *options, "-o", tmp_path / name], f"{name}: {said}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_no_file(scan, tmp_path, capsys):
    """Nothing waits for a writer that never comes, and a pipe is not replaced by a file."""
    for name in ("pipe.nii", "pipe.pt"):
        os.mkfifo(tmp_path / name)
    output = ["-o", tmp_path / "fine.nii"]
    for arguments, sentence in [
        ([tmp_path / "pipe.nii", *output], "pipe.nii: is neither a file nor a folder"),
        ([tmp_path / "pipe.nii", "--list"], "pipe.nii: found neither a file nor a folder"),
        ([scan, "--force", "-o", tmp_path / "pipe.nii"], "pipe.nii: is no regular file, allowed is a file name"),
        ([scan, *output, "--model", tmp_path / "pipe.pt"], "pipe.pt: found no regular file, allowed is a checkpoint"),
    ]:  # fmt: skip
        refused(capsys, tmp_path, ["upsample", *arguments], sentence)


def test_the_installed_command_prints_one_sentence_and_exits_with_2(tmp_path):
    command = Path(sys.executable).with_name("interslice")
    done = subprocess.run([command, "upsample", "none.nii", "-o", "x.nii"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "none.nii: no such file or folder\n"
    version = subprocess.run([command, "--version"], capture_output=True, text=True)
    assert version.stdout.startswith("interslice ")
    assert json.loads("0") == version.returncode


def test_every_option_in_the_documentation_exists(capsys):
    """docs/own-scan.md against the parser: a renamed option must not survive in the examples."""
    text = (Path(__file__).parents[2] / "docs" / "own-scan.md").read_text()
    with pytest.raises(SystemExit) as left:
        main(["upsample", "--help"])
    assert left.value.code == 0
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert len(used) > 10
    assert used <= known
