"""The tree agrees with an independent implementation of RFC 9162, proof by proof."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree, InvalidProof, verify_consistency, verify_inclusion

from control.audit import merkle
from control.audit.canonical import leaf_hash
from control.audit.merkle import Frontier, consistency_ranges, inclusion_ranges, perfect_nodes, prove

SIZE_MAX = 300
BODIES = [b"event %d" % number for number in range(SIZE_MAX)]
LEAVES = [leaf_hash(body) for body in BODIES]


def oracle() -> Any:
    """A tree with all leaves, made by a library that has nothing to do with ours."""
    tree = InmemoryTree(algorithm="sha256")
    for body in BODIES:
        tree.append_entry(body)
    return tree


def node(one: merkle.Node) -> bytes:
    level, index = one
    return merkle.root_of(LEAVES[index << level : (index + 1) << level])


def foreign_root(tree: Any, size: int) -> bytes:
    return bytes(tree.get_root(size))


def test_roots_agree_for_every_size() -> None:
    """A compact frontier gives the root of the whole tree."""
    tree, frontier = oracle(), Frontier()
    assert frontier.root() == hashlib.sha256(b"").digest()
    for size, leaf in enumerate(LEAVES, 1):
        frontier.append(leaf)
        assert frontier.root() == foreign_root(tree, size)
        assert len(frontier.stored) == 32 * size.bit_count()


def test_every_inclusion_proof_leads_to_the_foreign_root() -> None:
    """For every tree size up to 300 and every leaf in it: 45 150 proofs."""
    tree = oracle()
    cache: dict[merkle.Node, bytes] = {}

    def cached(one: merkle.Node) -> bytes:
        if one not in cache:
            cache[one] = node(one)
        return cache[one]

    for size in range(1, SIZE_MAX + 1):
        root = foreign_root(tree, size)
        for index in range(size):
            path = prove(inclusion_ranges(index, size), cached)
            assert merkle.root_by_inclusion(LEAVES[index], index, size, path) == root


def hashes(ranges: list[tuple[int, int]]) -> list[str]:
    return sorted(prove([one], node)[0].hex() for one in ranges)


def test_the_oracle_makes_and_accepts_the_same_inclusion_proofs() -> None:
    """For every size, of the first, a middle and the last leaf: the same hashes, and our root is its root."""
    tree = oracle()
    for size in range(1, SIZE_MAX + 1):
        for index in sorted({0, size // 3, size - 1}):
            proof = tree.prove_inclusion(index + 1, size)

            # The oracle's path also holds the leaf itself.
            assert sorted(proof.serialize()["path"]) == hashes(
                [*inclusion_ranges(index, size), (index, index + 1)]
            )
            verify_inclusion(LEAVES[index], merkle.root_of(LEAVES[:size]), proof)


def test_the_oracle_finds_our_roots_consistent() -> None:
    """For every size, from several smaller ones, by its own kind of proof, which is not that of the RFC."""
    tree = oracle()
    roots = [merkle.root_of(LEAVES[:size]) for size in range(SIZE_MAX + 1)]
    for second in range(2, SIZE_MAX + 1):
        for first in sorted({1, second // 2, second * 2 // 3, second - 1} - {0}):
            verify_consistency(roots[first], roots[second], tree.prove_consistency(first, second))
            with pytest.raises(InvalidProof):
                verify_consistency(roots[first - 1], roots[second], tree.prove_consistency(first, second))


def test_every_consistency_proof_is_accepted_between_foreign_roots() -> None:
    """For every pair of sizes up to 300."""
    tree = oracle()
    roots = [foreign_root(tree, size) for size in range(1, SIZE_MAX + 1)]
    cache: dict[merkle.Node, bytes] = {}

    def cached(one: merkle.Node) -> bytes:
        if one not in cache:
            cache[one] = node(one)
        return cache[one]

    for second in range(1, SIZE_MAX + 1):
        for first in range(1, second + 1):
            path = prove(consistency_ranges(first, second), cached)
            assert merkle.is_consistent(first, second, roots[first - 1], roots[second - 1], path)


def test_a_wrong_proof_is_refused() -> None:
    """Another leaf, place, size, root or length of the path."""
    path = prove(inclusion_ranges(5, 11), node)
    root = merkle.root_of(LEAVES[:11])

    assert merkle.root_by_inclusion(LEAVES[5], 5, 11, path) == root
    assert merkle.root_by_inclusion(LEAVES[6], 5, 11, path) != root
    assert merkle.root_by_inclusion(LEAVES[5], 4, 11, path) != root
    assert merkle.root_by_inclusion(LEAVES[5], 11, 11, path) is None
    assert merkle.root_by_inclusion(LEAVES[5], 5, 11, path[:-1]) is None
    assert merkle.root_by_inclusion(LEAVES[5], 5, 11, [*path, root]) is None
    proof = prove(consistency_ranges(5, 11), node)
    first = merkle.root_of(LEAVES[:5])
    assert merkle.is_consistent(5, 11, first, root, proof)
    assert not merkle.is_consistent(6, 11, first, root, proof)
    assert not merkle.is_consistent(5, 11, root, first, proof)
    assert not merkle.is_consistent(5, 11, first, root, proof[:-1])
    assert not merkle.is_consistent(5, 11, first, root, [])
    assert not merkle.is_consistent(5, 5, first, root, [])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_no_proof_is_made_of_what_is_not_there(index: int, size: int) -> None:
    """A leaf outside the tree is an error of the caller."""
    with pytest.raises(ValueError, match="is not in a tree"):
        inclusion_ranges(index, size)
    with pytest.raises(ValueError, match="no consistency proof"):
        consistency_ranges(0, 3)


@given(st.integers(1, 5000), st.integers(0, 5000))
@settings(max_examples=200, deadline=None)
def test_a_range_of_a_proof_is_cut_into_perfect_subtrees(size: int, index: int) -> None:
    """They follow each other without gap and each begins at a multiple of its own size."""
    for start, end in inclusion_ranges(index % size, size):
        at = start
        for level, number in perfect_nodes(start, end):
            assert number << level == at
            at += 1 << level
        assert at == end


def test_a_frontier_refuses_what_does_not_fit() -> None:
    """The number of hashes follows from the size; a subtree begins at a multiple of its own size."""
    with pytest.raises(ValueError, match="has 2 subtrees"):
        Frontier(5, b"\0" * 32)
    with pytest.raises(ValueError, match="cannot follow"):
        Frontier(1, b"\0" * 32).append_subtree(3, b"\0" * 32)
