"""Recovery after a Snakemake that was killed, on one machine; on a cluster it is in tests/cluster."""

import subprocess
import sys
import time

import psutil

PATIENCE_S = 120  # that recovery has with a job that was told to end


def test_recovery_is_refused_while_snakemake_runs(new_checkout):
    """A process with Snakemake's command line and folder: the documented recovery must not unlock its folder."""
    checkout = new_checkout()
    folder = checkout.folder
    pretend = folder / "snakemake"
    pretend.write_text("#!/bin/sh\nsleep 60\n")
    pretend.chmod(0o755)
    running = subprocess.Popen([str(pretend), "--cores", "1"], cwd=folder)
    try:
        refused = checkout.recover()
    finally:
        running.kill()
        running.wait()
    assert refused.returncode == 1
    assert f"a Snakemake still runs in this folder (process {running.pid})" in refused.stdout


def test_recovery_ends_the_program_that_a_job_has_started(new_checkout):
    """As an external peer of which the job was killed: it would go on for hours. The job's parent does not wait for it."""
    checkout = new_checkout()
    folder = checkout.folder
    job = folder / ".snakemake" / "scripts" / "job.py"
    job.parent.mkdir(parents=True)
    job.write_text("import subprocess\nprint(subprocess.Popen(['sleep', '300']).pid, flush=True)\ninput()\n")
    with subprocess.Popen(
        [sys.executable, str(job)], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        program = psutil.Process(int(running.stdout.readline()))
        try:
            asked = time.monotonic()
            recovery = checkout.recover()
            assert time.monotonic() - asked < PATIENCE_S, "a job that has ended is not waited for"
            assert running.wait(10) != 0
            assert "ended 1 local" in recovery.stdout
            assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE
        finally:
            running.kill()
            if program.is_running():
                program.kill()
