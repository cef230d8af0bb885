import hashlib

from interslice.common.seeds import seed_for


def test_seeds_are_fixed_and_in_range() -> None:
    # By hand: the first four bytes of the sha256 of the three lines, without the sign bit.
    head = hashlib.sha256(b"t1\n4\n2").hexdigest()[:8]
    assert seed_for("t1", 4, 2) == int(head, 16) & 0x7FFFFFFF == 1492675408
    seeds = {seed_for(d, k, r) for d in ("t1", "t", "cine") for k in range(2, 14) for r in range(1, 115)}
    assert len(seeds) == 3 * 12 * 114
    assert all(0 <= seed < 2**31 for seed in seeds)
