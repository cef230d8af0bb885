"""The cluster, the tiny study run on one machine, and the same study through profiles/slurm."""

import sys
from pathlib import Path

import pytest
import slurm_cluster
from checkout import Checkout
from studies import TABLES
from tiny_study import write_tiny_study


@pytest.fixture(scope="session")
def cluster():
    """A running cluster; stopped whatever happens."""
    try:
        slurm_cluster.install()
        slurm_cluster.start()
    except slurm_cluster.NoCluster as reason:
        print(f"the cluster tests are skipped: {reason}", file=sys.stderr)
        pytest.skip(str(reason))
    yield slurm_cluster
    slurm_cluster.stop()


@pytest.fixture(scope="session")
def resources(lpips_weights) -> Path:
    return lpips_weights["alex"].parent.parent


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, resources) -> Checkout:
    """The tables of the tiny study, made on this machine."""
    checkout = write_tiny_study(tmp_path_factory.mktemp("undisturbed"), resources)
    run = checkout.snakemake("--cores", "2", *TABLES)
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout
