"""The quicker machine against py-evm's own: same gas, output, error, logs and state."""

from __future__ import annotations

import pytest
from eth.exceptions import InvalidInstruction, InvalidJumpDestination
from eth.vm import opcode_values as op
from eth.vm.forks.prague import PragueVM
from eth_tester import PyEVMBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.chain.fast_evm import FastVM

pytestmark = pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode present")

CODE_ADDRESS, CALLER = b"\x11" * 20, b"\x22" * 20
PLAIN = [
    *range(op.ADD, op.SIGNEXTEND + 1),
    *range(op.LT, op.SAR + 1),
    *range(op.ADDRESS, op.EXTCODEHASH + 1),
    *range(op.POP, op.JUMPDEST + 4),
    *range(op.LOG0, op.LOG4 + 1),
    *range(op.DUP1, op.SWAP16 + 1),
    op.SHA3,
    op.CREATE2,
    op.CALL,
    op.STATICCALL,
    op.RETURN,
    op.REVERT,
    0x0C,
    0xFE,
]
EDGES = [0, 1, 2, 31, 32, 33, 255, 256, 2**255 - 1, 2**255, 2**256 - 32, 2**256 - 1]


def make_vm(vm_class):
    params = PyEVMBackend.generate_genesis_params({"timestamp": 3_000_000_000})
    backend = PyEVMBackend(genesis_parameters=params, vm_configuration=((0, vm_class),))
    return backend.chain.get_vm()


VMS = [make_vm(vm_class) for vm_class in (PragueVM, FastVM)]


def run(vm, code, gas, data=b"\x07" * 40):
    """Run code on a fresh copy of the state and return all that can be seen of it."""
    state = vm.state
    before = state.snapshot()
    state.set_code(CODE_ADDRESS, code)
    computation = vm.execute_bytecode(
        origin=CALLER,
        gas_price=0,
        gas=gas,
        to=CODE_ADDRESS,
        sender=CALLER,
        value=0,
        data=data,
        code=code,
        code_address=CODE_ADDRESS,
    )
    seen = {
        "error": type(computation._error),
        "output": computation.output,
        "return_data": computation.return_data,
        "gas": computation.get_gas_used(),
        "refund": computation.get_gas_refund(),
        "logs": computation.get_log_entries(),
        "storage": [state.get_storage(CODE_ADDRESS, slot) for slot in EDGES],
        "stack": None if computation.is_error else [as_int(v) for v in computation._stack.values],
    }
    state.revert(before)
    state.clear_transient_storage()
    return seen


def as_int(value):
    return int.from_bytes(value, "big") if isinstance(value, bytes) else value


def push(value, size=32):
    return bytes([op.PUSH1 + size - 1]) + value.to_bytes(size, "big")


def assert_same(code, gas=100_000):
    plain, fast = (run(vm, code, gas) for vm in VMS)
    assert fast == plain
    return fast


words = st.one_of(st.sampled_from(EDGES), st.integers(0, 80), st.integers(0, 2**256 - 1))
pieces = st.one_of(
    words.map(push),
    st.integers(0, 120).map(lambda v: push(v, 1)),
    st.sampled_from(PLAIN).map(lambda code: bytes([code])),
    st.sampled_from([op.MSTORE, op.MLOAD, op.JUMPDEST, op.JUMPI]).map(lambda code: bytes([code])),
)
programs = st.builds(
    lambda stack, body: b"".join(map(push, stack)) + b"".join(body),
    st.lists(words, min_size=0, max_size=12),
    st.lists(pieces, max_size=40),
)


@settings(max_examples=800)
@given(programs, st.sampled_from([50, 300, 3_000, 100_000]))
def test_random_code_runs_as_on_py_evm(code, gas):
    assert_same(code, gas)


@pytest.mark.parametrize("opcode", range(256))
def test_each_opcode_with_and_without_operands_runs_as_on_py_evm(opcode):
    body = bytes([opcode])
    for depth in (0, 1, 2, 3, 7, 17):
        for value in EDGES[1::2]:
            assert_same(push(value) * depth + body)
    assert_same(push(2**255) + push(3) + body)
    assert_same(push(3) + push(2**255) + body)


@pytest.mark.parametrize("gas", range(60))
def test_every_gas_limit_fails_at_the_same_place(gas):
    code = push(1, 1) + push(2, 1) + bytes([op.ADD, op.DUP1, op.SWAP1, op.POP])
    code += push(0, 1) + bytes([op.MSTORE]) + push(32, 1) + push(0, 1) + bytes([op.RETURN])
    assert_same(code, gas)


@pytest.mark.parametrize("count", [1022, 1023, 1024, 1025])
@pytest.mark.parametrize("last", [push(1, 1), bytes([op.DUP1]), bytes([op.PC])])
def test_stack_of_the_largest_size_overflows_at_the_same_item(count, last):
    assert_same(push(1, 1) * (count - 1) + last)


@pytest.mark.parametrize("jump", [bytes([op.JUMP]), bytes([op.JUMPI])])
@pytest.mark.parametrize("target", [0, 66, 67, 68, 69, 70, 71, 72, 73, 1000, 2**256 - 1])
def test_jump_to_any_place_runs_as_on_py_evm(jump, target):
    # The push of 0x5b5b has data that looks like two targets.
    code = push(target) + jump + push(0x5B5B, 2) + bytes([op.JUMPDEST]) * 3
    assert_same(push(1) + code)


def test_jump_into_push_data_and_elsewhere_are_different_errors():
    data = push(3, 1) + bytes([op.JUMP]) + bytes([op.PUSH1 + 3]) + bytes([op.JUMPDEST]) * 4
    assert assert_same(push(4, 1) + data[2:])["error"] is InvalidInstruction
    assert assert_same(push(0, 1) + data[2:])["error"] is InvalidJumpDestination


def test_loop_with_storage_and_logs_leaves_the_same_state():
    # while (i < 5) { sstore(i, i + calldata[0]); log1(0, 32, i) } return memory
    body = bytes([op.JUMPDEST, op.DUP1, op.DUP1, op.PUSH1, 0, op.CALLDATALOAD, op.ADD, op.DUP2])
    body += bytes([op.SSTORE, op.DUP1, op.PUSH1, 32, op.PUSH1, 0, op.LOG1])
    body += bytes([op.PUSH1, 1, op.ADD, op.DUP1, op.PUSH1, 5, op.GT, op.PUSH1, 2, op.JUMPI])
    code = push(0, 1) + body + bytes([op.PUSH1, 32, op.PUSH1, 0, op.RETURN])
    seen = assert_same(code, gas=500_000)
    assert (len(seen["logs"]), seen["storage"][1] > 0) == (5, True)
