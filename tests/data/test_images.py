"""One reader for studies and for a scan of one's own: what a header says of the grid is read alike."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from interslice.common.errors import InputError
from interslice.data.images import load_image, open_image
from interslice.data.index import read_case
from interslice.data.preprocess import normalise_case
from interslice.data.sources import Found, read_cases, write_cases
from interslice.scan.scans import read_scan
from phantoms import ellipsoids
from scan_files import PLAIN

INTENSITY = {"per": "volume", "scaling": "minmax", "low": 0, "high": 100}
DATASET = {"name": "d", "slice_axis": "auto", "factors": [2], "intensity": INTENSITY, "on_bad_case": "stop"}
PROTOCOL = {
    "intensity": INTENSITY,
    "crop": {"margin_mm": None, "centre_px": None},
    "in_plane_mm": None,
    "background": "keep",
    "pad_px": None,
    "appearance": "as_is",
}
CONFLICT = np.diag([-1.0, -1.0, 1.0, 1.0])  # the sform that files of ACDC came with


def write(path, affine=PLAIN, unit="mm", dtype=np.int16):
    image = nib.Nifti1Image((900 * ellipsoids((20, 18, 8))).astype(dtype), affine)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, path)
    return path


def write_conflict(path, qform_code=1, sform_code=1):
    """A cardiac file: 10 mm by qform and pixdim, an sform of 1 mm. nibabel writes none such, so bytes are changed."""
    write(path, np.diag([-1.3, -1.3, 10.0, 1.0]))
    blob = bytearray(path.read_bytes())
    blob[252:256] = np.array([qform_code, sform_code], "<i2").tobytes()
    blob[280:328] = CONFLICT[:3].astype("<f4").tobytes()
    path.write_bytes(bytes(blob))
    return path


def as_case(path, trust=None):
    case, bad = read_case(path, Found("a", (path,)), "test", DATASET | {"trust": trust})
    assert not bad
    return case


@pytest.mark.parametrize(("unit", "per_mm"), [("mm", 1), ("meter", 1e-3), ("micron", 1e3), ("unknown", 1)])
def test_the_unit_is_honoured_for_studies_and_scans(tmp_path, unit, per_mm):
    affine = PLAIN @ np.diag([per_mm, per_mm, per_mm, 1])
    affine[:3, 3] = PLAIN[:3, 3] * per_mm
    path = write(tmp_path / "scan.nii.gz", affine, unit)
    case, scan = as_case(path), read_scan(path)
    expected = tuple(float(size) for size in nib.affines.voxel_sizes(PLAIN))
    assert case.spacing == pytest.approx(expected, rel=1e-5)
    assert scan.spacing_mm == pytest.approx(expected, rel=1e-5)
    volume = normalise_case(case, PROTOCOL)
    assert volume.spacing[0] == pytest.approx(max(expected), rel=1e-5)
    first = nib.affines.apply_affine(volume.affine, [0, 0, 0])
    canonical = nib.as_closest_canonical(nib.Nifti1Image(np.zeros((20, 18, 8)), PLAIN)).affine
    np.testing.assert_allclose(first, canonical[:3, 3], rtol=1e-4)


@pytest.mark.parametrize(("qform_code", "sform_code"), [(1, 1), (1, 2), (0, 1), (0, 4)])
def test_forms_that_conflict_are_named_with_both_values(tmp_path, qform_code, sform_code):
    path = write_conflict(tmp_path / "patient001_frame01.nii", qform_code, sform_code)
    for read in (read_scan, as_case, load_image):
        with pytest.raises(
            InputError, match=r"sform says voxels of 1 x 1 x 1, the .*1\.3 x 1\.3 x 10"
        ) as said:
            read(path)
        assert "patient001_frame01.nii" in str(said.value)
        assert "--trust sform or --trust pixdim" in str(said.value)


@pytest.mark.parametrize(("trust", "slices_mm"), [("sform", 1), ("qform", 10), ("pixdim", 10)])
@pytest.mark.parametrize("qform_code", [0, 1])
def test_what_is_trusted_is_taken_and_written(tmp_path, trust, slices_mm, qform_code):
    path = write_conflict(tmp_path / "scan.nii", qform_code)
    scan = read_scan(path, "k", trust=trust)
    assert scan.slice_spacing_mm == pytest.approx(slices_mm)
    case = as_case(path, trust)
    assert case.spacing[2] == pytest.approx(slices_mm)
    write_cases([case], tmp_path / "cases.csv")
    (again,) = read_cases(tmp_path / "cases.csv")
    assert again == case
    assert normalise_case(again, PROTOCOL).spacing[0] == pytest.approx(max(case.spacing))
    nib.save(scan.nifti(), tmp_path / "out.nii")
    header = nib.load(tmp_path / "out.nii").header
    assert header["pixdim"][3] == pytest.approx(slices_mm)
    assert nib.affines.voxel_sizes(header.get_sform())[2] == pytest.approx(slices_mm)


@pytest.mark.parametrize("qform_code", [0, 1])
def test_an_sform_that_is_not_set_says_nothing(tmp_path, qform_code):
    path = write_conflict(tmp_path / "scan.nii", qform_code, sform_code=0)
    assert read_scan(path).slice_spacing_mm == pytest.approx(10)
    assert as_case(path).spacing[2] == pytest.approx(10)


def test_forms_that_differ_in_place_alone_do_not_conflict(tmp_path):
    """A qform of the scanner and an sform of a template: both are right, the sform is taken as ever."""
    image = nib.load(write(tmp_path / "scan.nii"))
    moved = PLAIN.copy()
    moved[:3, 3] += 7
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "both.nii")
    np.testing.assert_allclose(read_scan(tmp_path / "both.nii").affine, PLAIN, atol=1e-4)


def test_a_compressed_file_is_read_to_its_checksum(tmp_path):
    """The voxels are all there; the checksum behind them is that of another file."""
    whole = bytearray(gzip.compress(write(tmp_path / "scan.nii").read_bytes()))
    whole[-8] ^= 0xFF
    (tmp_path / "scan.nii.gz").write_bytes(bytes(whole))
    for read in (read_scan, as_case):
        with pytest.raises(
            InputError,
            match=r"scan\.nii\.gz: not a readable image \(.*(CRC check failed|incorrect data check)",
        ):
            read(tmp_path / "scan.nii.gz")


@pytest.mark.parametrize("after", [bytes(600), b"JUNK" * 300, b"\x1f"])
def test_what_follows_a_compressed_file_is_passed_over(tmp_path, after):
    """As gunzip does, also behind several members, but not where the last one is cut."""
    plain = write(tmp_path / "scan.nii")
    raw = plain.read_bytes()
    parts = gzip.compress(raw[:2000]) + gzip.compress(raw[2000:])
    (tmp_path / "whole.nii.gz").write_bytes(parts + after)
    np.testing.assert_array_equal(read_scan(tmp_path / "whole.nii.gz").stored, read_scan(plain).stored)
    (tmp_path / "cut.nii.gz").write_bytes(parts[:-4])
    with pytest.raises(InputError, match=r"cut\.nii\.gz: not a readable image"):
        read_scan(tmp_path / "cut.nii.gz")


def test_an_affine_that_is_not_finite_is_named(tmp_path):
    blob = bytearray(write(tmp_path / "scan.nii").read_bytes())
    blob[280:284] = np.float32(np.nan).tobytes()  # srow_x
    (tmp_path / "bad.nii").write_bytes(bytes(blob))
    with pytest.raises(InputError, match="the affine holds numbers that are not finite"):
        open_image(tmp_path / "bad.nii")


def test_a_header_that_promises_more_than_the_file_holds_is_refused_before_it_is_read(tmp_path):
    path = write(tmp_path / "scan.nii")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(
        InputError, match=r"found 20x18x8 voxels in the header \(5760 bytes\), the file holds"
    ):
        open_image(path)
