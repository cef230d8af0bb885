import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.data import normalise_shard

    shard = int(snakemake.wildcards.shard)
    normalise_shard(
        snakemake.input.index, shard, snakemake.params.dataset, snakemake.output[0], snakemake.threads
    )
