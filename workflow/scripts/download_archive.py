import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]) as progress:
    from pathlib import Path

    from interslice.steps.fetch import download_archive

    params = snakemake.params
    download_archive(params.dataset, params.remote, Path(snakemake.output[0]), progress)
