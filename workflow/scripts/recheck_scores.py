import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.recheck import recheck_scores

    given, params = snakemake.input, snakemake.params
    recheck_scores(
        given.scores,
        given.places,
        params.sides,
        backbone=(params.lpips, Path(given.backbone[0])) if given.backbone else None,
        output=Path(snakemake.output[0]),
    )
