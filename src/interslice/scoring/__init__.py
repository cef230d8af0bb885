"""From interpolated volumes to the long table of scores."""
