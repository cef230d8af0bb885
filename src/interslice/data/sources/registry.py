"""Which sources there are. In a file of its own, so that no digest of code has it: a new line here reruns nothing."""

# Modules are named, not imported: editing one source reruns its own datasets only.
SOURCES = {
    "packages": "interslice.data.sources.packages",
    "folder": "interslice.data.sources.folder",
    "metaimage": "interslice.data.sources.metaimage",
    "acdc": "interslice.data.sources.acdc",
    "sunnybrook": "interslice.data.sources.sunnybrook",
    "dhcp": "interslice.data.sources.dhcp",
    "oasis": "interslice.data.sources.oasis",
    "mnist": "interslice.data.sources.mnist",
    "lines": "interslice.data.sources.lines",
}
DRAWN = ("mnist", "lines")  # stacks of drawn images: their slices are not millimetres apart
