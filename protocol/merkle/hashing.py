"""Hashes of RFC 9162, section 2.1.1: leaves and nodes carry different prefixes."""

from hashlib import sha256

DIGEST_BYTES = 32
LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"


def leaf_hash(value: bytes | bytearray | memoryview) -> bytes:
    """Hash of a leaf's value, 32 bytes: SHA-256(0x00 || value)."""
    digest = sha256(LEAF_PREFIX)
    digest.update(value)
    return digest.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node over its two children's hashes: SHA-256(0x01 || left || right)."""
    return sha256(NODE_PREFIX + left + right).digest()
