"""A small training on phantoms: its data, its run, and the comparison of two results."""

import numpy as np
import torch

from interslice.data.volumes import Volume, decimate, reference_slices
from interslice.training.loop import Run
from interslice.training.validation import Pair
from phantoms import ellipsoids

FACTOR = 2


def phantom_data(count=2):
    """Low-resolution training volumes and one validation pair."""
    volumes = [Volume(ellipsoids((25, 28, 24), seed)[np.newaxis], np.eye(4), 2) for seed in range(count + 1)]
    low = [decimate(volume, FACTOR, "none").data for volume in volumes]
    return low[:count], [Pair(low[count][0], reference_slices(volumes[count].data, FACTOR)[0])]


def run_of(settings, seed=7, digest="code"):
    return Run("test", settings, seed, FACTOR, digest, ["a", "b"])


def timeless(state):
    """A finished training's state without what the clock decides."""
    history = [{key: row[key] for key in row if key != "compute_seconds"} for row in state["history"]]
    clocks = ("history", "seconds", "compute_seconds")
    return {key: value for key, value in state.items() if key not in clocks} | {"history": history}


def same_weights(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
