"""Locality of loads: which part of an operand a unit reads."""

from __future__ import annotations

import itertools

import pytest

from protocol.kernels.affine import (
    Address,
    UnitMap,
    address_of,
    coordinate_loads,
    is_local,
    reads_own_element,
    unit_counts,
    unit_map,
)
from protocol.program.node import LOADED_WORD, Axis, Load, Term
from tests.kernels import folds


def test_address_of_a_strided_view_is_the_sum_of_its_axes():
    load = Load(0, (Axis(3, 10, (Term(0), Term(1, 2)), const=-1), Axis(5, 1, (Term(1),))), 7)
    assert address_of(load, (2, 2)) == Address((10, 21), -3, is_checked=True)


@pytest.mark.parametrize(("const", "is_checked"), [(0, False), (1, True), (-1, True)])
def test_address_that_may_leave_its_axis_is_checked(const, is_checked):
    load = Load(0, (Axis(4, 1, (Term(0),), const),))
    address = address_of(load, (4,))
    assert address is not None
    assert address.is_checked is is_checked


def test_address_by_a_loaded_word_or_an_exact_division_is_unknown():
    by_word = Load(1, (Axis(4, 1, (Term(LOADED_WORD | 0),)),))
    assert address_of(by_word, (4,)) is None
    assert list(coordinate_loads([Load(0), by_word])) == [0]
    assert address_of(Load(0, (Axis(4, 1, (Term(0),), divisor=2),)), (8,)) is None


def test_unit_counts_are_products_of_leading_dimensions():
    assert unit_counts((16, 1, 4)) == {1, 16, 64}
    assert unit_counts(()) == {1}


@pytest.mark.parametrize(
    ("coefs", "const", "is_inside"),
    [
        ((20, 5, 1, 0), 0, True),
        ((20, 5, 0, 1), 3, True),
        ((20, 5, 1, 1), 2, False),  # the last element of a unit is 5
        ((20, 5, -1, 0), 1, False),  # the first is -1
        ((20, 5, -1, 0), 2, True),
        ((20, 4, 1, 0), 0, False),
        ((5, 20, 1, 0), 0, False),
        ((0, 5, 1, 0), 0, False),
    ],
)
def test_load_is_local_if_leading_steps_are_units_and_the_rest_stays_inside(
    coefs, const, is_inside
):
    address = Address(coefs, const, is_checked=False)
    assert is_local(address, (2, 4, 3), (2,), 5, 8) is is_inside
    reads = [
        (o * 4 + p, const + sum(c * x for c, x in zip(coefs, (o, p, q, r), strict=True)))
        for o, p, q, r in itertools.product(range(2), range(4), range(3), range(2))
    ]
    assert all(unit * 5 <= element < unit * 5 + 5 for unit, element in reads) is is_inside


def test_checked_load_is_never_local():
    assert not is_local(Address((1,), 0, is_checked=True), (4,), (), 1, 4)


def test_unit_maps_meet_if_they_walk_alike_over_some_of_the_same_elements():
    rows = unit_map(Address((40, 10, 1), 0, is_checked=False), (2, 4, 10), (), 8)
    lanes = unit_map(Address((10, 1, 5), 0, is_checked=False), (8, 5), (2,), 8)
    assert rows == UnitMap(((8, 10),), 0, 9)
    assert rows.meets(lanes)
    halves = [unit_map(Address((10, 1), at, is_checked=False), (8, 5), (), 8) for at in (0, 5)]
    assert not halves[0].meets(halves[1])
    columns = unit_map(Address((1, 8), 0, is_checked=False), (8, 10), (), 8)
    assert not rows.meets(columns)
    still = unit_map(Address((0, 1), 0, is_checked=False), (8, 10), (), 8)
    assert not still.meets(still)


def test_own_element_is_read_by_a_pointwise_node_and_not_by_a_reversal():
    vector = folds.state(3, 6)
    assert reads_own_element(folds.pointwise(vector), 3)
    assert reads_own_element(folds.pointwise(folds.state(1, 6)), 3)
    assert not reads_own_element(folds.reverse(vector), 3)
    assert not reads_own_element(folds.window(vector), 3)
