"""RFC 9162, section 2.1, word by word: slow, recursive, sharing nothing with protocol/.

The leaves are always the same endless sequence, so that trees of all sizes share their nodes.
"""

from functools import cache
from hashlib import sha256


def value(index: int) -> bytes:
    """Value of leaf `index`: 32 bytes, as a state root would be."""
    return sha256(b"leaf %d" % index).digest()


def values(size: int) -> list[bytes]:
    return [value(i) for i in range(size)]


def largest_power_below(size: int) -> int:
    k = 1
    while 2 * k < size:
        k *= 2
    return k


@cache
def mth(low: int, high: int) -> bytes:
    """MTH(D[low:high]), section 2.1.1."""
    if high - low == 1:
        return sha256(b"\x00" + value(low)).digest()
    k = largest_power_below(high - low)
    return sha256(b"\x01" + mth(low, low + k) + mth(low + k, high)).digest()


def path(m: int, low: int, high: int) -> list[bytes]:
    """PATH(m, D[low:high]), section 2.1.3.1."""
    if high - low == 1:
        return []
    k = largest_power_below(high - low)
    if m < k:
        return [*path(m, low, low + k), mth(low + k, high)]
    return [*path(m - k, low + k, high), mth(low, low + k)]


def proof(m: int, n: int) -> list[bytes]:
    """PROOF(m, D_n), section 2.1.4.1; empty for m = n."""
    return subproof(m, 0, n, known=True)


def subproof(m: int, low: int, high: int, *, known: bool) -> list[bytes]:
    if m == high - low:
        return [] if known else [mth(low, high)]
    k = largest_power_below(high - low)
    if m <= k:
        return [*subproof(m, low, low + k, known=known), mth(low + k, high)]
    return [*subproof(m - k, low + k, high, known=False), mth(low, low + k)]


def nodes(low: int, high: int) -> list[tuple[int, int]]:
    """All nodes (low, high) of the tree over D[low:high], leaves too."""
    if high - low == 1:
        return [(low, high)]
    k = largest_power_below(high - low)
    return [(low, high), *nodes(low, low + k), *nodes(low + k, high)]


def includes(leaf_hash: bytes, index: int, size: int, root: bytes, inclusion: list[bytes]) -> bool:
    """The verifier of section 2.1.3.2."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf_hash
    for p in inclusion:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = sha256(b"\x01" + p + r).digest()
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistent(first: int, root1: bytes, second: int, root2: bytes, given: list[bytes]) -> bool:
    """The verifier of section 2.1.4.2, for 0 < first < second."""
    return roots_from_consistency(first, root1, second, given) == (root1, root2)


def roots_from_consistency(
    first: int, root1: bytes, second: int, given: list[bytes]
) -> tuple[bytes, bytes] | None:
    """The two roots that the verifier computes, or None where it stops before."""
    if not given:
        return None
    rest = list(given)
    if first & (first - 1) == 0:
        rest = [root1, *rest]
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = rest[0]
    for c in rest[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            fr, sr = sha256(b"\x01" + c + fr).digest(), sha256(b"\x01" + c + sr).digest()
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\x01" + sr + c).digest()
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr) if sn == 0 else None
