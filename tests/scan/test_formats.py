"""Formats in and out: other programs find the same values at the same places; complex voxels; axes of length 1."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

import interslice
from interslice.cli import main
from interslice.common.errors import InputError
from interslice.scan.formats import write_scan
from interslice.scan.scans import read_scan, scan_from_image
from scan_files import FILES, PLAIN, ROTATED, SHAPE, nifti, saved, values

ITK = (".nrrd", ".mha", ".mhd")
WRITTEN = (*ITK, ".mgz", ".mgh", ".img", ".hdr", ".nii", ".nii.gz")


def upsample(*arguments):
    return main(["upsample", *map(str, arguments), "--factor", "2", "--fast", "--quiet"])


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("name", ["oblique", "series_4d", "scaled"])
def test_what_is_written_is_what_nifti_would_have_been(tmp_path, suffix, name):
    """Read by SimpleITK where it is its format, by nibabel where it is its; corners of the grid in mm of the world."""
    source = FILES[name](tmp_path)
    target = tmp_path / "made" / f"fine{suffix}"
    assert upsample(source, "-o", target) == 0
    assert upsample(source, "-o", tmp_path / "fine.nii.gz") == 0
    expected = nib.load(tmp_path / "fine.nii.gz")
    corners = list(itertools.product(*((0, length - 1) for length in expected.shape[:3])))
    places = nib.affines.apply_affine(expected.affine, corners)
    if suffix in ITK:
        found = sitk.ReadImage(str(target))
        time = [0] * (found.GetDimension() - 3)
        shown = [found.TransformIndexToPhysicalPoint([*corner, *time])[:3] for corner in corners]
        np.testing.assert_allclose(np.array(shown) * [-1, -1, 1], places, atol=1e-3)
        data = sitk.GetArrayFromImage(found).T
    else:
        found = nib.load(target)
        np.testing.assert_allclose(nib.affines.apply_affine(found.affine, corners), places, atol=1e-3)
        data = found.get_fdata()
    np.testing.assert_allclose(data, expected.get_fdata(), rtol=1e-6)
    assert {path.name for path in target.parent.iterdir()} <= {"fine" + end for end in (*WRITTEN, ".raw")}


@pytest.mark.parametrize("suffix", ITK)
@pytest.mark.parametrize("name", ["oblique", "flipped_slices", "uint16", "float64"])
def test_other_formats_are_read_as_their_nifti(tmp_path, suffix, name):
    source = FILES[name](tmp_path)
    image = sitk.ReadImage(str(source))
    for key in image.GetMetaDataKeys():  # of NIfTI, which NRRD would carry along
        image.EraseMetaData(key)
    sitk.WriteImage(image, str(tmp_path / f"scan{suffix}"))
    for file, target in ((source, "a.nii.gz"), (tmp_path / f"scan{suffix}", "b.nii.gz")):
        assert upsample(file, "-o", tmp_path / target) == 0
    first, second = (nib.load(tmp_path / f"{letter}.nii.gz") for letter in "ab")
    np.testing.assert_allclose(second.affine, first.affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(second.dataobj), np.asarray(first.dataobj))
    assert second.get_data_dtype() == first.get_data_dtype()


def test_frames_of_slicer_are_values_of_a_voxel_and_colours_are_refused(tmp_path):
    frames = sitk.Compose([sitk.GetImageFromArray(values().T * (1 + frame)) for frame in range(4)])
    sitk.WriteImage(frames, str(tmp_path / "series.nrrd"))
    scan = read_scan(tmp_path / "series.nrrd", "k")
    expected = np.stack([values() * (1 + frame) for frame in range(4)], 3)
    np.testing.assert_array_equal(scan.stored, expected)
    np.testing.assert_array_equal(interslice.read(tmp_path / "series.nrrd").dataobj, expected)
    colour = sitk.Compose([sitk.GetImageFromArray(values(np.uint8).T)] * 3)
    sitk.WriteImage(colour, str(tmp_path / "colour.mha"))
    with pytest.raises(InputError, match=r"colour.mha: found colour voxels \(3 values each\)"):
        read_scan(tmp_path / "colour.mha")
    (tmp_path / "bad.nrrd").write_text("NRRD0004\nnonsense")
    with pytest.raises(InputError, match="bad.nrrd: not a readable image"):
        read_scan(tmp_path / "bad.nrrd")


def test_a_simpleitk_image_is_taken_as_it_is(tmp_path):
    source = FILES["oblique"](tmp_path)
    fine = interslice.upsample(sitk.ReadImage(str(source)), 2, "linear")
    expected = interslice.upsample(source, 2, "linear")
    np.testing.assert_array_equal(np.asarray(fine.dataobj), np.asarray(expected.dataobj))
    np.testing.assert_allclose(fine.affine, expected.affine, atol=1e-4)


def test_64_bits_and_the_time_of_a_frame_come_back(tmp_path):
    large = np.stack([values(np.int64) * 10**12, values(np.int64)], 3)
    image = nib.Nifti1Image(large, PLAIN, dtype=np.int64)
    image.header.set_zooms((*image.header.get_zooms()[:3], 2.5))
    for suffix in (".nrrd", ".mha"):
        write_scan(scan_from_image(image, "large"), tmp_path / f"large{suffix}")
        scan = read_scan(tmp_path / f"large{suffix}")
        np.testing.assert_array_equal(scan.stored, large)
        assert scan.stored.dtype == np.int64
        assert scan.header.get_zooms()[3] == 2.5


@pytest.mark.parametrize("suffix", [".mgz", ".nrrd", ".mha", ".nii"])
def test_a_frame_lasts_as_long_in_every_format(tmp_path, suffix):
    """MGH counts milliseconds, NIfTI as its header says, ours are seconds where a format says nothing."""
    image = nifti(shape=(*SHAPE, 2))
    image.header.set_zooms((*image.header.get_zooms()[:3], 2500))
    image.header.set_xyzt_units("mm", "msec")
    write_scan(scan_from_image(image, "series"), tmp_path / f"series{suffix}")
    assert read_scan(tmp_path / f"series{suffix}").frame_seconds == [2.5]
    if suffix == ".mgz":
        assert nib.load(tmp_path / "series.mgz").header.get_zooms()[3] == 2500


def test_large_values_do_not_become_infinite(tmp_path):
    """1e37 x 200 is beyond 32 bits."""
    scan = scan_from_image(nifti(scaling=(1e37, 0)), "large")
    scan = replace(scan, slope=1e37)
    write_scan(scan, tmp_path / "large.nrrd")
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "large.nrrd"))).T
    np.testing.assert_allclose(found, values() * 1e37)
    with pytest.raises(InputError, match="large: MGH files hold no float64 values"):
        write_scan(scan, tmp_path / "large.mgz")


def test_headers_in_text_are_read_for_what_itk_leaves_out(tmp_path):
    header = (
        "NRRD0005\ntype: short\ndimension: 3\nsizes: 20 18 7\nendian: little\nencoding: raw\n{}"
        "DWMRI_b-value:=1000\nDWMRI_gradient_0000:=1 0 0\n\n"
    )
    space = "space: right-anterior-superior\nspace units: {}\nspace directions: (.001,0,0) (0,.001,0) (0,0,.005)\n"

    def read(fields):
        path = tmp_path / "scan.nrrd"
        path.write_bytes(header.format(fields).encode() + values().astype("<i2").tobytes(order="F"))
        return read_scan(path)

    scan = read(space.format('"m" "m" "m"'))
    np.testing.assert_allclose(scan.spacing_mm, (1, 1, 5), rtol=1e-6)
    assert scan.remarks == (
        "2 key/value pair(s) of the header are for NRRD alone (DWMRI_b-value, DWMRI_gradient_0000)",
    )
    assert read("").remarks[0] == "the header says no voxel sizes, 1 mm is taken"
    with pytest.raises(
        InputError, match="scan.nrrd: found units furlong of the axes, allowed is one of mm, cm"
    ):
        read(space.format('"furlong" "furlong" "furlong"'))


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_voxels_are_one_sentence_and_itk_is_not_asked(tmp_path, capfd, name, compressed):
    """It would write lines of its own, and give 0 for what it could not unpack."""
    path = tmp_path / name
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 99, (7, 18, 20)).astype(np.int16))
    sitk.WriteImage(image, str(path), useCompression=compressed)
    whole = path.read_bytes()
    middle = len(whole) - 600
    damaged = {"cut": whole[:-1], "half": whole[:middle]}
    if compressed:
        damaged["changed"] = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for content in damaged.values():
        path.write_bytes(content)
        assert upsample(path, "-o", tmp_path / "fine.nii") == 2
        said = capfd.readouterr().err
        assert said.startswith(f"{path}: ")
        assert said.count("\n") == 1
    path.write_bytes(whole)
    assert upsample(path, "--axis", "k", "-o", tmp_path / "fine.nii") == 0


def test_a_diffusion_scan_of_slicer_keeps_its_gradients(tmp_path):
    """Their frame in ITK's space, and the values of a voxel as such; what counts slices goes."""
    data = np.stack([values(), values() // 2])
    pairs = [
        "modality:=DWMRI",
        "DWMRI_gradient_0001:=0 .6 .8",
        r"note:=a: b\\n:= ä",
        "Segment0_Extent:=0 19 0 17 0 6",
    ]
    header = [
        "NRRD0005", "type: short", "dimension: 4", "space: right-anterior-superior", "sizes: 2 20 18 7",
        "space directions: none (1,0,0) (0,1,0) (0,0,5)", "kinds: list domain domain domain", "endian: little",
        "encoding: raw", "measurement frame: (0,1,0) (1,0,0.5) (0,0,1)", *pairs,
    ]  # fmt: skip
    source, target = tmp_path / "dwi.nrrd", tmp_path / "fine.nrrd"
    source.write_bytes("\n".join(header).encode() + b"\n\n" + data.astype("<i2").tobytes(order="F"))
    assert upsample(source, "-o", target) == 0
    assert upsample(source, "-o", tmp_path / "fine.nii.gz") == 0
    lines = target.read_bytes().split(b"\n\n")[0].decode().split("\n")
    assert lines[-5:] == [
        "measurement frame: (0,-1,0) (-1,0,0.5) (0,0,1)",
        "kinds: list domain domain domain",
        *pairs[:3],
    ]
    found, expected = sitk.ReadImage(str(target)), nib.load(tmp_path / "fine.nii.gz")
    assert (found.GetDimension(), found.GetMetaData("modality")) == (3, "DWMRI")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found).transpose(2, 1, 0, 3), expected.dataobj)
    np.testing.assert_allclose(read_scan(target).affine, expected.affine)


def test_overlapping_segments_of_slicer_are_label_maps_and_no_colours(tmp_path):
    layers = np.zeros((2, 20, 18, 7), dtype=np.uint8)
    layers[0, 4:12, 4:12, 1:5], layers[1, 8:16, 6:14, 2:6] = 1, 2
    header = (
        "NRRD0004\ntype: uint8\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 20 18 7\nencoding: raw\n"
        "space directions: none (1,0,0) (0,1,0) (0,0,5)\nkinds: list domain domain domain\nspace origin: (0,0,0)\n"
        "Segment0_LabelValue:=1\nSegment0_Extent:=4 11 4 11 1 4\n\n"
    )
    source, target = tmp_path / "scan.seg.nrrd", tmp_path / "fine.seg.nrrd"
    source.write_bytes(header.encode() + layers.tobytes(order="F"))
    assert upsample(source, "-o", target) == 0
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(target)))
    assert found.shape == (13, 18, 20, 2)
    assert [sorted(np.unique(found[..., layer])) for layer in (0, 1)] == [[0, 1], [0, 2]]
    written = target.read_bytes().split(b"\n\n")[0]
    assert b"Segment0_LabelValue:=1" in written
    assert b"Extent" not in written
    source.write_bytes(header.replace("kinds: list", "kinds: RGB-color").encode() + layers.tobytes(order="F"))
    assert upsample(source, "--force", "-o", target) == 2


def test_a_name_that_itk_cannot_take_is_refused(tmp_path):
    """SimpleITK would end the program."""
    path = tmp_path / os.fsdecode(b"sch\xe4del.nrrd")
    write_scan(scan_from_image(nifti(), "scan"), tmp_path / "scan.nrrd")
    (tmp_path / "scan.nrrd").rename(path)
    with pytest.raises(InputError, match="its name is not UTF-8"):
        read_scan(path)


def test_mgh_holds_every_value_or_says_that_it_cannot(tmp_path):
    large = scan_from_image(nib.Nifti1Image(values(np.uint16) + np.uint16(60000), PLAIN), "large")
    write_scan(large, tmp_path / "large.mgz")
    found = nib.load(tmp_path / "large.mgz")
    assert found.get_data_dtype() == np.dtype(">i4")
    np.testing.assert_array_equal(np.asarray(found.dataobj), large.stored)
    fine = scan_from_image(nib.Nifti1Image(np.random.default_rng(0).random(SHAPE), PLAIN), "fine")
    with pytest.raises(InputError, match="MGH files hold no float64 values"):
        write_scan(fine, tmp_path / "fine.mgz")
    turned = scan_from_image(nib.Nifti1Image(values(np.complex64), PLAIN), "complex")
    with pytest.raises(InputError, match="complex: MetaImage files hold no complex64 values"):
        write_scan(turned, tmp_path / "fine.mha")
    assert [path.name for path in tmp_path.iterdir()] == ["large.mgz"]


def test_complex_voxels_are_interpolated_as_real_and_imaginary_part(tmp_path):
    real, imaginary = values(np.float32), values(np.float32)[::-1, :, ::-1].copy()
    wave = nib.Nifti1Image((real + 1j * imaginary).astype(np.complex64), ROTATED)
    fine = interslice.upsample(wave, spacing=1.7, method="bspline")
    assert fine.get_data_dtype() == np.complex64
    parts = [
        interslice.upsample(nib.Nifti1Image(part, ROTATED), spacing=1.7, method="bspline").get_fdata()
        for part in (real, imaginary)
    ]
    found = np.asarray(fine.dataobj)
    np.testing.assert_array_equal(found.real, parts[0])
    np.testing.assert_array_equal(found.imag, parts[1])
    source = saved(wave, tmp_path / "wave.nii.gz")
    options = [
        "--factor",
        "2",
        "--check",
        "--preview",
        tmp_path / "p.png",
        "--uncertainty",
        tmp_path / "u.nii",
    ]
    assert (
        main(["upsample", str(source), "-o", str(tmp_path / "fine.nii"), *map(str, options), "--quiet"]) == 0
    )
    assert nib.load(tmp_path / "fine.nii").get_data_dtype() == np.complex64


@pytest.mark.parametrize("extra", [(1,), (1, 1), (3, 1), (3, 1, 1)])
def test_axes_of_length_one_after_the_fourth_do_not_matter(tmp_path, extra):
    frames = np.stack([values()] * extra[0], 3).reshape(*SHAPE, *extra)
    fine = interslice.upsample(saved(nib.Nifti1Image(frames, PLAIN), tmp_path / "a.nii"), 2, "linear")
    assert fine.shape == (*SHAPE[:2], 13, *extra[:1])
    np.testing.assert_array_equal(np.asarray(fine.dataobj)[:, :, ::2, 0], values())


def test_suffixes_in_capitals_are_suffixes(tmp_path):
    saved(nifti(), tmp_path / "a.nii.gz").rename(tmp_path / "SCAN.NII.GZ")
    assert upsample(tmp_path / "SCAN.NII.GZ", "-o", tmp_path / "FINE.NII.GZ") == 0
    (tmp_path / "FINE.NII.GZ").rename(tmp_path / "b.nii.gz")
    assert nib.load(tmp_path / "b.nii.gz").shape == (*SHAPE[:2], 13)
    sitk.WriteImage(sitk.GetImageFromArray(values().T), str(tmp_path / "s.mha"))
    (tmp_path / "s.mha").rename(tmp_path / "S.MHA")
    for name in ("S.NRRD", "T.MHA"):
        assert upsample(tmp_path / "S.MHA", "-o", tmp_path / "new" / name, "--axis", "k") == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"S.NRRD", "T.MHA"}


def test_a_header_extension_with_dicom_is_copied_though_pydicom_is_not_loaded(tmp_path):
    image = nifti()
    content = b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100"
    image.header.extensions.append(nib.nifti1.Nifti1Extension(2, content))
    source = saved(image, tmp_path / "a.nii")
    code = "import sys; from interslice.cli import main; code = main(sys.argv[1:]); sys.exit(code or 'pydicom' in sys.modules)"
    arguments = ["upsample", str(source), "--fast", "--quiet", "-o", str(tmp_path / "b.nii")]
    assert subprocess.run([sys.executable, "-c", code, *arguments]).returncode == 0
    read, written = (Path(tmp_path / name).read_bytes() for name in ("a.nii", "b.nii"))
    assert content in written[348:400]
    assert read[348:352] == written[348:352]


@pytest.mark.parametrize("suffix", [".mgz", ".nrrd", ".mha"])
@pytest.mark.parametrize("time", [0, -3, np.nan])
def test_a_series_that_says_no_time_of_a_frame_can_be_written(tmp_path, suffix, time):
    image = nifti(shape=(*SHAPE, 2))
    image.header["pixdim"][4] = time
    write_scan(scan_from_image(image, "series"), tmp_path / f"series{suffix}")
    found = read_scan(tmp_path / f"series{suffix}")
    np.testing.assert_array_equal(found.stored, values(shape=(*SHAPE, 2)))
    assert found.frame_seconds == [0.0 if suffix == ".mgz" else 1.0]


NIBABEL = Path(nib.__file__).parent / "tests" / "data"


@pytest.mark.parametrize("name", ["scaled+tlrc.HEAD", "phantom_varscale.PAR"])
def test_formats_with_a_scale_of_every_volume_or_slice_are_read_with_it(name):
    """AFNI and PAR/REC files that come with nibabel, whose values nibabel itself says."""
    if not (NIBABEL / name).exists():
        pytest.skip("nibabel came without its test data")
    np.testing.assert_allclose(
        interslice.read(NIBABEL / name).get_fdata(), nib.load(NIBABEL / name).get_fdata()
    )
