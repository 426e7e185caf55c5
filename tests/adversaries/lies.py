"""What all adversaries share: a hash out of thin air, and the words of a fold leaf."""

from __future__ import annotations

import struct
from hashlib import sha256

from protocol.dispute.execution import Opaque


def random_hash(seed: str) -> bytes:
    """32 bytes of which nobody knows a preimage."""
    return sha256(f"thin air: {seed}".encode()).digest()


def opaque(seed: str) -> Opaque:
    """A leaf that is only a hash."""
    return Opaque(random_hash(seed))


def flipped(stored: bytes, byte: int) -> bytes:
    """The lowest bit of one byte changed: one ulp, if it is a word's lowest byte."""
    changed = bytearray(stored)
    changed[byte] ^= 1
    return bytes(changed)


def with_accumulator(leaf: bytes, accumulator: int) -> bytes:
    """A fold leaf with another accumulator."""
    return struct.pack(">I", accumulator) + leaf[4:]
