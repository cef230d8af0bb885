"""What every part uses: errors, files, schemas, processes, provenance, checkpoints."""
