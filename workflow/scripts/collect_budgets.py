import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.budgets import collect_budgets

    collect_budgets(snakemake.params.runs, snakemake.params.profiles, Path(snakemake.output[0]))
