"""ECLARE as an external program: a stand-in with its command line, and the program itself where it is installed."""

import shutil
import sys

import numpy as np
import pytest

from interslice.common.errors import InputError
from interslice.data.volumes import output_size
from interslice.methods import build_method
from phantoms import ellipsoids, ramp
from settings import ROOT, small_settings, study_of


def eclare(changes=(), **settings):
    """The settings that are shipped, with words of the command replaced."""
    found = small_settings("eclare") | settings
    for old, new in changes:
        assert old in found["command"]
        found["command"] = found["command"].replace(old, new)
    return build_method(found)


def test_the_grid_of_the_program_becomes_the_aligned_one():
    """Every slice, the kept ones included, which are not simply put back here; the spline's ends are another matter."""
    factor = 4
    low, expected = ramp(12, 16, 12), ramp(output_size(12, factor), 16, 12)
    result = eclare(slice_profile="gaussian").interpolate(low, factor)
    step = float(low[1, 0, 0] - low[0, 0, 0])
    inside = slice(4 * factor, -4 * factor)
    np.testing.assert_allclose(result[inside], expected[inside], atol=1e-3 * step)


def test_the_program_is_told_the_slice_profile(monkeypatch):
    monkeypatch.setenv("STAND_IN", "options")
    result = eclare(slice_profile="gaussian").interpolate(ellipsoids((4, 16, 12)), 3)
    np.testing.assert_allclose(result[1:3], 3, atol=1e-5)


def test_the_cpu_computes_in_the_precision_that_is_asked_for(monkeypatch):
    """In float32 the adapter does not even load torch, by which all other tests here are quick."""
    monkeypatch.setenv("STAND_IN", "precision")
    result = eclare([("float32", "bfloat16")]).interpolate(ellipsoids((4, 16, 12)), 3)
    np.testing.assert_allclose(result[1:3], 0.5, atol=1e-5)


def test_what_the_program_draws_with_python_and_numpy_is_seeded(monkeypatch):
    monkeypatch.setenv("STAND_IN", "noise")
    low = ellipsoids((4, 16, 12))
    first, second, other = (
        eclare([("--seed 1", f"--seed {seed}")]).interpolate(low, 2) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("fail", "stopped with exit code 1 .AssertionError: image is isotropic."),
        ("silent", "stopped with exit code 1 .*No such file.*_eclare.nii"),
    ],
)
def test_a_program_that_fails_is_one_sentence(behaviour, message, monkeypatch):
    monkeypatch.setenv("STAND_IN", behaviour)
    with pytest.raises(InputError, match=message) as failure:
        eclare().interpolate(ellipsoids((4, 16, 12)), 2)
    assert "\n" not in str(failure.value)


def study_with(tmp_path, program, optional):
    """The files of ECLARE with another program in place of its Python."""
    file = tmp_path / "eclare.yaml"
    command = f"{program} {{input}} {{output}}"
    file.write_text(f"base: eclare\ncommand: '{command}'\noptional: {str(optional).lower()}\n")
    return study_of(methods=["oracle", "linear", str(file)])


def test_its_row_is_there_where_the_program_is(tmp_path):
    assert list(study_with(tmp_path, sys.executable, optional=True).methods) == ["oracle", "linear", "eclare"]
    study = study_with(tmp_path, tmp_path / "absent", optional=True)
    assert list(study.methods) == ["oracle", "linear"]
    assert study.left_out == {"eclare": f"{tmp_path / 'absent'} (make eclare)"}
    with pytest.raises(
        InputError, match=r"method eclare: key command: found no program .*absent; install it .make eclare"
    ):
        study_with(tmp_path, tmp_path / "absent", optional=False)


PROGRAM = shutil.which(ROOT / ".eclare/bin/run-eclare")


@pytest.mark.skipif(PROGRAM is None, reason="needs ECLARE: make eclare")
def test_the_program_itself_keeps_the_contract(monkeypatch):
    """One update of its network, so it is about as good as the interpolation that it starts from, on the right grid."""
    monkeypatch.chdir(ROOT)
    sharp = ellipsoids((17, 40, 36))
    settings = study_of(methods=["eclare"]).methods["eclare"]
    for old, new in (("--n-patches 2048", "--n-patches 2"), ("--batch-size 8", "--batch-size 2")):
        settings["command"] = settings["command"].replace(old, new)
    result = build_method(settings).interpolate(sharp[::2], 2)
    assert result.shape == sharp.shape
    np.testing.assert_array_equal(result[::2], sharp[::2])
    np.testing.assert_array_equal(result, build_method(settings).interpolate(sharp[::2], 2))
