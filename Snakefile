# Lets `snakemake` run from the repository's root; the workflow is in workflow/.
include: "workflow/Snakefile"


workflow.default_target = "all"
