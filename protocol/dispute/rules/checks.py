"""Checks that several rules make: Merkle proofs, lengths, words in opened bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from protocol.dispute.refusal import Refusal, require
from protocol.merkle import CHUNK_BYTES, ProofError, leaf_hash, verify_inclusion


def check_inclusion(
    root: bytes, leaf: bytes, index: int, size: int, proof: Sequence[bytes]
) -> None:
    """Leaf ``index`` of the tree (root, size) is ``leaf``."""
    try:
        verify_inclusion(root, leaf_hash(leaf), index, size, proof)
    except ProofError as error:
        raise Refusal(error.reason.value, error.expected, error.got) from None


def check_length(expected: int, data: bytes) -> None:
    """Opened bytes have the length that the task gives them."""
    require(len(data) == expected, "WrongLength", expected, len(data))


def chunk_of(element: int, width: int) -> int:
    """The chunk that holds an element."""
    return element * width // CHUNK_BYTES


def element_of(chunk: bytes, element: int, width: int) -> int:
    """Stored word of an element out of the chunk that holds it; one byte is zero-extended."""
    at = element * width % CHUNK_BYTES
    return int.from_bytes(chunk[at : at + width], "little")


def term_words(leaf: bytes) -> tuple[int, list[int]]:
    """Accumulator and load words of a fold leaf."""
    accumulator, *words = struct.unpack(f">{len(leaf) // 4}I", leaf)
    return accumulator, words
