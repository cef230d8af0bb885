"""--deblur: slices that are averages over their thickness, undone."""

import nibabel as nib
import numpy as np
import pytest

import interslice
from interslice.cli import main
from interslice.data.volumes import profile_blur
from phantoms import ellipsoids
from scan_files import nifti, saved

FACTOR = 4
SHARP = ellipsoids((45, 64, 60))  # slices first
THICK = profile_blur(SHARP, FACTOR, "slab", axis=0)  # .8 of the distance between the slices that are kept


@pytest.fixture
def scan(tmp_path):
    """12 slices, 4 mm apart, .8 times as thick."""
    stored = np.moveaxis(1000 * THICK[::FACTOR], 0, 2).astype(np.float32)
    return saved(nib.Nifti1Image(stored, np.diag([1.0, 1.0, FACTOR, 1.0])), tmp_path / "thick.nii.gz")


def upsampled(scan, tmp_path, *options):
    path = tmp_path / "fine.nii"
    command = [
        "upsample",
        scan,
        "--factor",
        FACTOR,
        "--method",
        "motion_spline",
        "-o",
        path,
        "--force",
        *options,
    ]
    assert main([str(word) for word in command]) == 0
    return np.moveaxis(nib.load(path).get_fdata(), 2, 0) / 1000


def test_it_comes_closer_to_the_sharp_scan_and_averaged_again_is_the_scan(scan, tmp_path, capsys):
    plain, sharper = (
        upsampled(scan, tmp_path, *options) for options in ([], ["--deblur", "--thickness", 0.8 * FACTOR])
    )
    assert "averaging over the slice thickness undone" in capsys.readouterr().err
    errors = [np.sqrt(np.mean((result - SHARP) ** 2)) for result in (sharper, plain)]
    assert errors[0] < 0.9 * errors[1]
    given = THICK[::FACTOR]
    misfits = [
        np.sqrt(np.mean((profile_blur(result, FACTOR, "slab", axis=0)[::FACTOR] - given) ** 2))
        for result in (sharper, plain)
    ]
    assert misfits[0] < 0.4 * misfits[1]
    np.testing.assert_allclose(plain[::FACTOR], given, atol=1e-6)
    assert np.abs(sharper[::FACTOR] - given).max() > 0.01, "what is given are averages"
    assert sharper.min() >= given.min() - 1e-6
    assert sharper.max() <= given.max() + 1e-6


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "found no slice thickness to undo; --thickness MM says it"),
        (["--thickness", "6"], "found slices 1.2 times as thick as they are apart, allowed is up to 1.1"),
        (["--thickness", "4", "--spacing", "2"], "allowed are equal gaps and whole factors"),
        (["--thickness", "4", "--method", "bspline"], "found --deblur with --method"),
        (["--thickness", "4", "--check"], "found --deblur with --check"),
        (["--thickness", "4", "--train-here"], "found --deblur with --train-here"),
        (["--thickness", "4", "--uncertainty", "u.nii"], "found --deblur with --uncertainty"),
        (["--thickness", "4", "--model", "cae_K2"], "found --deblur with --model"),
    ],
)
def test_what_cannot_be_undone_is_refused(tmp_path, capsys, options, sentence):
    path = saved(nifti(), tmp_path / "scan.nii")
    command = ["upsample", path, "--deblur", "-o", tmp_path / "fine.nii", *options]
    assert main([str(word) for word in command]) != 0
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "fine.nii").exists()


def test_from_python_as_on_the_command_line(scan, tmp_path):
    expected = upsampled(scan, tmp_path, "--deblur", "--thickness", 0.8 * FACTOR)
    fine = interslice.upsample(scan, FACTOR, deblur=True, thickness=0.8 * FACTOR)
    np.testing.assert_allclose(np.moveaxis(fine.get_fdata(), 2, 0) / 1000, expected, atol=1e-6)
    with pytest.raises(interslice.InputError, match="found --deblur with --method"):
        interslice.upsample(scan, FACTOR, "linear", deblur=True)
    with pytest.raises(interslice.InputError, match="found no slice thickness to undo"):
        interslice.upsample(scan, FACTOR, deblur=True)
    labels = nib.Nifti1Image((THICK[::FACTOR] > 0.5).T.astype(np.uint8), np.diag([1.0, 1.0, FACTOR, 1.0]))
    with pytest.raises(interslice.InputError, match="a label map .* is only interpolated"):
        interslice.upsample(labels, FACTOR, deblur=True, thickness=3)
