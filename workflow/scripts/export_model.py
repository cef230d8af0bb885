import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.pretrained import export_model

    export_model(
        Path(snakemake.input.model),
        Path(snakemake.input.provenance),
        snakemake.params.dataset,
        snakemake.params.slice_profile,
        Path(snakemake.output[0]),
    )
