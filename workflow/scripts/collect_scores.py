import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.scoring.longtable import collect_means

    collect_means(snakemake.input.means, Path(snakemake.output[0]))
