"""A copy of the workflow in a temporary folder, with synthetic volumes, run once for all tests."""

import fcntl
import shutil
from pathlib import Path

import pytest
from checkout import Checkout
from tiny_study import write_tiny_study


@pytest.fixture(scope="session")
def new_checkout(tmp_path_factory, lpips_weights):
    """Make a checkout with the tiny study, not yet run."""

    def make() -> Checkout:
        return write_tiny_study(
            tmp_path_factory.mktemp("checkout"), lpips_weights["alex"].parent.parent, ["cae"]
        )

    return make


@pytest.fixture(scope="session")
def finished(new_checkout, tmp_path_factory, worker_id):
    """The tiny study, run to its end by the first pytest worker that needs it; another one takes a copy."""
    if worker_id == "master":
        return run_to_its_end(new_checkout())
    shared = tmp_path_factory.getbasetemp().parent  # the folder of all workers of this run
    with open(shared / "finished.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        note = shared / "finished.txt"
        if not note.exists():
            checkout = run_to_its_end(new_checkout())
            shutil.copytree(checkout.folder, shared / "finished", symlinks=True)
            note.write_text(f"{checkout.resources}")
            return checkout
    folder = tmp_path_factory.mktemp("checkout") / "study"
    shutil.copytree(shared / "finished", folder, symlinks=True)
    return Checkout(folder, folder / "tiny.yaml", Path(note.read_text()))


def run_to_its_end(checkout: Checkout) -> Checkout:
    """Each job in a Python of its own that imports what it needs, as a person has it."""
    log = checkout.folder / "first_run.txt"
    assert checkout.start(log, "--cores", "2").wait() == 0, log.read_text()
    return checkout
