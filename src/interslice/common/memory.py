"""How much memory there is to take, also in a container or a job that may have less than the machine."""

from pathlib import Path

import psutil

from interslice.common.errors import InputError

CGROUP = Path("/sys/fs/cgroup")
# Of control groups, version 2 and 1: the file of the limit and that of what is used.
LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def available_bytes() -> int:
    """What is free on the machine, or up to the limit of the control group where that is less."""
    free = int(psutil.virtual_memory().available)
    for limit, used in LIMITS:
        try:
            left = int((CGROUP / limit).read_text()) - int((CGROUP / used).read_text())
        except (OSError, ValueError):  # no such group, or "max"
            continue
        free = min(free, max(0, left))
    return free


def check_memory(needed: int, name: str) -> None:
    """Refuse what would not fit into the memory that is free, before anything is allocated."""
    free = available_bytes()
    if needed > free:
        raise InputError(
            f"{name}: {needed / 2**30:.1f} GiB of memory are needed, {free / 2**30:.1f} GiB are free"
        )
