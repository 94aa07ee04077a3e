"""The hash split: sticky, salted, and moving no key that need not move."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from proxy.plain import PlainError
from proxy.splits.base import Before, Split
from proxy.splits.hash import HashSplit
from tests.helpers.routing import arms_of, chosen, entry_of, name_of, spec_of, split_of, view

Shares = dict[str, float]


def hashed(variants: Shares, *, before: Before | None = None, salt: str = "salt") -> Split:
    """A hash split by a header."""
    return split_of("hash", variants=variants, key="header:x-user", salt=salt, before=before)


def entry(variants: Shares, *, before: Before | None = None) -> Before:
    """Its table entry."""
    return entry_of("hash", variants=variants, key="header:x-user", salt="salt", before=before)


def moved_share(before: list[str], after: list[str]) -> float:
    """The part of the keys that changed hands."""
    return sum(a != b for a, b in zip(before, after, strict=True)) / len(before)


def least_share(before: Shares, after: Shares) -> float:
    """The part that has to change hands: what those who grow are short of."""
    total_before, total_after = sum(before.values()), sum(after.values())
    names = before.keys() | after.keys()
    return sum(
        max(0.0, after.get(name, 0) / total_after - before.get(name, 0) / total_before) for name in names
    )


def test_shares_hold() -> None:
    """Keys are divided as the shares say."""
    counts = Counter(chosen(hashed({"v1": 70, "v2": 20, "v3": 10}), range(50_000)))

    # The keys and the salt are fixed; another hash would fail once in a thousand.
    assert chisquare([counts["v1"], counts["v2"], counts["v3"]], [35_000, 10_000, 5_000]).pvalue > 0.001


def test_key_gets_the_same_variant_each_time() -> None:
    """The same key is never sent elsewhere, whatever comes between."""
    split = hashed({"v1": 50, "v2": 50})

    assert chosen(split, range(1_000)) == chosen(split, range(1_000))


def test_two_experiments_are_independent() -> None:
    """Knowing a key's variant in one experiment tells nothing about another."""
    keys = range(20_000)
    first = chosen(hashed({"v1": 50, "v2": 50}, salt="one"), keys)
    second = chosen(hashed({"v1": 50, "v2": 50}, salt="two"), keys)

    pairs = Counter(zip(first, second, strict=True))
    table = [[pairs[a, b] for b in ("v1", "v2")] for a in ("v1", "v2")]
    assert chi2_contingency(table).pvalue > 0.001


def test_salts_that_differ_in_one_bit_are_independent() -> None:
    """Neighbouring salts share no structure, for any pair of eight experiments."""
    keys = range(10_000)
    arms = [chosen(hashed({"v1": 50, "v2": 50}, salt=f"exp{n}"), keys) for n in range(8)]

    for a in range(8):
        for b in range(a):
            same = sum(x == y for x, y in zip(arms[a], arms[b], strict=True))
            # 5 000 expected, standard deviation 50; one of 28 pairs beyond 250 once in 60 000 salts.
            assert abs(same - 5_000) < 250


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"v1": 90, "v2": 10}, {"v1": 50, "v2": 50}),
        ({"v1": 50, "v2": 30, "v3": 20}, {"v1": 40, "v2": 40, "v3": 20}),
        ({"v1": 50, "v2": 30, "v3": 20}, {"v1": 40, "v2": 30, "v3": 30}),
        ({"v1": 50, "v2": 30, "v3": 20}, {"v1": 50, "v2": 20, "v3": 30}),
        ({"v1": 34, "v2": 33, "v3": 33}, {"v1": 25, "v2": 50, "v3": 25}),
        ({"v1": 50, "v2": 50}, {"v1": 40, "v2": 40, "v3": 20}),
        ({"v1": 40, "v2": 40, "v3": 20}, {"v1": 50, "v2": 50}),
        ({"v1": 25, "v2": 25, "v3": 25, "v4": 25}, {"v4": 97, "v3": 1, "v2": 1, "v1": 1}),
    ],
)
def test_only_the_keys_that_must_move_do(before: Shares, after: Shares) -> None:
    """A change of shares moves the theoretical minimum of keys, also when variants come or go."""
    keys = range(20_000)
    old = hashed(before)
    new = hashed(after, before=entry(before))

    share = moved_share(chosen(old, keys), chosen(new, keys))

    least = least_share(before, after)
    # Four standard deviations of the sample of keys.
    assert abs(share - least) <= 4 * (least * (1 - least) / len(keys)) ** 0.5


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"v1": 90, "v2": 5, "v3": 5}, {"v1": 70, "v2": 20, "v3": 10}),
        ({"v1": 80, "v2": 15, "v3": 5}, {"v1": 99, "v2": 1, "v3": 0}),
        ({"v1": 90, "v2": 10}, {"v1": 80, "v2": 20}),
    ],
)
def test_challengers_take_from_the_first_without_a_memory(before: Shares, after: Shares) -> None:
    """With up to three variants the first gives and takes, and nobody else moves, whatever came before."""
    keys = range(20_000)

    share = moved_share(chosen(hashed(before), keys), chosen(hashed(after), keys))

    least = least_share(before, after)
    assert abs(share - least) <= 4 * (least * (1 - least) / len(keys)) ** 0.5


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 100), min_size=4, max_size=4).filter(any), min_size=2, max_size=6))
def test_every_change_of_a_history_moves_the_least(history: list[list[int]]) -> None:
    """However often the shares change, each change moves only what it must."""
    keys = range(2_000)
    names = ("v1", "v2", "v3", "v4")
    before: Before | None = None
    arms: list[str] = []
    last: Shares = {}
    for step in history:
        total = sum(step)
        shares = {name: 100 * part / total for name, part in zip(names, step, strict=True)}
        shares = {name: share for name, share in shares.items() if share == 0 or share >= 0.01}
        # Never below zero by a rounding error, which a configuration would be refused for.
        shares["v1"] = max(0.0, shares.get("v1", 0.0) + 100 - sum(shares.values()))
        now = chosen(hashed(shares, before=before), keys)
        for name, share in shares.items():
            assert abs(now.count(name) / len(keys) - share / 100) <= 6 * (0.25 / len(keys)) ** 0.5
        if arms:
            losers = {a for a, b in zip(arms, now, strict=True) if a != b}
            winners = {b for a, b in zip(arms, now, strict=True) if a != b}
            # Nobody both gives and takes, which is what moving the least means.
            assert not losers & winners
            assert all(shares.get(name, 0) < last[name] for name in losers)
        before, arms, last = entry(shares, before=before), now, shares


def test_unchanged_shares_keep_their_history() -> None:
    """A table that changes something else leaves every range where it was."""
    first = entry({"v1": 50, "v2": 30, "v3": 20})
    second = entry({"v1": 30, "v2": 30, "v3": 40}, before=first)

    again = entry({"v1": 30, "v2": 30, "v3": 40}, before=second)

    assert again.entry["ranges"] == second.entry["ranges"]
    assert second.entry["ranges"] != entry({"v1": 30, "v2": 30, "v3": 40}).entry["ranges"]


def test_another_salt_has_no_past() -> None:
    """Where all keys are shuffled anew there is nothing to keep."""
    past = entry({"v1": 50, "v2": 30, "v3": 20})
    past = Before(dict(past.entry) | {"salt": "other"}, past.variants)

    assert (
        entry({"v1": 30, "v2": 30, "v3": 40}, before=past).entry["ranges"]
        == (entry({"v1": 30, "v2": 30, "v3": 40}).entry["ranges"])
    )


def test_unreadable_past_is_left_alone() -> None:
    """Ranges that make no sense are not gone on with."""
    past = entry({"v1": 50, "v2": 50})
    for ranges in (None, [[0.5, 0]], [[1.0, 7]], "x"):
        broken = Before(dict(past.entry) | {"ranges": ranges}, past.variants)
        assert entry({"v1": 40, "v2": 60}, before=broken).entry == entry({"v1": 40, "v2": 60}).entry


CHILD = """
import json, sys
from tests.helpers.routing import chosen, split_of
variants = {"v1": 50, "v2": 30, "v3": 20}
hashed = split_of("hash", variants=variants, key="header:x-user", salt="salt")
canary = split_of("canary", stable="v1", canary="v2", weight="7%", key="header:x-user", salt="salt")
json.dump([chosen(split, range(3000)) for split in (hashed, canary)], sys.stdout)
"""


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_every_process_agrees(seed: str) -> None:
    """Another process, with another seed for Python's own hashes, sends each key to the same variant."""
    run = subprocess.run(
        [sys.executable, "-c", CHILD],
        capture_output=True,
        check=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
    )

    here = [
        chosen(hashed({"v1": 50, "v2": 30, "v3": 20}), range(3000)),
        chosen(
            split_of("canary", stable="v1", canary="v2", weight="7%", key="header:x-user", salt="salt"),
            range(3000),
        ),
    ]
    assert json.loads(run.stdout) == here


def test_assignment_is_written_down() -> None:
    """These keys went here in the first release; a change of this line moves every user of every split."""
    arms = chosen(hashed({"v1": 50, "v2": 50}), ["ann", "bob", "cid", "dan", "eva", "fay", "gus", "hal"])

    assert arms == ["v2", "v1", "v1", "v2", "v1", "v2", "v2", "v2"]


def test_request_without_a_key_is_drawn() -> None:
    """Those who cannot be recognised are divided by the same shares, each request anew."""
    split = hashed({"v1": 50, "v2": 50})
    counts = Counter(name_of(split.choose(view())) for _ in range(4_000))

    # Six standard deviations.
    assert abs(counts["v1"] - 2_000) < 190


def test_default_key_makes_them_one() -> None:
    """With a default key everyone without one gets the same variant."""
    split = split_of("hash", variants={"v1": 50, "v2": 50}, key="header:x", default_key="nobody")

    assert len({name_of(split.choose(view())) for _ in range(50)}) == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"key": []}, "split.key: must name at least one place"),
        ({"key": ["nowhere"]}, "split.key[0]: 'nowhere' is not a key"),
        ({"key": "header:a"}, "split.key: must be an array"),
        ({"salt": None}, "split.salt: must be a string, not null"),
        ({"epoch": -1}, "split.epoch: must be at least 0"),
        ({"default_key": 5}, "split.default_key: must be a string"),
        ({"weights": [0.5]}, "split.weights: there are 1 for 2 arms"),
        ({"weights": [0.5, 0.4]}, "split.weights: must add up to 1, not 0.9"),
        ({"weights": [1.5, -0.5]}, "split.weights[0]: must be from 0 to 1"),
        ({"ranges": [[0.5, 0]]}, "split.ranges: must end at 1"),
        ({"ranges": []}, "split.ranges: must end at 1"),
        ({"ranges": [[0.5, 0], [0.5, 1], [1.0, 0]]}, "split.ranges[1][0]: must be more than 0.5"),
        ({"ranges": [[0.5, 0], [1.0, 2]]}, "split.ranges[1][1]: there is no arm 2"),
        ({"ranges": [[0.5]]}, "split.ranges[0][1]: must be an integer, not null"),
    ],
)
def test_malformed_entries_are_refused(change: dict[str, object], text: str) -> None:
    """An entry that cannot be used is named with its place."""
    good = entry({"v1": 50, "v2": 50}).entry
    arms = arms_of(spec_of("hash", variants={"v1": 50, "v2": 50}, key="header:a"))

    with pytest.raises(PlainError) as caught:
        HashSplit.from_table(dict(good) | change, arms, "split")

    assert text in str(caught.value)
