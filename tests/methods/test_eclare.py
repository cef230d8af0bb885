"""ECLARE as an external program: a stand-in with its command line, and the program itself where it is installed."""

import os
import shutil
import sys

import numpy as np
import pytest

from interslice.common.errors import InputError
from interslice.config import load_method_settings
from interslice.data.volumes import output_size
from interslice.methods import build_method
from phantoms import ellipsoids, ramp
from settings import ROOT, small_settings, study_of


def eclare(**changes):
    return build_method(small_settings("eclare") | changes)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("profile", ["none", "gaussian"])
def test_the_grid_of_the_program_becomes_the_aligned_one(factor, profile):
    """Every slice, the kept ones included, where they are not simply put back; the spline's ends are another matter."""
    low, expected = ramp(12, 16, 12), ramp(output_size(12, factor), 16, 12)
    result = eclare(slice_profile=profile).interpolate(low, factor)
    step = float(low[1, 0, 0] - low[0, 0, 0])
    inside = slice(4 * factor, -4 * factor)
    np.testing.assert_allclose(result[inside], expected[inside], atol=1e-3 * step)


@pytest.mark.parametrize(("profile", "thickness"), [("none", 1), ("gaussian", 3), ("estimated", 0)])
def test_the_program_is_told_the_slice_profile(profile, thickness, monkeypatch):
    monkeypatch.setenv("STAND_IN", "options")
    result = eclare(slice_profile=profile).interpolate(ellipsoids((4, 16, 12)), 3)
    np.testing.assert_allclose(result[1:3], thickness, atol=1e-5)


@pytest.mark.parametrize(
    ("precision", "gpu", "found"), [("bfloat16", None, 0.5), ("float32", None, 0), ("bfloat16", 0, 0)]
)
def test_the_cpu_computes_in_the_precision_that_is_asked_for(precision, gpu, found, monkeypatch):
    """A GPU is left to the program, which turns on mixed precision there by itself."""
    monkeypatch.setenv("STAND_IN", "precision")
    result = eclare(cpu_precision=precision, gpu=gpu).interpolate(ellipsoids((4, 16, 12)), 3)
    np.testing.assert_allclose(result[1:3], found, atol=1e-5)


def test_what_the_program_draws_with_python_and_numpy_is_seeded(monkeypatch):
    monkeypatch.setenv("STAND_IN", "noise")
    low = ellipsoids((4, 16, 12))
    first, second, other = (eclare(seed=seed).interpolate(low, 2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("fail", "stopped with exit code 1 .AssertionError: image is isotropic."),
        ("silent", "left no readable scan_eclare.nii"),
        ("odd", r"left slices of \(16, 11\) pixels.*allowed are finite ones of \(16, 12\)"),
    ],
)
def test_a_program_that_fails_is_one_sentence(behaviour, message, monkeypatch):
    monkeypatch.setenv("STAND_IN", behaviour)
    with pytest.raises(InputError, match=message) as failure:
        eclare().interpolate(ellipsoids((4, 16, 12)), 2)
    assert "\n" not in str(failure.value)


def test_a_program_that_is_missing_is_one_sentence(tmp_path):
    absent = tmp_path / "run-eclare"
    with pytest.raises(InputError, match="found no command .*run-eclare; install it .`make eclare`."):
        eclare(command=str(absent)).interpolate(ellipsoids((4, 16, 12)), 2)
    absent.write_text("#!/nowhere/python\n")
    absent.chmod(0o755)
    with pytest.raises(InputError, match="cannot be run"):
        eclare(command=str(absent)).interpolate(ellipsoids((4, 16, 12)), 2)


def study_with(tmp_path, command, optional):
    file = tmp_path / "eclare.yaml"
    file.write_text(f"base: eclare\ncommand: {command}\noptional: {str(optional).lower()}\n")
    return study_of(methods=["oracle", "linear", str(file)])


def test_its_row_is_there_where_the_program_is(tmp_path):
    assert list(study_with(tmp_path, sys.executable, optional=True).methods) == ["oracle", "linear", "eclare"]
    study = study_with(tmp_path, tmp_path / "absent", optional=True)
    assert list(study.methods) == ["oracle", "linear"]
    assert study.left_out == {"eclare": str(tmp_path / "absent")}
    with pytest.raises(InputError, match="method eclare: key command: found no program .*absent; install it"):
        study_with(tmp_path, tmp_path / "absent", optional=False)


PROGRAM = shutil.which(os.environ.get("RUN_ECLARE", ROOT / load_method_settings("eclare", ROOT)["command"]))


@pytest.mark.skipif(PROGRAM is None, reason="needs ECLARE: make eclare, or RUN_ECLARE")
def test_the_program_itself_keeps_the_contract():
    """One update of its network, so it is about as good as the interpolation that it starts from, on the right grid."""
    sharp = ellipsoids((17, 40, 36))
    settings = load_method_settings("eclare", ROOT) | {"command": PROGRAM, "patches": 2, "batch": 2}
    result = build_method(settings).interpolate(sharp[::2], 2)
    assert result.shape == sharp.shape
    np.testing.assert_array_equal(result[::2], sharp[::2])
    np.testing.assert_array_equal(result, build_method(settings).interpolate(sharp[::2], 2))
