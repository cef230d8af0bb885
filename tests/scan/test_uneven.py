"""Series whose slices lie at unequal distances, or lack some: new slices at their true positions."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from generators import SHORT_AXIS, edit_dicom, write_dicom_series
from interslice.cli import main
from interslice.common.errors import InputError
from interslice.data.spline import bspline_weights, uneven_spline_weights
from interslice.scan.grid import Grid
from interslice.scan.scans import read_scan

DEPTHS = np.array([0, 5, 10, 17.5, 22.5, 30, 37.5, 42.5, 47.5, 55, 60])  # mm; the usual gap is 5 mm


def values(depths: np.ndarray) -> np.ndarray:
    """A smooth function of depth, another at every pixel, in [0, 1]: (slices, rows, columns)."""
    rows, columns = np.mgrid[:12, :16] / 16
    phase = depths[:, np.newaxis, np.newaxis] / 14 + 3 * rows + 2 * columns
    return 0.5 + 0.4 * np.sin(phase)


def series(folder: Path, depths: np.ndarray) -> Path:
    paths = write_dicom_series(folder, values(depths)[..., np.newaxis], trigger=False)
    for depth, path in zip(depths, paths, strict=True):
        position = np.array([10.0, -20.0, 30.0]) + depth * np.cross(*SHORT_AXIS)
        edit_dicom(path, ImagePositionPatient=[round(float(value), 6) for value in position])
    return folder


def upsampled(folder: Path, *options: str) -> tuple[int, nib.Nifti1Image]:
    output = folder.with_suffix(".nii")
    code = main(["upsample", str(folder), "-o", str(output), "--force", *options])
    return code, nib.load(output) if code == 0 else None


@pytest.mark.parametrize(("method", "worst"), [("bspline", 0.004), ("linear", 0.05)])
def test_slices_are_made_at_their_true_positions(tmp_path, capsys, method, worst):
    """Against the function itself; as if gaps were equal it would be off by most of its range."""
    code, image = upsampled(series(tmp_path / "a", DEPTHS), "--factor", "4", "--method", method)
    assert code == 0
    err = capsys.readouterr().err
    assert "unequal slice gaps: 7.50 mm between the slices" in err
    assert "interpolated at their true positions" in err
    data = np.asarray(image.dataobj).transpose(2, 1, 0)
    made = np.arange(len(data)) * 1.25
    assert made[-1] == 60
    inner = (made >= 10) & (made <= 47.5)  # near the ends a spline that is level there must be off
    assert np.abs(data - 1000 * values(made))[inner].max() < 1000 * worst
    np.testing.assert_array_equal(data[np.isin(made, DEPTHS)], np.round(1000 * values(DEPTHS)))
    assert nib.affines.voxel_sizes(image.affine)[2] == pytest.approx(1.25)


def test_the_best_method_and_the_end_of_the_grid_are_said(tmp_path, capsys):
    code, image = upsampled(series(tmp_path / "a", DEPTHS[:-1]), "--spacing", "2")
    assert (code, image.shape[2]) == (0, 28)
    err = capsys.readouterr().err
    assert "with unequal gaps methods are not compared" in err
    assert "it ends 1 mm before the last one" in err


def test_a_missing_slice_is_filled_on_request_alone(tmp_path, capsys):
    depths = np.array([0.0, 5, 10, 15, 25, 30, 35])
    folder = series(tmp_path / "a", depths)
    assert upsampled(folder, "--factor", "2", "--fast")[0] == 2
    assert "found 1 missing slice(s): 10.00 mm between the slices at" in capsys.readouterr().err
    code, image = upsampled(folder, "--factor", "2", "--fast", "--fill-missing")
    assert code == 0
    assert "1 missing slice(s)" in capsys.readouterr().err
    data = np.asarray(image.dataobj).transpose(2, 1, 0)
    assert np.abs(data - 1000 * values(np.arange(15) * 2.5)).max() < 60


def test_a_derived_series_of_it_has_equal_gaps(tmp_path):
    folder = series(tmp_path / "a", DEPTHS)
    assert main(["upsample", str(folder), "-o", str(tmp_path / "out"), "--factor", "4"]) == 0
    again = read_scan(tmp_path / "out")
    assert (again.positions, again.stored.shape[2]) == ((), 49)
    first = pydicom.dcmread(tmp_path / "out" / "interslice-00001.dcm")
    assert len(first.SourceImageSequence) == 1


@pytest.mark.parametrize("option", ["--check", "--preview=a.png", "--correct-motion", "--axis=i"])
def test_what_needs_equal_gaps_is_refused(tmp_path, capsys, option):
    assert upsampled(series(tmp_path / "a", DEPTHS), "--factor", "2", option)[0] == 2
    err = capsys.readouterr().err
    assert "needs equal gaps between the slices" in err or "at unequal distances, allowed is --axis k" in err
    assert len(err.splitlines()) == 1


def test_equal_places_give_the_equal_spline_and_grid():
    places, wanted = np.arange(7.0), np.linspace(0, 6, 50)
    np.testing.assert_allclose(uneven_spline_weights(places, wanted), bspline_weights(7, wanted), atol=1e-12)
    even, uneven = Grid(7, 2.5), Grid(7, 2.5, tuple(places))
    np.testing.assert_allclose(uneven.positions, even.positions)
    assert uneven.kept == even.kept


def test_a_scan_of_equal_gaps_has_no_positions(tmp_path):
    assert read_scan(series(tmp_path / "a", np.arange(5) * 4.0)).positions == ()
    with pytest.raises(InputError, match="missing slice"):
        read_scan(series(tmp_path / "b", np.array([0.0, 4, 12, 16])))
