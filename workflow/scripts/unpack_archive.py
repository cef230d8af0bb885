import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.data.archives import unpack

    settings = snakemake.params.unpack
    limit = int(settings["limit_gib"] * 2**30)
    unpack(snakemake.input[0], snakemake.output[0], members=settings["members"], limit=limit)
