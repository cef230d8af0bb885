"""The GPUs of this machine and the share of a job. No torch here: a job without a GPU hides them before torch looks."""

import fcntl
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

VISIBLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")
_claims: list[IO[str]] = []  # held as long as the process lives


def visible_gpus() -> list[str]:
    """What CUDA would number from 0 here: the entries of CUDA_VISIBLE_DEVICES, or the NVIDIA devices of the machine."""
    if VISIBLE in os.environ:
        named = [entry.strip() for entry in os.environ[VISIBLE].split(",")]
        # CUDA ignores what follows an entry that is no device.
        stop = next((i for i, entry in enumerate(named) if entry in ("", "-1")), len(named))
        return named[:stop]
    numbers = (re.fullmatch(r"nvidia(\d+)", path.name) for path in DEVICES.glob("nvidia*"))
    return sorted((number[1] for number in numbers if number), key=int)


def use_gpus(resources: Mapping[str, Any]) -> None:
    """Let this process, before it imports torch, see the GPU that its job was given: none, or a free one of those in sight.

    resources: those of the job; a GPU is given as `gpu`, or to jobs that share one as SLURM's `gres`. The first that no other
    job of this user holds is taken, and held until the process ends; where all are held, because more jobs run than there are
    GPUs, the choice is torch's.
    """
    if not (resources.get("gpu") or "gpu" in str(resources.get("gres", ""))):
        os.environ[VISIBLE] = ""
        return
    for name in visible_gpus():
        if _claim(name):
            os.environ[VISIBLE] = name
            return


def _claim(name: str) -> bool:
    """Hold a GPU by a lock that ends with the process, however it ends; False where another process holds it."""
    place = re.sub(r"\W+", "-", name)
    lock = Path(tempfile.gettempdir()) / f"interslice-{os.getuid()}-gpu-{place}.lock"
    file = open(lock, "w")  # noqa: SIM115 (closing it would give the GPU back)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _claims.append(file)
    return True
