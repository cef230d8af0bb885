import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.data.archives import extract_member

    subject = snakemake.params.subject
    extract_member(snakemake.input.archive, subject["member"], subject["sha256"], snakemake.output[0])
