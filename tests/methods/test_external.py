"""Programs from elsewhere: a stand-in that behaves and misbehaves as one word of its command says."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import yaml

from interslice.common.errors import InputError
from interslice.methods import build_method
from interslice.methods.base import Scan
from interslice.methods.external import check_command, fill
from interslice.methods.registry import is_supervised
from phantoms import ellipsoids, ramp
from settings import ROOT, external, small_settings, study_of

PROGRAM = ROOT / "tests" / "stand_in_program.py"
LOW = ellipsoids((6, 20, 16))
OBLIQUE = np.array([[0.9, 0, 0.4, 5.0], [0, 1.2, 0, -7.0], [-0.3, 0, 4.0, 2.0], [0, 0, 0, 1.0]])


def program(options="", **changes):
    return build_method(external(PROGRAM, options, **changes))


def test_it_gets_the_scan_as_it_is_on_request_and_its_result_comes_back_in_0_to_1(tmp_path, monkeypatch):
    monkeypatch.setenv("TOLD", str(tmp_path / "told.json"))
    method = program("{spacing} {thickness} {folder}", intensities="scan", slice_profile="gaussian")
    method.scan = Scan(OBLIQUE, (100.0, 700.0), subject="one")
    result = method.interpolate(LOW, 2)
    np.testing.assert_allclose(result, build_method(small_settings("linear")).interpolate(LOW, 2), atol=1e-6)
    told = json.loads((tmp_path / "told.json").read_text())
    np.testing.assert_allclose(told["affine"], OBLIQUE, atol=1e-6)
    assert told["low"] == pytest.approx(100 + 600 * LOW.min(), rel=1e-6)
    assert told["high"] == pytest.approx(100 + 600 * LOW.max(), rel=1e-6)
    between = np.linalg.norm([0.4, 0, 4.0])  # mm from slice to slice
    spacing, thickness, folder = told["rest"]
    assert (float(spacing), float(thickness)) == pytest.approx((between / 2, between), rel=1e-5)
    assert folder == told["folder"], "it runs in a folder of its own"
    assert not os.path.exists(folder)
    assert set(told["beside"]) <= {"input.nii", ".stdout", ".stderr"}


def test_it_gets_pixels_and_0_to_1_where_no_more_is_wanted_or_known(tmp_path, monkeypatch):
    monkeypatch.setenv("TOLD", str(tmp_path / "told.json"))
    method = program("{spacing} {thickness}", units="pixels")
    method.scan = Scan(OBLIQUE, (100.0, 700.0))
    method.interpolate(LOW, 3)
    told = json.loads((tmp_path / "told.json").read_text())
    np.testing.assert_array_equal(told["affine"], np.diag([1, 1, 3, 1]))
    assert (told["low"], told["high"]) == (LOW.min(), LOW.max())
    assert told["rest"] == ["1", "1"]


def test_a_grid_that_keeps_the_field_of_view_is_brought_to_the_aligned_one():
    factor = 3
    low, expected = ramp(20, 16, 12), ramp(19 * factor + 1, 16, 12)
    method = program("field", grid="field_of_view", slice_profile="gaussian")
    step = float(low[1, 0, 0] - low[0, 0, 0])
    inside = slice(6 * factor, -6 * factor)
    np.testing.assert_allclose(method.interpolate(low, factor)[inside], expected[inside], atol=2e-3 * step)
    kept = program("field", grid="field_of_view").interpolate(LOW, factor)
    np.testing.assert_array_equal(kept[::factor], LOW)


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ("fail", {}, r"stopped with exit code 1 \(no licence found\)"),
        ("nothing", {}, "left no readable {output}"),
        (
            "field",
            {},
            r"found .* \(12, 20, 16\), allowed is \(11, 20, 16\); as many .* keeps the field of view",
        ),
        ("", {"grid": "field_of_view"}, r"found .* \(11, 20, 16\).* allowed are \(12, 20, 16\)"),
        ("half", {}, r"slices lie \d.\d\d output slices \(0.\d\d of an input slice\) too late"),
        ("slow", {"timeout_minutes": 0.02}, r"took longer than 0.02 minutes \(timeout_minutes\)"),
        ("big", {"memory_mb": 200}, r"took more than 200 MiB of memory"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_leaves_nothing_running(options, changes, message):
    with pytest.raises(InputError, match=message) as raised:
        program(options, **changes).interpolate(LOW, 2)
    assert "\n" not in str(raised.value)
    lines = {}
    # A zombie, as another test's server has them for a moment, has no command line: None.
    for one in psutil.process_iter(["cmdline"]):
        lines[one.pid] = " ".join(one.info["cmdline"] or [])
    assert not [line for line in lines.values() if "sleep 61.5" in line]
    ours = [lines.get(child.pid, "") for child in psutil.Process().children(recursive=True)]
    assert not [line for line in ours if "stand_in_program" in line], "other pytest workers have theirs"


def test_a_job_that_is_told_to_end_ends_its_program_too(tmp_path):
    script = (
        "import sys\nfrom pathlib import Path\nfrom interslice.common.provenance import logged\n"
        "with logged(sys.argv[1] + '/log'):\n    from interslice.methods.external import run\n"
        "    run(['sleep', '63.5'], Path(sys.argv[1]), None, None)\n"
    )
    job = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    seen = psutil.Process(job.pid)
    while not (programs := seen.children()):
        assert job.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.05)
    job.terminate()
    assert job.wait(60) == 128 + signal.SIGTERM
    assert not [one for one in programs if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert "Stopped" in (tmp_path / "log").read_text()


def test_a_command_is_words_and_no_shell_reads_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = {"input": "/a b/in.nii", "output": "/out.nii", "factor": 4}
    words = fill("env A='x y' bin/go run.py {input} -o={output} $K '{factor}' ; rm", values, ["run.py"])
    assert words == [
        "env",
        "A=x y",
        "bin/go",
        f"{tmp_path}/run.py",
        "/a b/in.nii",
        "-o=/out.nii",
        "$K",
        "4",
        ";",
        "rm",
    ]
    assert fill("bin/go {input}", values, [])[0] == f"{tmp_path}/bin/go"


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("go {input} {outptu}", r"found \{outptu\}, allowed are \{input\}, \{output\}"),
        ("go {output}", r"found no \{input\}"),
        ("go '{input} {output}", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_be_right_is_refused(command, found):
    with pytest.raises(InputError, match=f"method go: key command: .*{found}"):
        check_command(command, "method go")


def written(tmp_path, **changes):
    """A study with a method file of ten lines."""
    content = {"method": "external", "label": "Go", "role": "baseline", "learns_from": "high"}
    content |= {"command": "true {input} {output}", "files": ["weights.bin"]}
    (tmp_path / "go.yaml").write_text(yaml.safe_dump(content | changes))
    return study_of(methods=["linear", str(tmp_path / "go.yaml")])


def test_a_method_file_needs_only_what_differs_and_is_checked(tmp_path):
    weights = tmp_path / "weights.bin"
    with pytest.raises(InputError, match=r"method go: key files: found no file .*weights.bin"):
        written(tmp_path, files=[str(weights)])
    weights.touch()
    settings = written(tmp_path, files=[str(weights)]).methods["go"]
    assert (settings["grid"], settings["timeout_minutes"], settings["units"]) == ("aligned", None, "mm")
    assert is_supervised(settings)
    with pytest.raises(InputError, match=r"method go: key command: found no program absent; install it"):
        written(tmp_path, command="absent {input} {output}", install="make go")
    study = written(tmp_path, command="absent {input} {output}", install="make go", optional=True)
    assert study.left_out == {"go": "absent (make go)"}
    with pytest.raises(InputError, match=r"key grid: found 'centred', allowed are aligned, field_of_view"):
        written(tmp_path, grid="centred")
