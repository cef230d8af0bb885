"""The tiny study whose Snakemake is killed with -9 at random moments and restarted as documented, until it is done."""

import os
import random
import shutil
import signal
import time

import pytest

KILLS = int(os.environ.get("CHAOS_KILLS", "20"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
TABLES = ["results/tiny/tables", "results/tiny/statistics.csv", "results/tiny/means.parquet"]


def made_by(checkout):
    """What must not depend on the kills: name to content."""
    results = checkout.folder / "results/tiny"
    paths = [results / "statistics.csv", results / "summary.txt", results / "means.parquet"]
    paths += sorted((results / "tables").iterdir())
    return {str(path.relative_to(results)): path.read_bytes() for path in paths}


def wait_for_a_moment(process, output, chance, longest):
    """Wait for a random moment of the run, one time in four of its start-up; whether it still runs then."""
    if chance.random() < 0.25:
        deadline = time.monotonic() + chance.uniform(0.5, 4)
    else:
        while "Execute" not in output.read_text() and process.poll() is None:
            time.sleep(0.05)
        deadline = time.monotonic() + chance.uniform(0, longest)
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    return process.poll() is None


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_the_tables_do_not_depend_on_kills(new_checkout):
    undisturbed = new_checkout()
    started = time.monotonic()
    run = undisturbed.snakemake("--cores", "2", *TABLES)
    seconds = time.monotonic() - started
    assert run.returncode == 0, run.stdout + run.stderr
    print(f"undisturbed: {seconds:.0f} s")

    checkout, chance, kills = new_checkout(), random.Random(SEED), 0
    output = checkout.folder / "snakemake.txt"
    started = time.monotonic()
    while kills < KILLS:
        output.unlink(missing_ok=True)
        process = checkout.start(output, "--cores", "2", "--rerun-incomplete", *TABLES)
        if wait_for_a_moment(process, output, chance, seconds / 8):
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            recovery = checkout.recover()
            assert recovery.returncode == 0, recovery.stdout + recovery.stderr
            done = sum(1 for _ in (checkout.folder / "results").rglob("*.parquet"))
            print(
                f"kill {kills} after {time.monotonic() - started:.0f} s, {done} score files: {recovery.stdout.strip()}"
            )
        else:  # done before the last kill: once more from the start
            assert process.returncode == 0, output.read_text()
            assert made_by(checkout) == made_by(undisturbed)
            shutil.rmtree(checkout.folder / "results")
    run = checkout.snakemake("--cores", "2", "--rerun-incomplete", *TABLES)
    assert run.returncode == 0, run.stdout + run.stderr
    assert made_by(checkout) == made_by(undisturbed)
    assert not [path for path in checkout.folder.rglob("*") if "partial" in path.name]
    assert checkout.planned(*TABLES) == {}
