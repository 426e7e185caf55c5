"""A row cut where loads go in and out of bounds, so that inside a part nothing has to be checked.

A concatenation is a sum of loads each of which exists in its own range of columns: cut there, every
part has one plain load and constants.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from protocol.kernels.jit.group import Group
from protocol.kernels.jit.space import Access, Check

MOST_PARTS = 6


def parts(group: Group, shortest: int) -> list[tuple[int, int, Group]]:
    """Ranges of the last dimension with what the group is there; one, if cutting is not worth it.

    Only loops without folds are cut, and no part may be shorter than ``shortest``.
    """
    row = group.dims[-1]
    whole = [(0, row, group)]
    if group.folds:
        return whole
    last = len(group.dims) - 1
    cuts = {0, row}
    for piece in group.pieces:
        for access in piece.accesses:
            if access is not None and not access.skip:
                for check in access.checks:
                    if _of_column(check, last):
                        cuts |= {end for end in _inside(check, last) if 0 < end < row}
    ends = sorted(cuts)
    pairs = list(pairwise(ends))
    if len(pairs) > MOST_PARTS or min(high - low for low, high in pairs) < shortest:
        return whole
    return [(low, high, _within(group, low, high)) for low, high in pairs]


def _of_column(check: Check, last: int) -> bool:
    """Whether the coordinate depends on the last dimension alone."""
    coefs = check.value.coefs
    return check.plain and coefs[last] != 0 and not any(coefs[:last]) and not any(coefs[last + 1 :])


def _inside(check: Check, last: int) -> tuple[int, int]:
    """The range [first, end) of columns that are in bounds."""
    coef, const = check.value.coefs[last], check.value.const
    if coef > 0:  # 0 <= const + coef c < size
        return -(const // coef), -((const - check.size) // coef)
    return (const - check.size) // -coef + 1, const // -coef + 1


def _within(group: Group, low: int, high: int) -> Group:
    pieces = []
    for piece in group.pieces:
        accesses = tuple(
            None if access is None else _resolved(access, len(group.dims) - 1, low, high)
            for access in piece.accesses
        )
        pieces.append(replace(piece, accesses=accesses))
    return replace(group, pieces=tuple(pieces))


def _resolved(access: Access, last: int, low: int, high: int) -> Access:
    """The load for the columns [low, high), where each check is decided for all or for none."""
    if access.skip:
        return access
    kept = []
    address = access.address
    for check in access.checks:
        if not _of_column(check, last):
            kept.append(check)
            continue
        first, end = _inside(check, last)
        if high <= first or end <= low:
            return replace(access, checks=(), absent=True)
        if first <= low and high <= end:
            address = address.plus(check.value, check.stride)
        else:
            kept.append(check)
    return replace(access, address=address, checks=tuple(kept))
