"""From the long table to comparisons: numbers, no drawing."""
