import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.scores import collect_scores

    collect_scores(snakemake.input.scores, snakemake.output[0])
