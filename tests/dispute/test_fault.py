"""The report names the very place of each lie."""

from __future__ import annotations

import pytest

from protocol.dispute.fault import Fault, find_fault, find_fault_in_segment, find_fault_in_step
from protocol.dispute.state import ARITHMETIC, Level
from protocol.dispute.toy import ToyExecution
from protocol.program.isa import DType
from tests.adversaries.random_output import RandomOutput
from tests.adversaries.silent import Silent
from tests.adversaries.wrong_arithmetic import WrongArithmetic
from tests.adversaries.wrong_load import WrongLoad
from tests.adversaries.wrong_state import WrongState
from tests.dispute.matrix import ADVANCE, MIX, ROLL, honest


def test_find_fault_of_equal_runs_is_none() -> None:
    assert find_fault(honest(), ToyExecution()) is None
    assert find_fault_in_segment(honest(), ToyExecution(), 2) is None


def test_find_fault_of_wrong_arithmetic_names_the_term_and_one_ulp() -> None:
    fault = find_fault(honest(), WrongArithmetic(4, ADVANCE, 7, 0))
    assert fault is not None
    assert (fault.segment, fault.step, fault.node, fault.element) == (2, 4, ADVANCE, 7)
    assert (fault.term, fault.kind, fault.dtype) == (0, ARITHMETIC, DType.F32)
    assert fault.describe().startswith(
        "segment 2, step 4, node 2, element 7, term 0: the accumulator: expected and got 0x"
    )
    assert fault.describe().endswith("1 ulp apart")


def test_find_fault_of_a_wrong_load_names_the_load_and_its_type() -> None:
    fault = find_fault(honest(), WrongLoad(4, ROLL, 1500, 1, 1, bits=3))
    assert fault is not None
    assert (fault.node, fault.element, fault.term, fault.kind) == (ROLL, 1500, 1, 1)
    assert fault.dtype is DType.I32
    assert fault.describe().endswith(
        "the word of load 1: expected and got 0x00000005 (5) and 0x00000006 (6), 1 apart"
    )


def test_find_fault_of_a_wrong_state_names_the_state_tensor() -> None:
    fault = find_fault(honest(), WrongState(5, 2))
    assert fault is not None
    assert (fault.segment, fault.step, fault.binding, fault.element) == (2, 5, 2, 0)
    assert fault.dtype is DType.U8
    assert fault.describe().startswith(
        "segment 2, step 5, state tensor 2, element 0: it is not what its binding names; expected"
    )


@pytest.mark.parametrize(
    ("level", "place"),
    [
        (Level.SEGMENT, Fault(2)),
        (Level.TRACE, Fault(2, 4)),
        (Level.TENSOR, Fault(2, 4, node=ADVANCE)),
    ],
)
def test_find_fault_where_values_are_withheld_ends_there(level: Level, place: Fault) -> None:
    fault = find_fault(honest(), Silent(level))
    assert fault == place
    assert "withheld" in fault.describe()


def test_find_fault_where_folds_are_withheld_tells_the_stored_words() -> None:
    fault = find_fault(honest(), Silent(Level.FOLD))
    assert fault is not None
    assert (fault.step, fault.node, fault.element, fault.term) == (4, ADVANCE, 7, None)
    assert fault.dtype is DType.F32
    assert ": the stored element: expected and got 0x" in fault.describe()


def test_find_fault_in_one_step_of_equal_runs_is_none() -> None:
    assert find_fault_in_step(honest(), ToyExecution(), 2, 4) is None


def test_find_fault_of_a_random_output_ends_at_the_node() -> None:
    fault = find_fault(honest(), RandomOutput(5, MIX + 1))
    assert fault == Fault(2, 5, node=MIX + 1)
