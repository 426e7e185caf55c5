"""Verifiers of proofs: every honest proof passes, and passes nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.merkle import (
    ProofError,
    Refusal,
    compute_consistency_length,
    compute_inclusion_length,
    root_from_inclusion,
    verify_consistency,
    verify_inclusion,
)
from tests.merkle import rfc9162

SIZES = range(1, 131)


def test_inclusion_every_leaf_of_every_size_is_accepted() -> None:
    for size in SIZES:
        for index in range(size):
            given_proof = rfc9162.path(index, 0, size)
            leaf = rfc9162.mth(index, index + 1)
            verify_inclusion(rfc9162.mth(0, size), leaf, index, size, given_proof)
            assert compute_inclusion_length(index, size) == len(given_proof)


def test_consistency_every_pair_of_sizes_is_accepted() -> None:
    for new in SIZES:
        for old in range(1, new + 1):
            given_proof = rfc9162.proof(old, new)
            verify_consistency(old, rfc9162.mth(0, old), new, rfc9162.mth(0, new), given_proof)
            assert compute_consistency_length(old, new) == len(given_proof)


def test_inclusion_of_one_leaf_is_refused_at_every_other_index_and_size() -> None:
    size, index = 21, 9
    leaf, root = rfc9162.mth(index, index + 1), rfc9162.mth(0, size)
    given_proof = rfc9162.path(index, 0, size)
    for other_size in range(1, 70):
        for other in range(other_size):
            # An RFC 9162 root does not bind its size: another size may accept where the path turns
            # the same way. That is why the size comes from the task.
            ours = _accepts(root, leaf, other, other_size, given_proof)
            assert ours == rfc9162.includes(leaf, other, other_size, root, given_proof)
            if other_size == size:
                assert ours == (other == index)


def _accepts(root: bytes, leaf: bytes, index: int, size: int, given_proof: list[bytes]) -> bool:
    try:
        verify_inclusion(root, leaf, index, size, given_proof)
    except ProofError:
        return False
    return True


@given(st.data())
def test_inclusion_one_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 130))
    index = data.draw(st.integers(0, size - 1))
    parts = [rfc9162.mth(0, size), rfc9162.mth(index, index + 1), *rfc9162.path(index, 0, size)]
    _flip_one_bit(data, parts)
    with pytest.raises(ProofError) as refused:
        verify_inclusion(parts[0], parts[1], index, size, parts[2:])
    assert refused.value.reason == Refusal.ROOT_MISMATCH


@given(st.data())
def test_consistency_one_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 130))
    old = data.draw(st.integers(1, new - 1))
    parts = [rfc9162.mth(0, old), rfc9162.mth(0, new), *rfc9162.proof(old, new)]
    _flip_one_bit(data, parts)
    with pytest.raises(ProofError) as refused:
        verify_consistency(old, parts[0], new, parts[1], parts[2:])
    assert refused.value.reason in (Refusal.OLD_ROOT_MISMATCH, Refusal.NEW_ROOT_MISMATCH)


def _flip_one_bit(data: st.DataObject, parts: list[bytes]) -> None:
    part = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 255))
    parts[part] = (int.from_bytes(parts[part], "big") ^ (1 << bit)).to_bytes(32, "big")


@given(st.integers(1, (1 << 64) - 1), st.data())
def test_inclusion_length_any_64_bit_size_is_the_depth_by_the_rfc_split(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    depth, low, high = 0, 0, size
    while high - low > 1:
        k = 1 << ((high - low - 1).bit_length() - 1)
        low, high = (low, low + k) if index < low + k else (low + k, high)
        depth += 1
    assert compute_inclusion_length(index, size) == depth


def test_root_from_inclusion_gives_the_root() -> None:
    got = root_from_inclusion(rfc9162.mth(4, 5), 4, 5, rfc9162.path(4, 0, 5))
    assert got == rfc9162.mth(0, 5)


def test_inclusion_size_above_64_bits_is_refused() -> None:
    with pytest.raises(ProofError) as refused:
        verify_inclusion(bytes(32), bytes(32), 0, 1 << 64, [bytes(32)] * 64)
    assert refused.value.reason == Refusal.SIZE_TOO_LARGE
    with pytest.raises(ProofError) as refused:
        verify_consistency(1, bytes(32), 1 << 64, bytes(32), [bytes(32)] * 64)
    assert refused.value.reason == Refusal.SIZE_TOO_LARGE


@pytest.mark.parametrize("index", [-1, -4])
def test_inclusion_negative_index_is_refused(index: int) -> None:
    with pytest.raises(ProofError) as refused:
        verify_inclusion(rfc9162.mth(0, 4), rfc9162.mth(3, 4), index, 4, rfc9162.path(3, 0, 4))
    assert refused.value.reason == Refusal.INDEX_OUT_OF_RANGE


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_inclusion_node_that_is_no_hash_is_refused(length: int) -> None:
    # 31 bytes here and 33 there would hash like 32 and 32: lengths are checked before any hash.
    leaf, root, path = rfc9162.mth(0, 1), rfc9162.mth(0, 2), rfc9162.path(0, 0, 2)
    for parts in ([bytes(length), path], [leaf, [bytes(length)]]):
        with pytest.raises(ProofError) as refused:
            verify_inclusion(root, parts[0], 0, 2, parts[1])
        assert refused.value.reason == Refusal.WRONG_NODE_LENGTH


def test_refusal_says_what_why_and_what_to_do() -> None:
    with pytest.raises(ProofError, match=r"WrongProofLength: expected 1, got 0; give exactly"):
        verify_inclusion(bytes(32), bytes(32), 0, 2, [])
