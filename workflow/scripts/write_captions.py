import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.gaps import write_captions

    params = snakemake.params
    write_captions(
        snakemake.input.means,
        params.trainings,
        params.figures,
        params.lenders,
        params.finished,
        params.datasets,
        snakemake.output[0],
    )
