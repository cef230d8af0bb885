import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]) as progress:
    from pathlib import Path

    from interslice.steps.fetch import fetch_package

    fetch_package(snakemake.params.package, Path(snakemake.output[0]), progress)
