import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.audit import tabulate_audit

    tabulate_audit(
        snakemake.input.strict,
        snakemake.input.rescored,
        snakemake.params.pairs,
        brain=snakemake.params.brain,
        confidence=snakemake.params.confidence,
        output=snakemake.output[0],
    )
