import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.data import normalise_shard

    params, where, output = snakemake.params, snakemake.wildcards, Path(snakemake.output[0])
    index, shard = Path(snakemake.input.index), int(where.shard)
    normalise_shard(index, shard, params.shards, params.dataset, where.made, output, snakemake.threads)
