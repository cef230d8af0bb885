"""Faults on one machine: a full disk and a second run in the same folder. The faults of a cluster are in tests/cluster."""

import shutil
import subprocess
import sys
import time

import psutil
import pytest
from checkout import Checkout

from interslice.files import remove

TABLES = ["results/tiny/tables", "results/tiny/statistics.csv"]
PLACE = "results/tiny/evaluate_method/phantoms/K2/linear"


@pytest.fixture
def on_small_disk(finished, tmp_path):
    """A copy of the finished study whose evaluations of one method lie on a file system of 40 KiB."""
    folder = tmp_path / "study"
    shutil.copytree(finished.folder, folder)
    made_of_it = [
        folder / "results/tiny" / name
        for name in ("scores.parquet", "statistics.csv", "tables", "summary.txt")
    ]
    for path in [
        *(folder / PLACE).iterdir(),
        *made_of_it,
    ]:  # Snakemake does not miss what nothing needs any more
        remove(path)
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(folder / PLACE)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a file system of its own needs root: {mounted.stderr.strip()}")
    try:
        yield Checkout(folder, folder / "tiny.yaml", finished.resources)
    finally:
        subprocess.run(["umount", str(folder / PLACE)], check=True)


def test_a_full_disk_and_a_second_run_in_the_folder(on_small_disk, finished):
    study, place = on_small_disk, on_small_disk.folder / PLACE
    run = study.snakemake("--cores", "1", *TABLES)
    output = run.stdout + run.stderr
    assert run.returncode != 0
    assert "not written, its file system is full" in output
    assert "Traceback" not in output
    assert [path for path in place.rglob("*") if path.is_file()] == [], (
        "nothing that could be taken for a result"
    )

    subprocess.run(["mount", "-o", "remount,size=4m", str(place)], check=True)
    log = study.folder / "first.txt"
    first = study.start(log, "--cores", "1", *TABLES)
    locks = study.folder / ".snakemake" / "locks"
    while not list(locks.glob("*")) and first.poll() is None:
        time.sleep(0.05)
    second = study.snakemake("--cores", "1", *TABLES)
    assert first.wait() == 0, log.read_text()
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout + second.stderr
    for path in (finished.folder / "results/tiny/tables").iterdir():
        assert (study.folder / "results/tiny/tables" / path.name).read_bytes() == path.read_bytes()
    name = "results/tiny/statistics.csv"
    assert (study.folder / name).read_bytes() == (finished.folder / name).read_bytes()


def test_recovery_is_refused_while_snakemake_runs(finished, tmp_path):
    """A process with Snakemake's command line and folder: the documented recovery must not unlock its folder."""
    folder = tmp_path / "study"
    shutil.copytree(finished.folder / "workflow", folder / "workflow")
    shutil.copytree(finished.folder / "src", folder / "src")
    pretend = folder / "snakemake"
    pretend.write_text("#!/bin/sh\nsleep 60\n")
    pretend.chmod(0o755)
    running = subprocess.Popen([str(pretend), "--cores", "1"], cwd=folder)
    try:
        refused = Checkout(folder, folder / "tiny.yaml", tmp_path).recover()
    finally:
        running.kill()
        running.wait()
    assert refused.returncode == 1
    assert f"a Snakemake still runs in this folder (process {running.pid})" in refused.stdout


def test_recovery_ends_the_program_that_a_job_has_started(finished, tmp_path):
    """As an external peer of which the job was killed: it would go on for hours."""
    folder = tmp_path / "study"
    for name in ("workflow", "src", "config", "resources"):
        shutil.copytree(finished.folder / name, folder / name, ignore=shutil.ignore_patterns("*.pt"))
    for name in ("Snakefile", "tiny.yaml"):
        shutil.copyfile(finished.folder / name, folder / name)
    job = folder / ".snakemake" / "scripts" / "job.py"
    job.parent.mkdir(parents=True)
    job.write_text("import subprocess\nprint(subprocess.Popen(['sleep', '300']).pid, flush=True)\ninput()\n")
    with subprocess.Popen(
        [sys.executable, str(job)], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        program = psutil.Process(int(running.stdout.readline()))
        try:
            recovery = Checkout(folder, folder / "tiny.yaml", tmp_path).recover()
            assert running.wait(10) != 0
            assert "ended 1 local" in recovery.stdout
            assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE
        finally:
            running.kill()
            if program.is_running():
                program.kill()
