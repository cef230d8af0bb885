"""How much memory there is to take, also in a container or a job that may have less than the machine."""

import re
from pathlib import Path

import psutil

from interslice.common.errors import InputError

CGROUP, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Of control groups, version 2 and 1: the files of the limit and of what is used, and of that, files that can be given up.
LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_bytes() -> int:
    """What is free on the machine, or up to the limit of a control group of this process where that is less."""
    free = int(psutil.virtual_memory().available)
    for group in control_groups():
        for limit, used, reclaimable in LIMITS:
            try:
                left = int((group / limit).read_text()) - int((group / used).read_text())
            except (OSError, ValueError):  # no such group, or "max"
                continue
            free = min(free, max(0, left + cached_bytes(group / "memory.stat", reclaimable)))
    return free


def cached_bytes(file: Path, key: str) -> int:
    """What a group's statistics say of files that are in memory for speed alone; 0 where they say nothing."""
    try:
        return int(re.findall(rf"^{key} (\d+)$", file.read_text(), re.MULTILINE)[0])
    except (OSError, IndexError):
        return 0


def control_groups() -> list[Path]:
    """The folders of the groups that this process is in: of a container the first one, of a job of a cluster one below."""
    found = []
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    for line in ["0::/", "0:memory:/", *lines]:
        _, controllers, path = line.split(":", 2)
        top = CGROUP / controllers if controllers == "memory" else CGROUP
        if controllers in ("", "memory"):
            own = top / path.strip("/")
            found += [own, *(group for group in own.parents if group.is_relative_to(top))]
    return list(dict.fromkeys(found))


def check_memory(needed: int, name: str) -> None:
    """Refuse what would not fit into the memory that is free, before anything is allocated."""
    free = available_bytes()
    if needed > free:
        raise InputError(
            f"{name}: {needed / 2**30:.1f} GiB of memory are needed, {free / 2**30:.1f} GiB are free"
        )
