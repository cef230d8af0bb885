"""A copy of the workflow in a temporary folder, with synthetic volumes, run once for all tests."""

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
def finished(new_checkout):
    """The tiny study, run to its end."""
    checkout = new_checkout()
    run = checkout.snakemake("--cores", "2")
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout
