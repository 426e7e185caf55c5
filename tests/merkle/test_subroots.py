"""Bisection: the frontier under every node of every size (trap X09)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.merkle import (
    MerkleTree,
    ProofError,
    Refusal,
    child_range,
    compute_child_count,
    frontier,
    recombine,
    subroots,
)
from tests.merkle import rfc9162


def test_frontier_under_every_node_of_every_size_recombines_to_it() -> None:
    for size in range(1, 131):
        tree = MerkleTree(rfc9162.values(size))
        for low, high in rfc9162.nodes(0, size):
            if high - low == 1:
                continue
            children = frontier(low, high - low)
            assert 2 <= len(children) <= 32
            assert [c[0] for c in children] == [low, *(a + n for a, n in children[:-1])]
            assert sum(n for _, n in children) == high - low
            hashes = subroots(tree, low, high - low)
            assert hashes == [rfc9162.mth(a, a + n) for a, n in children]
            assert recombine(high - low, hashes) == rfc9162.mth(low, high)


def test_frontier_is_a_function_of_the_size_only() -> None:
    for size in range(2, 131):
        at_zero = frontier(0, size)
        assert frontier(4096, size) == [(4096 + low, count) for low, count in at_zero]


@pytest.mark.parametrize("fanout", [2, 4, 32])
def test_bisection_to_any_leaf_of_every_size_takes_the_fewest_rounds(fanout: int) -> None:
    for size in range(1, 131):
        rounds_allowed = 0
        while fanout**rounds_allowed < size:
            rounds_allowed += 1
        for leaf in {0, size // 2, size - 1}:
            low, count, rounds = 0, size, 0
            while count > 1:
                children = frontier(low, count, fanout)
                low, count = next(c for c in children if c[0] <= leaf < c[0] + c[1])
                rounds += 1
            assert low == leaf
            assert rounds <= rounds_allowed


@given(st.integers(2, (1 << 64) - 1), st.data())
def test_child_range_any_64_bit_size_covers_the_node_once(size: int, data: st.DataObject) -> None:
    count = compute_child_count(size)
    assert 2 <= count <= 32
    child = data.draw(st.integers(0, count - 1))
    low, leaves = child_range(0, size, child)
    assert 1 <= leaves < size
    following = child_range(0, size, child + 1)[0] if child + 1 < count else size
    assert low + leaves == following


def test_frontier_of_a_leaf_is_refused() -> None:
    for call in (lambda: frontier(3, 1), lambda: recombine(1, [bytes(32)])):
        with pytest.raises(ProofError) as refused:
            call()
        assert refused.value.reason == Refusal.SINGLE_LEAF


@pytest.mark.parametrize("child", [-1, 17, 32])
def test_child_range_child_outside_is_refused(child: int) -> None:
    with pytest.raises(ProofError) as refused:
        child_range(0, 33, child)
    assert refused.value.reason == Refusal.CHILD_OUT_OF_RANGE


@pytest.mark.parametrize("count", [0, 1, 16, 18, 32])
def test_recombine_another_number_of_children_is_refused(count: int) -> None:
    with pytest.raises(ProofError) as refused:
        recombine(33, [bytes(32)] * count)
    assert refused.value.reason == Refusal.WRONG_CHILD_COUNT


def test_recombine_swapped_children_give_another_node() -> None:
    hashes = subroots(MerkleTree(rfc9162.values(70)), 0, 70)
    hashes[3], hashes[4] = hashes[4], hashes[3]
    assert recombine(70, hashes) != rfc9162.mth(0, 70)
