"""A study in which the tests hold trainings and strike jobs."""

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from checkout import Checkout
from slurm_cluster import Job
from studies import SETTINGS, SMALL, TABLES

HELD_AT = 4  # of six steps; the resume file is written every second step
# Appended to the copy's sampling.py: a training that gets there waits for the test, which lets it go on or makes it eat memory.
HOLD = f"""

_undisturbed = draw_batch


def draw_batch(*arguments, **keywords):
    import inspect, os, time
    from pathlib import Path

    step = inspect.signature(_undisturbed).bind(*arguments, **keywords).arguments["step"]
    job, ballast = os.environ["SLURM_JOB_ID"], []
    while step == {HELD_AT} and not Path("faults", f"go-{{job}}").exists():
        Path("faults", f"held-{{job}}").touch()
        if Path("faults", f"eat-{{job}}").exists():
            ballast.append(b"x" * 10**8)
        time.sleep(0.1)
    return _undisturbed(*arguments, **keywords)
"""


@dataclass
class Storm:
    """The run, what it printed, and what was done to it."""

    checkout: Checkout
    cluster: ModuleType
    struck: dict[str, Job] = field(default_factory=dict)  # fault to job
    logs: dict[str, str] = field(default_factory=dict)  # fault to the log of the training when it struck
    told_to_end: list[Job] = field(default_factory=list)
    recovery: str = ""

    @property
    def output(self) -> Path:
        return self.checkout.folder / "snakemake.txt"

    def start(self) -> subprocess.Popen[bytes]:
        return self.checkout.start(self.output, *SETTINGS, *TABLES, *SMALL)

    def mark(self, what: str, job: Job) -> Path:
        return self.checkout.folder / "faults" / f"{what}-{job.number}"

    def held(self) -> list[Job]:
        return [job for job in self.running("train_method") if self.mark("held", job).exists()]

    def running(self, rule: str) -> list[Job]:
        return [job for job in self.cluster.jobs() if (job.rule, job.state) == (rule, "RUNNING")]

    def now(self, job: Job) -> Job:
        return next(one for one in self.cluster.jobs() if one.number == job.number)

    def training(self, job: Job) -> str:
        """dataset/K/folder of a training, as in its paths."""
        dataset, factor, *training = job.comment.split("_wildcards_")[1].split("_")
        return f"{dataset}/K{factor}/{'_'.join(training)}"

    def log_of(self, job: Job) -> str:
        return (self.checkout.folder / f"results/logs/train_method/{self.training(job)}.log").read_text()

    def strike(self, fault: str, job: Job, *command: str) -> None:
        self.struck[fault], self.logs[fault] = job, self.log_of(job) if job.rule == "train_method" else ""
        if command:
            subprocess.run(command, check=True, capture_output=True)

    def release_those_told_to_end(self) -> None:
        """A held training that was told to end then finishes its step, saves and leaves."""
        for job in self.told_to_end:
            if self.now(job).state != "RUNNING":
                self.mark("go", job).touch()


def prepare(undisturbed: Checkout, folder: Path, cluster: ModuleType) -> Storm:
    """A copy of the finished study whose trainings can be held: they, and what follows, are to be done again."""
    shutil.copytree(undisturbed.folder, folder, symlinks=True)
    sampling = folder / "src/interslice/training/triplets.py"
    sampling.write_text(sampling.read_text() + HOLD)
    (folder / "faults").mkdir()
    shutil.rmtree(folder / "results/tiny/tables")
    shutil.rmtree(folder / "results/train_method")
    return Storm(Checkout(folder, folder / "tiny.yaml", undisturbed.resources), cluster)


def kill_snakemake_and_recover(storm: Storm) -> None:
    """kill -9 while two trainings run: they run on, a second Snakemake is refused, the documented line ends them."""
    process = storm.start()
    try:
        storm.cluster.wait_for(
            "two held trainings", lambda: process.poll() is not None or len(storm.held()) == 2, 900
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    orphans = storm.held()
    assert len(orphans) == 2, storm.output.read_text()
    for number, job in enumerate(orphans):
        storm.strike(f"orphan {number}", job)
    refused = storm.checkout.snakemake(*SETTINGS, *TABLES, *SMALL)
    assert refused.returncode != 0
    assert "locked" in refused.stdout + refused.stderr
    assert [job.number for job in storm.held()] == [job.number for job in orphans], (
        "the jobs outlive the Snakemake that submitted them"
    )
    command = [sys.executable, "workflow/recover.py"]
    recovery = subprocess.Popen(command, cwd=storm.checkout.folder, stdout=subprocess.PIPE, text=True)
    storm.told_to_end = orphans
    while recovery.poll() is None:
        storm.release_those_told_to_end()
        time.sleep(0.3)
    storm.recovery = recovery.communicate()[0]
    assert recovery.returncode == 0, storm.recovery


def make_weather(storm: Storm) -> None:
    """Run to the end: of two trainings one eats its memory and is cancelled when it is tried again, the other is out of
    time; the node of an evaluation goes down. All else goes on."""
    process = storm.start()
    try:
        while process.poll() is None:
            storm.release_those_told_to_end()
            for job in storm.held():
                if (
                    job.number not in {struck.number for struck in storm.struck.values()}
                    and not storm.mark("go", job).exists()
                ):
                    strike_training(storm, job)
            evaluations = storm.running("interpolate_volumes")
            if evaluations and "node" not in storm.struck:
                job, down = evaluations[0], ("State=DOWN", "Reason=test")
                storm.strike("node", job, "scontrol", "update", f"NodeName={job.node}", *down)
            time.sleep(0.3)
    finally:
        if process.poll() is None:
            process.kill()
        up = ["scontrol", "update", "NodeName=cpu1,cpu2", "State=RESUME"]
        subprocess.run(up, capture_output=True)
    assert process.returncode == 0, storm.output.read_text()


def strike_training(storm: Storm, job: Job) -> None:
    """The next fault for a held training."""
    same = {fault for fault, victim in storm.struck.items() if storm.training(victim) == storm.training(job)}
    if "memory" not in storm.struck:
        storm.strike("memory", job, "touch", str(storm.mark("eat", job)))
    elif "memory" in same and "cancelled" not in storm.struck:
        storm.strike("cancelled", job, "scancel", job.number)
        storm.told_to_end.append(job)
    elif "time" not in storm.struck:
        storm.strike("time", job, "scontrol", "update", f"JobId={job.number}", "EndTime=now+1seconds")
        storm.told_to_end.append(job)
    else:
        storm.mark("go", job).touch()
