"""Both sides of every row compute the same thing, on tiny sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from scripts.bench import ours, stock
from scripts.bench.bars import BARS
from scripts.bench.catalogue import all_rows
from scripts.bench.work import Operator, Row, Training, Update

CALLS = 3
OPERATOR_TOLERANCE = 2e-6  # of the largest magnitude; PyTorch adds in another order
# AdamW divides by the gradient's own size: where it should be zero (the bias of keys), the sign of
# what rounding left decides. So most elements of a tensor are held to this, not all.
STEP_TOLERANCE = 1e-6


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with stock.plain_algorithms():
        yield


def of_kind(kind: type) -> list[Row]:
    return [row for row in all_rows() if isinstance(row.make(True), kind)]


def after_calls(row: Row) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Results of both sides after some calls."""
    work = row.make(True)
    sessions = ours.session(work, 1), stock.session(work, stock.EAGER, 1)
    for session in sessions:
        for _ in range(CALLS):
            session.begin()
            session.call()
    own, theirs = (session.results() for session in sessions)
    assert [array.shape for array in own] == [array.shape for array in theirs]
    return own, theirs


@pytest.mark.parametrize("row", of_kind(Operator), ids=lambda row: row.name)
def test_operator_of_both_sides_is_the_same(row: Row):
    for own, theirs in zip(*after_calls(row), strict=True):
        assert np.abs(theirs).max() > 0
        assert np.abs(own - theirs).max() <= OPERATOR_TOLERANCE * np.abs(theirs).max()


@pytest.mark.parametrize("row", of_kind(Update), ids=lambda row: row.name)
def test_update_of_both_sides_is_the_same(row: Row):
    for number, (own, theirs) in enumerate(zip(*after_calls(row), strict=True)):
        before, _ = stock.update_tensors(number, own.shape)
        assert np.abs(own - before).min() > 0
        np.testing.assert_allclose(own, theirs, rtol=1e-6)


@pytest.mark.parametrize("row", of_kind(Training), ids=lambda row: row.name)
def test_training_step_of_both_sides_is_the_same(row: Row):
    (loss, *own), (their_loss, *theirs) = after_calls(row)
    np.testing.assert_allclose(loss, their_loss, rtol=1e-5)
    for left, right in zip(own, theirs, strict=True):
        assert np.median(np.abs(left - right)) <= STEP_TOLERANCE


def test_run_that_ended_starts_over_on_both_sides():
    row = next(row for row in all_rows() if row.name == "MLP digits step")
    work = row.make(True)
    assert isinstance(work, Training)
    for session in (ours.session(work, 1), stock.session(work, stock.EAGER, 1)):
        losses = []
        for _ in range(work.steps + 1):
            session.begin()
            session.call()
            losses.append(float(session.results()[0].reshape(-1)[0]))
        assert losses[0] == losses[-1] != losses[1]


def test_products_of_the_subnormal_row_are_subnormal():
    row = next(row for row in all_rows() if "subnormal products" in row.name)
    work = row.make(False)
    assert isinstance(work, Operator)
    a, b = work.inputs
    products = np.abs(a[:, :, None] * b[None, :, :8])
    smallest_normal = np.finfo(np.float32).tiny
    assert (products < smallest_normal).all()
    assert (products > 0).mean() > 0.99


def test_every_group_with_a_bar_has_rows_and_names_are_unique():
    rows = all_rows()
    assert set(BARS) <= {row.group for row in rows}
    assert len({row.name for row in rows}) == len(rows)
