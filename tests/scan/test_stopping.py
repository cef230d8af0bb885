"""A run that is stopped, or that finds that another was quicker: nothing half-written, nothing lost."""

import os
import signal
import subprocess
import sys
import threading
import time

import nibabel as nib
import numpy as np
import pytest

from interslice.cli import main
from interslice.scan import formats
from interslice.scan.batch import for_all
from scan_files import nifti, saved

SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # what starts the tests may have told them to ignore these
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from interslice.scan import command
def slowly(*arguments):
    print("begun", flush=True)
    for _ in range(600):  # a signal that comes just before one sleep would be seen after it
        time.sleep(0.1)
command.upsample_scan = slowly
from interslice.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGHUP, 129, "terminated")]
)
def test_a_stopped_run_says_so_and_leaves_nothing(tmp_path, number, code, said):
    source = saved(nifti(), tmp_path / "a.nii")
    command = [
        sys.executable,
        "-c",
        SLOW,
        "upsample",
        str(source),
        "--fast",
        "-o",
        str(tmp_path / "f.nii.gz"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert errors.splitlines()[-1] == said
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii"]


def test_ctrl_c_after_the_end_is_no_traceback():
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from interslice.cli import main\n"
        "sys.argv = ['interslice', 'upsample', 'missing.nii', '-o', 'fine.nii']\n"
        "code = main()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(code)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("missing.nii: ")
    assert len(run.stderr.splitlines()) == 1


def test_an_interruption_ends_the_jobs_that_are_under_way():
    """Jobs that return to Python now and then, as all do, end early; those that wait never begin."""
    begun, ended = [], []

    def work(job):
        begun.append(job)
        if job == 0:
            time.sleep(0.1)
            raise KeyboardInterrupt
        try:
            for _ in range(2000):
                time.sleep(0.005)
        finally:
            ended.append(job)

    started = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        list(for_all(work, range(9), 2))
    assert sorted(begun) == [0, *sorted(ended)]
    assert 1 in ended
    assert 8 not in begun
    assert threading.active_count() == started


def test_what_another_run_wrote_meanwhile_is_not_replaced(tmp_path, capsys, monkeypatch):
    source, target = saved(nifti(), tmp_path / "a.nii"), tmp_path / "fine.nii"
    save = formats.save

    def slowly(scan, path):
        save(scan, path)
        target.write_text("of another run")

    monkeypatch.setattr(formats, "save", slowly)
    arguments = ["upsample", str(source), "--factor", "2", "--fast", "-o", str(target)]
    assert main(arguments) == 2
    assert "was written by something else meanwhile; --force overwrites it" in capsys.readouterr().err
    assert target.read_text() == "of another run"
    assert {path.name for path in tmp_path.iterdir()} == {"a.nii", "fine.nii"}
    assert main([*arguments, "--force"]) == 0
    assert nib.load(target).shape[2] == 13


def test_names_that_a_terminal_cannot_show_are_no_error(tmp_path):
    source = saved(nifti(), tmp_path / "頭部.nii.gz")
    command = [
        sys.executable,
        "-m",
        "interslice",
        "upsample",
        str(source),
        "--fast",
        "-o",
        str(tmp_path / "f.nii"),
    ]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert np.asarray(nib.load(tmp_path / "f.nii").dataobj).any()
