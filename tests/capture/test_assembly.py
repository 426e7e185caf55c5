"""A program while it is put together: what is bound, what is kept, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.assembly import STEP, Assembly, check_counts, tensors_of
from protocol.capture.captured import Captured
from protocol.capture.errors import CaptureError, Origin, UnsupportedDtype
from protocol.capture.writing.values import View
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import OperandKind
from protocol.training.task import Task
from tests.capture.running import states

COUNTS = {"name": "sums", "steps": 3, "interval": None, "batch_size": 1}


@pytest.fixture
def assembly() -> Assembly:
    """State `total` and `still`, data `spare` and `addend`."""
    made = Assembly(7, [("total", np.float32([1, 2])), ("still", np.int32([9]))])
    made.add_data("spare", np.float32([5]))
    made.add_data("addend", np.float32([10, 20]))
    return made


def sum_of(assembly: Assembly, first: View, second: View) -> View:
    b = FoldBuilder(DType.F32, (2,))
    value = b.add(first.load(b, [b.out(0)]), second.load(b, [b.out(0)]))
    return assembly.writer.add(b.finish(value), Origin("total", "opt"), "sum")


def totals(captured: Captured) -> Iterator[list[float]]:
    """After each step."""
    return (state["total"].tolist() for state in states(captured))


def test_state_that_is_told_no_other_value_keeps_its_own(assembly: Assembly) -> None:
    new = sum_of(assembly, assembly.state_view("total"), assembly.data_view("addend"))
    captured = assembly.finish({"total": new}, **COUNTS)
    assert [name for name, _ in captured.state] == ["total", "still", STEP]
    assert list(totals(captured)) == [[11, 22], [21, 42], [31, 62]]
    after = list(states(captured))[-1]
    assert (after["still"].tolist(), after[STEP].tolist()) == ([9], 3)
    still = captured.program.bindings[1]
    assert (still.kind, still.index) == (OperandKind.STATE, 1)
    assert (captured.seed, captured.loss_state, captured.batch_size) == (7, None, 1)
    assert 1 <= captured.interval <= 3


def test_data_and_nodes_that_nothing_reads_are_left_out(assembly: Assembly) -> None:
    new = sum_of(assembly, assembly.state_view("total"), assembly.data_view("addend"))
    sum_of(assembly, new, new)
    captured = assembly.finish({"total": new}, **COUNTS)
    assert [name for name, _ in captured.data] == ["addend"]
    assert captured.origins == ["total: sum (opt)", "step: step + 1 (opt)"]
    (reads,) = [o for o in captured.program.nodes[0].operands if o.kind is OperandKind.DATA]
    assert reads.index == 0


def test_view_that_stands_for_a_state_tensor_is_read_and_bound(assembly: Assembly) -> None:
    first = sum_of(assembly, assembly.state_view("total"), assembly.data_view("addend"))
    assembly.stand_for("total", first)
    assert assembly.state_view("total") == first
    assert list(totals(assembly.finish({}, **COUNTS))) == [[11, 22], [21, 42], [31, 62]]


def test_values_of_new_state_win_over_what_stands_for_it(assembly: Assembly) -> None:
    first = sum_of(assembly, assembly.state_view("total"), assembly.data_view("addend"))
    assembly.stand_for("total", first)
    second = sum_of(assembly, first, assembly.data_view("addend"))
    assert next(totals(assembly.finish({"total": second}, **COUNTS))) == [21, 42]


def test_loss_is_the_state_tensor_of_that_name(assembly: Assembly) -> None:
    assembly.add_state("loss", np.float32(0))
    assert assembly.finish({}, **COUNTS, loss="loss").loss_state == 3


def test_state_is_copied_and_constants_are_data(assembly: Assembly) -> None:
    array = np.float32([1, 2])
    other = Assembly(0, [("total", array)])
    constant = other.commit(torch.tensor([3.0, 4.0]))
    array[:] = 0
    new = sum_of(other, other.state_view("total"), constant)
    captured = other.finish({"total": new}, **COUNTS)
    assert [name for name, _ in captured.data] == ["constant.0"]
    assert next(totals(captured)) == [4, 6]
    assert assembly.state[0][1].tolist() == [1, 2]


def test_value_of_another_shape_makes_no_task(assembly: Assembly) -> None:
    b = FoldBuilder(DType.F32, (3,))
    wrong = assembly.writer.add(b.finish(b.f32(1.0)), Origin("total", "opt"), "ones")
    with pytest.raises(ValueError, match="total"):
        Task.create(**assembly.finish({"total": wrong}, **COUNTS).parts())


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"seed": -1}, r"seed -1 must lie in 0\.\.2\^63-1"),
        ({"seed": 1 << 63}, "seed 9223372036854775808"),
        ({"steps": 0}, "steps is 0, expected a whole number"),
        ({"steps": 2.0}, r"steps is 2\.0, expected a whole number"),
        ({"batch_size": -3}, "batch_size is -3"),
        ({"interval": 0}, r"interval 0 must lie in 1\.\.4"),
        ({"interval": 5}, r"interval 5 must lie in 1\.\.4"),
    ],
)
def test_counts_beyond_their_bounds_are_refused_with_both(counts: dict, message: str) -> None:
    given = {"seed": 0, "interval": None, "steps": 4, "batch_size": 1, **counts}
    with pytest.raises(CaptureError, match=message):
        check_counts(given.pop("seed"), given.pop("interval"), **given)


def test_tensors_of_a_module_are_its_parameters_and_then_its_buffers() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1, bias=False))
    found = tensors_of(model)
    assert list(found) == [
        "0.weight", "0.bias", "1.weight", "0.running_mean", "0.running_var",
        "0.num_batches_tracked",
    ]  # fmt: skip
    assert found["0.num_batches_tracked"].dtype == np.int32
    with pytest.raises(UnsupportedDtype, match=r"parameter 1\.weight"):
        tensors_of(model.double()[1:])
