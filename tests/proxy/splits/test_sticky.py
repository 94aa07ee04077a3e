"""Keys become fractions in one fixed way."""

from __future__ import annotations

from xxhash import xxh3_64_intdigest

from proxy.splits.sticky import GROUP_MASK, SCALE, fraction_of, seed_of


def test_hash_is_the_published_one() -> None:
    """XXH3 with 64 bits of nothing, seed 0, as its authors publish it: the library computes what we mean."""
    assert xxh3_64_intdigest(b"", 0) == 0x2D06800538D394C2
    assert fraction_of(b"", 0) == 0x2D06800538D394C2 / 2**64


def test_seed_is_salt_and_epoch() -> None:
    """The seed is the hash of salt, a zero byte and the epoch in digits."""
    assert seed_of("fraud/v2", 3) == xxh3_64_intdigest(b"fraud/v2\x003", 0)
    assert len({seed_of(salt, epoch) for salt in ("a", "b") for epoch in (1, 2)}) == 4


def test_fraction_is_scaled_exactly() -> None:
    """The largest hash rounds to 1, which is why last ranges are open; no other step of the way rounds."""
    assert (2**64 - 1) * SCALE == 1.0
    assert 2**63 * SCALE == 0.5
    assert all(0.0 <= fraction_of(b"%d" % n, 7) <= 1.0 for n in range(1_000))


def test_groups_say_nothing_about_where_keys_go() -> None:
    """Among the keys of any range every group is as large as among all: chi-squared with 63 degrees."""
    seed = seed_of("fraud/v2", 1)
    digests = [xxh3_64_intdigest(b"user-%d" % n, seed) for n in range(64_000)]
    for low, high in ((0.0, 0.01), (0.0, 0.1), (0.5, 1.1)):
        groups = [d & GROUP_MASK for d in digests if low <= d * SCALE < high]
        expected = len(groups) / 64
        deviation = sum((groups.count(g) - expected) ** 2 / expected for g in range(64))

        # Exceeded with a chance of one in a million.
        assert deviation < 130
