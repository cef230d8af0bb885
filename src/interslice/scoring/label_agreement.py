"""Whether anatomy is found again in synthesised slices, segmented from the labels of the kept ones: an expert's say."""

import math

import numpy as np
import skimage


def label_dice(result: np.ndarray, labels: np.ndarray, factor: int) -> float:
    """Mean Dice over the labels above 0 between an expert's labels and a segmentation of the synthesised slices.

    As a person would go on from contours in the slices that were scanned: where the labels of the kept slices before and after
    a synthesised one agree they hold, and the rest is segmented by random walks in its image (Grady 2006, as scikit-image has
    it, beta 130), which boundaries stop. Labels of synthesised slices are used to score alone. A label counts that lies in a
    synthesised slice and in the seeds: neither depends on a method. Not what a trained network would find, and below 1 for the
    very reference: compare with the oracle.

    result: (slices, rows, columns) in [0, 1]; labels: integers of the same shape. NaN without a label that counts.
    """
    found, truth, seeded = [], [], []
    for index in range(len(result)):
        if index % factor:
            before, after = labels[index // factor * factor], labels[(index // factor + 1) * factor]
            found.append(spread(result[index], before, before == after))
            truth.append(labels[index])
            seeded.append(np.where(before == after, before, 0))
    ours, theirs = np.array(found), np.array(truth)
    counted = np.intersect1d(theirs[theirs > 0], seeded)
    dice = [
        2 * np.count_nonzero((ours == n) & (theirs == n)) / np.count_nonzero([ours == n, theirs == n])
        for n in counted
    ]
    return float(np.mean(dice)) if dice else math.nan


def spread(image: np.ndarray, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A slice's labels, spread from where they are known to where they are not; background where no walk leads or ends."""
    if known.all() or not known.any() or image.min() == image.max():
        return np.where(known, labels, 0)
    # The walker renumbers seeds from 1 without a gap, and 0 is what it is asked for.
    names = np.unique(labels[known])
    seeds = np.where(known, np.searchsorted(names, labels) + 1, 0)
    walked = skimage.segmentation.random_walker(image.astype(np.float64), seeds, mode="cg_j", tol=1e-6)
    return np.where(walked > 0, names[walked - 1], 0)
