"""A real SLURM cluster of three nodes on the loopback interface: two CPU nodes and one whose two GPUs are null devices.

Needs root on Debian; no systemd, no cgroups, no accounting. Every daemon is stopped by the process id that it wrote, and what a
killed predecessor left is stopped first. `python tests/cluster/slurm_cluster.py up` (or down) does the same by hand.
"""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

BASE = Path(tempfile.gettempdir()) / "interslice-slurm"
# The jobstep plugin strips SLURM_CONF from the environment of a job: only the compiled-in place is found everywhere.
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
NODES = {"cpu1": "CPUs=2", "cpu2": "CPUs=2", "gpu1": "CPUs=4 Gres=gpu:2"}
PACKAGES = ("slurm-wlm", "munge")

SLURM_CONF = """ClusterName=interslice
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={base}/munge/socket
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool/%n
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/%n.pid
SlurmctldLogFile={base}/slurmctld.log
SlurmdLogFile={base}/%n.log
ReturnToService=1
MpiDefault=none
SwitchType=switch/none
TaskPlugin=task/none
ProctrackType=proctrack/linuxproc
# slurmctld forgets which GPU a job had when it ends: its node writes it down.
Prolog={base}/prolog
# Without cgroups memory limits are kept by looking at the processes, here every second.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
MinJobAge=36000
KillWait={kill_wait}
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes=cpu1,cpu2 Default=YES MaxTime=1440 State=UP
PartitionName=gpu Nodes=gpu1 MaxTime=1440 State=UP
"""


PROLOG = """#!/bin/sh
[ -z "$SLURM_JOB_GPUS" ] || echo "$SLURM_JOB_ID $SLURM_JOB_GPUS" >> {base}/gpus
"""


class NoCluster(Exception):
    """No SLURM cluster can be started here; the message says why."""


def run(*command: str, timeout: float = 60) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def wait_for(what: str, ready: Callable[[], object], seconds: float = 30, every: float = 0.1) -> None:
    """Ask until `ready` holds."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(every)


def install() -> None:
    """Debian's packages, where they are missing. Raises NoCluster with the reason."""
    if os.geteuid() != 0:
        raise NoCluster("a SLURM cluster of several nodes on one machine needs root")
    if all(shutil.which(name) for name in ("slurmctld", "slurmd", "munged", "sbatch")):
        return
    if not shutil.which("apt-get"):
        raise NoCluster("SLURM is not installed, and there is no apt-get to install it with")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install_them = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES]
    for command in (install_them, ["apt-get", "update", "-q"], install_them):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode == 0 and command is install_them:
            return
    raise NoCluster(f"apt-get could not install {' and '.join(PACKAGES)}: {done.stderr.strip()[-300:]}")


def start() -> None:
    """Start munged, slurmctld and one slurmd per node. A failure stops what was started."""
    stop()
    for name in FILES:
        if (ETC / name).exists() and not (ETC / name).is_symlink():
            raise NoCluster(f"{ETC / name} is there: this machine belongs to a real cluster")
    try:
        _start()
    except BaseException:
        stop()
        raise


def _start() -> None:
    for folder in ("state", "munge", "devices", *(f"spool/{node}" for node in NODES)):
        (BASE / folder).mkdir(parents=True, mode=0o755)
    BASE.chmod(0o755)
    key = BASE / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    for number in (0, 1):  # as /dev/null: SLURM only wants to see a device
        os.mknod(BASE / "devices" / f"nvidia{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    _write_configuration()
    ETC.mkdir(exist_ok=True)
    for name in FILES:
        (ETC / name).unlink(missing_ok=True)
        (ETC / name).symlink_to(BASE / name)
    munge = [f"--{name}={BASE}/munge/{file}" for name, file in (("key-file", "key"), ("socket", "socket"))]
    munge += [
        f"--log-file={BASE}/munge/log",
        f"--seed-file={BASE}/munge/seed",
        f"--pid-file={BASE}/munged.pid",
    ]
    run("munged", "--force", *munge)
    run("slurmctld", "-i")
    for node in NODES:
        run("slurmd", "-N", node)
    wait_for("three idle nodes", lambda: node_states() == dict.fromkeys(NODES, "idle"))


def _write_configuration() -> None:
    host, port = socket.gethostname().split(".")[0], _free_ports(len(NODES) + 1)
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port[index]} RealMemory=32000 {facts}"
        for index, (node, facts) in enumerate(NODES.items())
    )
    text = SLURM_CONF.format(host=host, port=port[-1], base=BASE, nodes=nodes, kill_wait=20)
    (BASE / "slurm.conf").write_text(text)
    (BASE / "prolog").write_text(PROLOG.format(base=BASE))
    (BASE / "prolog").chmod(0o755)
    (BASE / "gres.conf").write_text(f"NodeName=gpu1 Name=gpu File={BASE}/devices/nvidia[0-1]\n")
    (BASE / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def node_states() -> dict[str, str]:
    """Node to its state, as idle, mixed, down."""
    done = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %T"], capture_output=True, text=True)
    return dict(line.split() for line in done.stdout.splitlines())


@dataclass(frozen=True)
class Job:
    """A job as slurmctld remembers it. `gpus` are the indices that it was given; `comment` names its rule and wildcards."""

    number: str
    comment: str
    state: str
    node: str
    gpus: frozenset[str]
    memory_mb: int
    minutes: str
    started: float
    ended: float

    @property
    def rule(self) -> str:
        return self.comment.removeprefix("rule_").split("_wildcards_")[0]


def jobs() -> list[Job]:
    """Every job, in the order of submission."""
    written = BASE / "gpus"
    gpus = dict(line.split() for line in written.read_text().splitlines()) if written.exists() else {}
    found = []
    for record in run("scontrol", "show", "jobs", "-d").split("\n\n"):
        if "JobId=" in record:
            fields = dict(re.findall(r"(\w+)=(\S*)", record))
            found.append(
                Job(
                    number=fields["JobId"],
                    comment=fields.get("Comment", ""),
                    state=fields["JobState"],
                    node=fields.get("NodeList", ""),
                    gpus=frozenset(filter(None, gpus.get(fields["JobId"], "").split(","))),
                    memory_mb=int(fields["MinMemoryNode"].removesuffix("M")),
                    minutes=fields["TimeLimit"],
                    started=_seconds(fields["StartTime"]),
                    ended=_seconds(fields["EndTime"]),
                )
            )
    return sorted(found, key=lambda job: int(job.number))


def _seconds(stamp: str) -> float:
    return 0.0 if stamp in ("Unknown", "None") else datetime.fromisoformat(stamp).timestamp()


def stop() -> None:
    """Cancel all jobs, stop every daemon by its process id, remove the links and the folder."""
    if not BASE.exists():
        return
    if _alive("slurmctld"):
        for kill in (["--signal=KILL", "--full"], []):  # running jobs, then waiting ones
            subprocess.run(["scancel", "--user=root", *kill], capture_output=True, timeout=30)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and run("squeue", "-h"):
            time.sleep(0.2)
    for process in _processes_of_jobs():
        process.kill()
    for name in (*NODES, "slurmctld", "munged"):
        pid = _alive(name)
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + 5
            if pid:
                os.kill(pid, number)
            while pid and _alive(name) and time.monotonic() < deadline:
                time.sleep(0.05)
            pid = _alive(name)
    for name in FILES:
        link = ETC / name
        if link.is_symlink() and Path(os.readlink(link)).parent == BASE:
            link.unlink()
    shutil.rmtree(BASE)


def _processes_of_jobs() -> list[psutil.Process]:
    """What a job started and the cluster did not end."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SLURM_CLUSTER_NAME") == "interslice":
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _alive(name: str) -> int | None:
    """The process id of a daemon that runs; its name is compared, because ids are used again."""
    try:
        process = psutil.Process(int((BASE / f"{name}.pid").read_text()))
        runs = process.status() != psutil.STATUS_ZOMBIE
        return process.pid if runs and process.name() == ("slurmd" if name in NODES else name) else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


if __name__ == "__main__":
    install()
    {"up": start, "down": stop}[sys.argv[1]]()
