"""Batches drawn while the device computes."""

import itertools
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

Batch = tuple[np.ndarray, np.ndarray]


def drawn_ahead(draw: Callable[[int], Batch], first: int, workers: int) -> Generator[Batch, None, None]:
    """draw(first), draw(first + 1), ...: as they are asked for, or by so many threads up to two batches each ahead.

    A draw depends on its number alone, so the batches are the same and in the same order. An error of a draw is raised where
    its batch is asked for. Close the iterator: it ends the threads.
    """
    if not workers:
        yield from map(draw, itertools.count(first))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="draw")
    try:
        waiting = deque(pool.submit(draw, step) for step in range(first, first + 2 * workers))
        for step in itertools.count(first + 2 * workers):
            yield waiting.popleft().result()
            waiting.append(pool.submit(draw, step))
    finally:
        pool.shutdown(cancel_futures=True)
