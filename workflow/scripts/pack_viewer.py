import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.viewer import pack_viewer

    pack_viewer(
        snakemake.input.normalised,
        snakemake.input.low,
        {method: snakemake.input[method] for method in snakemake.params.methods},
        dataset=snakemake.params.dataset,
        subject=snakemake.params.subject,
        factor=int(snakemake.wildcards.K),
        labels=snakemake.params.labels,
        opened=snakemake.params.opened,
        budget=snakemake.params.budget,
        output=Path(snakemake.output[0]),
    )
