"""Interpolation of a scan of one's own."""
