"""Thickness from headers, JSON or a person; and what a scan says of itself before it is interpolated."""

import json
from dataclasses import replace

import numpy as np
import pytest

import interslice
from generators import cine, write_dicom_series
from heads import head_volume
from interslice.cli import main
from interslice.common.errors import InputError
from interslice.methods.conventional import Linear
from interslice.scan import auto
from interslice.scan.acquired import with_thickness, without_motion
from interslice.scan.auto import candidates
from interslice.scan.grid import Grid, grid_for
from interslice.scan.scans import read_scan
from interslice.scan.upsampling import upsample_scan
from moving import as_scan, moved
from scan_files import nifti, saved


@pytest.mark.parametrize(
    ("thickness", "words"),
    [
        (4, "slices 4 mm thick, gaps of 1 mm between them"),
        (5.01, "slices 5.01 mm thick, without gaps"),
        (6.5, "slices 6.5 mm thick, overlapping by 1.5 mm"),
    ],
)
def test_the_json_beside_an_image_says_how_thick_slices_are(tmp_path, thickness, words):
    path = saved(nifti(), tmp_path / "scan.nii.gz")
    assert read_scan(path).thickness_mm is None
    (tmp_path / "scan.json").write_text(json.dumps({"SliceThickness": thickness}))
    scan = with_thickness(read_scan(path), None)
    assert (scan.thickness_mm, scan.remarks) == (thickness, (words,))
    assert with_thickness(read_scan(path), 3).thickness_mm == 3


def test_along_another_axis_nothing_says_how_thick_slices_are(tmp_path):
    path = saved(nifti(), tmp_path / "scan.nii.gz")
    (tmp_path / "scan.json").write_text(json.dumps({"SliceThickness": 4, "SpacingBetweenSlices": 5}))
    write_dicom_series(tmp_path / "in", cine((4, 12, 16), 1, seed=1), trigger=False)
    for source in (path, tmp_path / "in"):
        assert read_scan(source, "k").thickness_mm in (4, 8)
        scan = read_scan(source, "i")
        assert (scan.thickness_mm, scan.remarks) == (None, ())


def test_the_method_is_given_the_thickness(tmp_path):
    """In units of the gap, also on a grid that is no whole factor, and the method itself stays as it was."""
    seen = []

    class Thick(Linear):
        def weights(self, slices, positions):
            seen.append(self.thickness)
            return super().weights(slices, positions)

    method = Thick({})
    scan = with_thickness(read_scan(saved(nifti(), tmp_path / "scan.nii.gz")), 4)
    for grid in (grid_for(scan, 2), grid_for(scan, spacing_mm=1.3)):
        upsample_scan(scan, grid, method)
    assert seen == [0.8, 0.8]
    assert method.thickness is None


def test_the_choice_and_python_are_given_the_thickness(tmp_path, monkeypatch):
    """Held-out slices lie in gaps twice as wide: the thickness is half as much of one."""
    seen = []
    monkeypatch.setattr(auto, "score", lambda method, *rest: seen.append(method.thickness) or 1.0)
    image = nifti()
    interslice.upsample(image, 2, thickness=4)
    assert set(seen) == {0.4}
    assert interslice.check(image, "linear", thickness=4)
    for value in (-1, "thin"):
        with pytest.raises(InputError, match=f"thickness: found {value}, allowed are millimetres above 0"):
            interslice.check(image, "linear", thickness=value)
    thick = with_thickness(read_scan(saved(nifti(np.diag([1, 1, 4.0, 1])), tmp_path / "a.nii")), 4)
    names = [model.shown for model in candidates(thick, Grid(7, 4))[0]]
    assert "cae_residual_K4" not in names  # trained on slices of 1 mm
    names = [model.shown for model in candidates(replace(thick, thickness_mm=1), Grid(7, 4))[0]]
    assert "cae_residual_K4" in names


def test_a_json_of_the_tree_holds_for_its_images_and_contradictions_are_said(tmp_path):
    anat = tmp_path / "sub-01" / "anat"
    anat.mkdir(parents=True)
    path = saved(nifti(), anat / "sub-01_T2w.nii.gz")
    (tmp_path / "T2w.json").write_text('{"SliceThickness": 4, "SpacingBetweenSlices": 4.4}')
    assert read_scan(path).thickness_mm is None
    (tmp_path / "dataset_description.json").write_text("{}")
    scan = read_scan(path)
    assert scan.thickness_mm == 4
    assert (
        "SpacingBetweenSlices of the JSON says 4.4 mm, the header 5 mm: the header is taken" in scan.remarks
    )
    (tmp_path / "T2w.json").write_text("{")
    assert "slice thickness not known" in read_scan(path).remarks[0]


def test_a_thickness_that_is_none_is_refused(tmp_path):
    path = saved(nifti(), tmp_path / "scan.nii.gz")
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="thickness: found .*, allowed are millimetres above 0"):
            with_thickness(read_scan(path), value)


def test_a_movement_is_said_and_undone_on_request(tmp_path, capsys):
    scan = as_scan(moved(head_volume()[::2], 3.0, 2.0, -3.0))
    path = saved(scan.nifti(), tmp_path / "scan.nii.gz")
    arguments = ["upsample", str(path), "--axis", "k", "--fast", "--factor", "2", "--force", "-o"]
    assert main([*arguments, str(tmp_path / "fine.nii.gz")]) == 0
    assert (
        "warning: odd slices lie about 3.4 mm and 1.9 degrees beside the even ones" in capsys.readouterr().err
    )
    assert not list(tmp_path.glob("*.tfm"))
    assert main([*arguments, str(tmp_path / "fine.nii.gz"), "--correct-motion"]) == 0
    assert (
        "odd slices, which lay 3.5 mm and 2.9 degrees beside the even ones, are moved back"
        in capsys.readouterr().err
    )
    assert (tmp_path / "fine_odd-slices.tfm").is_file()
    fine = read_scan(tmp_path / "fine.nii.gz", "k")
    np.testing.assert_array_equal(fine.stored[..., ::4], scan.stored[..., ::2])
    assert without_motion(replace_axis(fine), False)[0].remarks == ()


def replace_axis(fine):
    """The slices that were acquired alone."""
    return as_scan(fine.frame(0)[::2] / 1000)


def test_a_correction_that_cannot_be_made_is_refused(tmp_path):
    four = read_scan(saved(nifti(shape=(20, 18, 9, 3)), tmp_path / "four.nii.gz"))
    with pytest.raises(InputError, match="found 3 frame.s. of 9 slices, --correct-motion needs one of real"):
        without_motion(four, True)
