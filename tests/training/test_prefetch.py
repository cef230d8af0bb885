"""Batches drawn ahead are the batches drawn when asked for."""

import itertools
import threading
import time
from contextlib import closing

import numpy as np
import pytest

from interslice.methods import build_method
from interslice.training.loop import batches_of
from interslice.training.prefetch import drawn_ahead
from settings import small_settings
from trainings import phantom_data, run_of


@pytest.mark.parametrize("workers", [1, 4])
def test_the_same_batches_in_the_same_order(workers):
    settings = small_settings("cae", contrast=0.5)
    volumes, _ = phantom_data()
    draw = batches_of(run_of(settings), build_method(settings), volumes, None, None)

    def uneven(step):
        time.sleep(0.01 * (step % 3 == 0))  # later ones would overtake
        return draw(step)

    with closing(drawn_ahead(draw, 5, 0)) as plain, closing(drawn_ahead(uneven, 5, workers)) as ahead:
        for one, other in itertools.islice(zip(plain, ahead, strict=True), 12):
            for first, second in zip(one, other, strict=True):
                np.testing.assert_array_equal(first, second)
    assert not any(thread.name.startswith("draw") for thread in threading.enumerate())


def test_an_error_arrives_with_its_batch():
    def draw(step):
        if step == 2:
            raise ValueError("batch 2")
        return step

    with closing(drawn_ahead(draw, 0, 3)) as batches:
        assert [next(batches), next(batches)] == [0, 1]
        with pytest.raises(ValueError, match="batch 2"):
            next(batches)
