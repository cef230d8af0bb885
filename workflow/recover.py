"""After a Snakemake that was killed: end the jobs that it left behind, on this machine and on SLURM, and unlock the folder.

    python workflow/recover.py && snakemake --cores 8 --rerun-incomplete            (on one machine)
    python workflow/recover.py && snakemake --profile profiles/slurm                (on a cluster, on the same login node)

A restarted Snakemake knows nothing of the jobs of the one before: without this, two would write the same files. It is run in
the folder in which Snakemake ran, and refuses while a Snakemake still runs there.
"""

import contextlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from interslice.common.files import remove

HERE = Path.cwd()
PATIENCE_S = 120  # a training that is told to end saves its state first


def processes_here() -> list[psutil.Process]:
    """Processes of this user that work in this folder, without the jobs of a SLURM node that is this machine."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == HERE and "SLURM_JOB_ID" not in process.environ():
                found.append(process)
        except (psutil.Error, OSError):  # another user's, or gone by now
            continue
    return found


def is_job(process: psutil.Process) -> bool:
    """Whether a process is the script of a job."""
    return any(".snakemake/scripts/" in argument for argument in process.cmdline())


def is_snakemake(process: psutil.Process) -> bool:
    """Whether a process is Snakemake itself."""
    return any(Path(argument).name == "snakemake" for argument in process.cmdline()[:3])


def programs_of(jobs: list[psutil.Process]) -> list[psutil.Process]:
    """What jobs have started: an external program outlives its job."""
    found = []
    for job in jobs:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += job.children(recursive=True)
    return found


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended. One that has is still listed where nothing takes its exit code, as in some containers."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def slurm_jobs() -> list[str]:
    """Jobs of this user that were submitted from this folder."""
    if not shutil.which("squeue"):
        return []
    done = subprocess.run(["squeue", "--me", "-h", "-o", "%i %Z"], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"squeue does not answer, jobs on SLURM were not looked for: {done.stderr.strip()}")
    rows = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return [number for number, folder in rows if Path(folder) == HERE]


def main() -> int:
    """Refuse, or end what was left behind; the exit code."""
    for process in processes_here():
        if is_snakemake(process):
            print(
                f"a Snakemake still runs in this folder (process {process.pid}): stop it first, or let it finish"
            )
            return 1
    orphans = [process for process in processes_here() if is_job(process)]
    programs = programs_of(orphans)
    for process in orphans:
        process.terminate()
    deadline = time.monotonic() + PATIENCE_S
    while running(orphans) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in running([*orphans, *programs]):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    jobs = slurm_jobs()
    if jobs:
        subprocess.run(["scancel", *jobs], check=True)
    deadline = time.monotonic() + PATIENCE_S
    while slurm_jobs():
        if time.monotonic() > deadline:
            print(
                f"SLURM did not end the jobs {' '.join(slurm_jobs())} within {PATIENCE_S} s: see squeue, and try again"
            )
            return 1
        time.sleep(0.5)
    partial = [path for path in (HERE / "results").rglob(".partial-*") if path.exists()]
    for path in partial:
        remove(path)
    print(f"ended {len(orphans)} local and {len(jobs)} SLURM jobs, removed {len(partial)} unfinished files")
    return subprocess.run([sys.executable, "-m", "snakemake", "--unlock"]).returncode


if __name__ == "__main__":
    sys.exit(main())
