"""Random seeds that all methods share."""

import hashlib


def seed_for(dataset: str, factor: int, repetition: int) -> int:
    """The random seed of one repetition at one anisotropy factor K, in [0, 2**31).

    It never depends on the method, so that all methods see the same draw.
    """
    digest = hashlib.sha256(f"{dataset}\n{factor}\n{repetition}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31
