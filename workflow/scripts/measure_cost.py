import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.cost import measure_cost

    where = snakemake.wildcards
    measure_cost(
        snakemake.input.low,
        next(map(Path, snakemake.input.checkpoint), None),
        keys={"dataset": where.dataset, "K": int(where.K), "method": where.method},
        settings=snakemake.params.settings,
        subject=snakemake.params.subject,
        threads=snakemake.threads,
        output=Path(snakemake.output[0]),
    )
