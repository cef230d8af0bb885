import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.data import decimate_shard

    factor, dataset = int(snakemake.wildcards.K), snakemake.params.dataset
    decimate_shard(Path(snakemake.input.normalised), factor, dataset, snakemake.output[0], snakemake.threads)
