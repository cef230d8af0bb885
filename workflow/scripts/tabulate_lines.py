import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.lines import tabulate_lines

    tabulate_lines(snakemake.params.volumes, snakemake.params.display, snakemake.output)
