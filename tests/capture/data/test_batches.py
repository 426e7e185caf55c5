"""The committed order, the schedule table and what is refused as data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protocol.capture.data.batches import as_stored, draw_order
from protocol.capture.errors import CaptureError, UnsupportedDtype
from protocol.capture.schedules import course_of, warmup_cosine
from protocol.capture.updates.optimizers import read_groups, schedule_table


def test_order_visits_each_example_at_most_once_in_an_epoch() -> None:
    order = draw_order(examples=50, steps=12, batch_size=8, seed=3)
    assert order.shape == (12, 8)
    assert order.dtype == np.int32
    for epoch in (order[:6], order[6:]):
        assert len(np.unique(epoch)) == 48
    assert not np.array_equal(order[:6], order[6:])


def test_order_depends_on_the_seed_only() -> None:
    first, same, other = (draw_order(50, 12, 8, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_scalar_keeps_its_shape_and_nan_becomes_canonical() -> None:
    assert as_stored(torch.tensor(3), "x").shape == ()
    odd = np.array([0xFFC00001, 0x7F800001], np.uint32).view(np.float32)
    assert as_stored(odd, "x").view(np.uint32).tolist() == [0x7FC00000] * 2


def test_integers_narrow_when_they_fit() -> None:
    assert as_stored(np.array([-(1 << 31), (1 << 31) - 1]), "x").dtype == np.int32
    assert as_stored(np.array([True, False]), "x").dtype == np.uint8
    with pytest.raises(UnsupportedDtype, match="2147483648"):
        as_stored(np.array([1 << 31]), "x")
    with pytest.raises(CaptureError, match="no elements"):
        as_stored(np.zeros((0, 3), np.float32), "x")


def test_numbers_of_any_width_and_byte_order_are_stored_alike() -> None:
    numbers = np.arange(6).reshape(2, 3)
    for kind in (np.int8, np.int16, np.uint16, np.uint32, np.uint64, ">i4", ">i8", "<u2"):
        stored = as_stored(numbers.astype(kind), "x")
        assert stored.dtype == np.int32
        assert (stored == numbers).all()
    stored = as_stored(np.array([1.5, np.nan], ">f4"), "x")
    assert stored.dtype == np.float32
    assert stored.view(np.uint32).tolist() == [0x3FC00000, 0x7FC00000]
    for layout in (np.asfortranarray(numbers), numbers[:, ::-1], np.repeat(numbers, 2, 0)[::2]):
        assert as_stored(layout, "x").flags.c_contiguous
        assert (as_stored(layout, "x") == layout).all()


@pytest.mark.parametrize(
    ("given", "dtype", "advice"),
    [
        (torch.ones(2).half(), "float16", r"model\.float"),
        (torch.ones(2).bfloat16(), "bfloat16", r"model\.float"),
        (torch.ones(2).double(), "float64", r"model\.float"),
        (torch.ones(2).to(torch.complex64), "complex64", "view_as_real"),
        (torch.ones(2).to_sparse(), "sparse_coo", "to_dense"),
        (np.ones(2), "float64", r"astype\('float32'\)"),
        (np.ones(2, np.complex64), "complex64", "view_as_real"),
        (np.array(["a"]), "<U1", "tokens"),
        (np.array([None]), "object", "tokens"),
        (np.array([1 << 31]), "2147483648", "beyond the 32 bits"),
    ],
)
def test_type_that_programs_lack_is_refused_with_name_and_remedy(given, dtype, advice) -> None:
    with pytest.raises(UnsupportedDtype, match=advice) as refused:
        as_stored(given, "data x")
    assert refused.value.tensor == "data x"
    assert dtype in refused.value.dtype


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (torch.ones(2, device="meta"), "meta device, which has no values"),
        (torch.nn.LazyLinear(3).weight, "its module is lazy"),
        ([[1.0], [1.0, 2.0]], "no regular array"),
    ],
)
def test_tensor_without_values_is_refused_with_its_name(given, says) -> None:
    with pytest.raises(CaptureError, match=f"data x.*{says}"):
        as_stored(given, "data x")


def test_warmup_rises_linearly_then_the_cosine_falls_to_the_floor() -> None:
    factor = warmup_cosine(100, 10, floor=0.1)
    assert [factor(s) for s in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert factor(10) == 1.0
    assert factor(55) == pytest.approx(0.55)
    assert factor(100) == pytest.approx(0.1)
    assert all(factor(s) >= factor(s + 1) for s in range(10, 100))
    with pytest.raises(ValueError, match="warm-up of 11"):
        warmup_cosine(10, 11)


def test_schedule_table_is_the_double_formula_rounded_once() -> None:
    weights = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weights], lr=3e-4, betas=(0.9, 0.999), weight_decay=0.1)
    groups, group_of = read_groups(optimizer, {id(weights): "w"})
    assert group_of == {"w": 0}
    table = schedule_table(groups, course_of(optimizer, None, 1000))
    for step in (0, 1, 999):
        exact = [
            -3e-4 / (1 - 0.9 ** (step + 1)),
            1 / (1 - 0.999 ** (step + 1)) ** 0.5,
            1 - 3e-4 * 0.1,
        ]
        np.testing.assert_array_equal(table[step], np.array(exact).astype(np.float32))


def test_first_momentum_step_is_not_dampened() -> None:
    weights = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([weights], lr=0.1, momentum=0.9, dampening=0.25)
    groups, _ = read_groups(optimizer, {id(weights): "w"})
    table = schedule_table(groups, course_of(optimizer, None, 3))
    np.testing.assert_array_equal(table[:, 1], [1, 0.75, 0.75])


def test_optimizer_that_has_stepped_is_refused() -> None:
    weights = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([weights], lr=0.1, momentum=0.9)
    weights.sum().backward()
    optimizer.step()
    with pytest.raises(CaptureError, match="earlier steps"):
        read_groups(optimizer, {id(weights): "w"})
