"""Who sees which GPU, on machines that are made up: devices are files, jobs are processes."""

import subprocess
import sys
import textwrap

import pytest

from interslice.common import gpus
from interslice.common.gpus import use_gpus, visible_gpus


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make a machine with NVIDIA devices by their numbers; nothing of the real one is left in sight."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "_claims", [])
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def make(*numbers):
        for name in [*(f"nvidia{number}" for number in numbers), "nvidiactl", "nvidia-uvm", "nvidia-caps"]:
            (tmp_path / name).touch()
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("-1", []),
        ("0", ["0"]),
        ("3, 1", ["3", "1"]),
        ("0,-1,1", ["0"]),
        ("GPU-ab,MIG-cd", ["GPU-ab", "MIG-cd"]),
    ],
)
def test_the_environment_says_which_are_visible(machine, monkeypatch, value, expected):
    machine(0, 1, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == expected


def test_devices_are_counted_where_the_environment_says_nothing(machine):
    machine()
    assert visible_gpus() == []
    machine(0, 2, 10)
    assert visible_gpus() == ["0", "2", "10"]


def test_a_job_without_a_gpu_sees_none(machine, monkeypatch):
    machine(0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    use_gpus({"gpu": 0})
    assert visible_gpus() == []


@pytest.mark.parametrize("resources", [{"gpu": 1}, {"gpu": 0, "gres": "gpu:1"}])
def test_what_a_scheduler_chose_stays(machine, monkeypatch, resources):
    machine(0, 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    for _ in range(2):  # a second job of the group shares it
        use_gpus(resources)
        assert visible_gpus() == ["1"]


JOB = """
import os, sys, tempfile
from pathlib import Path
from interslice.common import gpus
gpus.DEVICES, tempfile.tempdir = Path(sys.argv[1]), sys.argv[1]
gpus.use_gpus({"gpu": 1})
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


def test_jobs_at_a_time_take_different_gpus_and_a_killed_one_gives_its_back(machine):
    folder = machine(0, 1)
    command = [sys.executable, "-c", textwrap.dedent(JOB), str(folder)]

    def start():
        job = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return job, job.stdout.readline().strip()

    jobs = [start() for _ in range(3)]
    assert [taken for _, taken in jobs] == ["0", "1", "None"], "a third one was told to share"
    jobs[0][0].kill()
    jobs[0][0].wait()
    jobs.append(start())
    assert jobs[-1][1] == "0"
    for job, _ in jobs[1:]:
        job.communicate("")


def test_torch_sees_what_the_job_was_given(machine):
    """With torch itself, in a process of its own: hidden devices are no CUDA, whatever the machine has."""
    code = "from interslice.common.gpus import use_gpus; use_gpus({}); import torch; print(torch.cuda.device_count())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0"
