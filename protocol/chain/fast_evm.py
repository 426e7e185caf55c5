"""py-evm with a quicker inner loop, for tests and demonstrations that run whole disputes.

Nearly all that a contract executes are pushes, copies, swaps, arithmetic and jumps. py-evm spends
several Python calls on each; here they are branches of one loop over local variables, which runs
five times as much gas per second. Everything else (storage, calls, logs, hashing) is left to
py-evm's own opcodes, and a test holds both machines equal in gas, output and state on random code.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from eth.exceptions import (
    FullStack,
    Halt,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfGas,
    VMError,
)
from eth.vm import opcode_values as op
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.opcodes import PRAGUE_OPCODES
from eth.vm.forks.prague.state import PragueState
from eth.vm.logic.invalid import InvalidOpcode

if TYPE_CHECKING:
    from eth.abc import ComputationAPI, MessageAPI, StateAPI, TransactionContextAPI

_WORD = 2**256
_MASK = _WORD - 1
_SIGN = 2**255
_STACK_LIMIT = 1024

# The operand popped first is `a`.
_BINARY: dict[int, Callable[[int, int], int]] = {
    op.ADD: lambda a, b: (a + b) & _MASK,
    op.SUB: lambda a, b: (a - b) & _MASK,
    op.MUL: lambda a, b: (a * b) & _MASK,
    op.DIV: lambda a, b: a // b if b else 0,
    op.MOD: lambda a, b: a % b if b else 0,
    op.AND: lambda a, b: a & b,
    op.OR: lambda a, b: a | b,
    op.XOR: lambda a, b: a ^ b,
    op.SHL: lambda a, b: (b << a) & _MASK if a < 256 else 0,
    op.SHR: lambda a, b: b >> a if a < 256 else 0,
    op.BYTE: lambda a, b: (b >> (248 - 8 * a)) & 255 if a < 32 else 0,
    op.LT: lambda a, b: 1 if a < b else 0,
    op.GT: lambda a, b: 1 if a > b else 0,
    op.EQ: lambda a, b: 1 if a == b else 0,
    # Flipping the sign bit turns the signed order into the unsigned one.
    op.SLT: lambda a, b: 1 if a ^ _SIGN < b ^ _SIGN else 0,
    op.SGT: lambda a, b: 1 if a ^ _SIGN > b ^ _SIGN else 0,
}
_UNARY: dict[int, Callable[[int], int]] = {
    op.ISZERO: lambda a: 0 if a else 1,
    op.NOT: lambda a: a ^ _MASK,
}
_GAS = [getattr(PRAGUE_OPCODES.get(code), "gas_cost", 0) for code in range(256)]
# As module constants, since attributes of a module cost a look-up each time.
_PUSH0, _PUSH32, _DUP16, _SWAP16 = op.PUSH1 - 1, op.PUSH32, op.DUP16, op.SWAP16
_POP, _MLOAD, _MSTORE, _JUMP, _JUMPI, _JUMPDEST = (
    op.POP,
    op.MLOAD,
    op.MSTORE,
    op.JUMP,
    op.JUMPI,
    op.JUMPDEST,
)


@lru_cache(maxsize=256)
def _decode(code: bytes) -> tuple[bytes, list[int], frozenset[int]]:
    """Return the code with a final STOP, the word that each push pushes, and the jump targets."""
    words = [0] * len(code)
    targets = set()
    pc = 0
    while pc < len(code):
        opcode = code[pc]
        if op.PUSH1 <= opcode <= _PUSH32:
            size = opcode - _PUSH0
            words[pc] = int.from_bytes(code[pc + 1 : pc + 1 + size].ljust(size, b"\0"), "big")
            pc += size
        elif opcode == op.JUMPDEST:
            targets.add(pc)
        pc += 1
    return code + b"\0" * 34, words, frozenset(targets)


class FastComputation(PragueComputation):
    """A Prague computation whose common opcodes run in one loop."""

    @classmethod
    def apply_computation(
        cls,
        state: StateAPI,
        message: MessageAPI,
        transaction_context: TransactionContextAPI,
        parent_computation: ComputationAPI | None = None,
    ) -> ComputationAPI:
        """Run a message, as py-evm's method of this name does."""
        is_precompile = message.code_address in cls.get_precompiles()
        if is_precompile or not message.code:
            return super().apply_computation(
                state, message, transaction_context, parent_computation
            )
        with cls(state, message, transaction_context) as computation:
            if computation.is_origin_computation:
                computation.contracts_created = []
                if message.is_create:
                    cls.consume_initcode_gas_cost(computation)
            if parent_computation is not None:
                computation.contracts_created = parent_computation.contracts_created
            if message.is_create:
                computation.contracts_created.append(message.storage_address)
            with suppress(Halt):
                _run(computation)
        return computation


def _run(computation: Any) -> None:
    """Execute until something raises: `Halt` at the end, or a virtual machine error."""
    code, words, targets = _decode(bytes(computation.code._raw_code_bytes))
    stream, meter, memory = computation.code, computation._gas_meter, computation._memory
    opcodes, values = computation.opcodes, computation._stack.values
    binary, unary, costs = _BINARY, _UNARY, _GAS
    append, pop = values.append, values.pop
    pc, gas = 0, meter.gas_remaining
    while True:
        opcode = code[pc]
        pc += 1
        gas -= costs[opcode]
        if gas < 0:
            raise OutOfGas(f"opcode 0x{opcode:02x} at {pc - 1} needs {-gas} gas more")
        try:
            if _PUSH0 <= opcode <= _DUP16:
                if len(values) >= _STACK_LIMIT:
                    raise FullStack("Stack limit reached")
                if opcode <= _PUSH32:
                    append(words[pc - 1])
                    pc += opcode - _PUSH0
                else:
                    append(values[_PUSH32 - opcode])
            elif opcode in binary:
                first = pop()
                values[-1] = binary[opcode](first, values[-1])
            elif _DUP16 < opcode <= _SWAP16:
                other = _DUP16 - 1 - opcode
                values[-1], values[other] = values[other], values[-1]
            elif opcode == _JUMPI:
                target, condition = pop(), pop()
                if condition:
                    if target not in targets:
                        raise _invalid_jump(code, target)
                    pc = target
            elif opcode == _JUMP:
                target = pop()
                if target not in targets:
                    raise _invalid_jump(code, target)
                pc = target
            elif opcode == _POP:
                pop()
            elif opcode in unary:
                values[-1] = unary[opcode](values[-1])
            elif opcode == _MLOAD and values[-1] + 32 <= len(memory._bytes):
                start = values[-1]
                values[-1] = int.from_bytes(memory._bytes[start : start + 32], "big")
            elif opcode == _MSTORE and values[-1] + 32 <= len(memory._bytes):
                start, word = pop(), pop()
                memory._bytes[start : start + 32] = word.to_bytes(32, "big")
            elif opcode != _JUMPDEST:
                # py-evm's own opcode takes its gas itself.
                meter.gas_remaining = gas + costs[opcode]
                stream.program_counter = pc
                (opcodes.get(opcode) or InvalidOpcode(opcode))(computation=computation)
                gas = meter.gas_remaining
                if values and values[-1].__class__ is bytes:
                    values[-1] = int.from_bytes(values[-1], "big")
        except IndexError:
            raise InsufficientStack(f"opcode 0x{opcode:02x} found {len(values)} items") from None


def _invalid_jump(code: bytes, target: int) -> VMError:
    """Return py-evm's error: data that looks like a target is another mistake than none at all."""
    if target < len(code) and code[target] == op.JUMPDEST:
        return InvalidInstruction("Jump resulted in invalid instruction")
    return InvalidJumpDestination("Invalid Jump Destination")


class FastState(PragueState):
    """Prague's state with the quicker computation."""

    computation_class = FastComputation


class FastVM(PragueVM):
    """Prague's virtual machine with the quicker computation."""

    _state_class = FastState
