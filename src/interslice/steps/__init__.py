"""The workflow's steps on files: one function per rule. They read files, call the package and write files."""
