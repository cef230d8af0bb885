"""interslice: a benchmark of through-plane MRI interpolation, and a tool for a scan of one's own."""

__version__ = "0.1.0"
