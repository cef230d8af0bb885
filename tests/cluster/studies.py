"""How the tests call Snakemake on the cluster, and what of two runs must be the same."""

from pathlib import Path

from checkout import Checkout

# What a user would write into the profile, and a quicker pace than a busy cluster deserves.
SETTINGS = ["--profile", "profiles/slurm", "--set-resources", "train_method:slurm_partition=gpu"]
SETTINGS += ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"]
# The memory limit that a test exceeds should be reached soon.
SMALL = ["--config", "memory_mb={train: 1500}"]
TABLES = ["results/tiny/tables", "results/tiny/statistics.csv"]


def same_tables(first: Checkout, second: Checkout) -> None:
    """Assert that statistics and tables are the same, byte by byte."""
    names = ["statistics.csv", "summary.txt", *(f"tables/{path.name}" for path in tables_of(first))]
    assert len(names) > 5
    assert [path.name for path in tables_of(first)] == [path.name for path in tables_of(second)]
    for name in names:
        one, other = ((checkout.folder / "results/tiny" / name).read_bytes() for checkout in (first, second))
        assert one == other, f"{name} differs"


def tables_of(checkout: Checkout) -> list[Path]:
    return sorted((checkout.folder / "results/tiny/tables").iterdir())
