"""Worst case of a judgement, in calldata bytes and gas, and estimates of a step's work and memory.

The code of a judgement is straight-line and its trees are known from the task, so the worst case is
static. The coefficients bound what ``scripts/gas_table.py`` measures (docs/GAS.md); a test holds
them above the measurement for random nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.program.canonical import encode_node
from protocol.program.isa import Op
from protocol.program.node import LOADED_WORD, Node, Program, TensorSpec, numel

CHUNK_BYTES = 1024
TRANSACTION_GAS = 21_000
CALLDATA_GAS = 16  # per nonzero byte, when execution dominates (EIP-2028)
CALLDATA_FLOOR_GAS = 40  # per nonzero byte, EIP-7623's floor
FIXED_GAS = 75_000  # storage reads, checks, payouts of the settling move, the call of the judge
DECODE_GAS = 60  # per byte of the descriptor
PROOF_NODE_GAS = 600  # one SHA-256 of 65 bytes and the loop around it
HASH_BYTE_GAS = 1  # per byte hashed for a leaf, words and copies included
ARITHMETIC_GAS = 1_400  # add sub mul div sqrt fma, the dispatch included
CONVERSION_GAS = 900  # i2f f2i
OTHER_GAS = 650  # every other instruction
AXIS_TERM_GAS = 450
LOAD_GAS = 900


@dataclass(frozen=True)
class TreeSizes:
    """Numbers of leaves that a judgement's proofs depend on."""

    nodes: int
    state: int
    data: int

    @staticmethod
    def of(program: Program, data: Sequence[TensorSpec]) -> TreeSizes:
        """The sizes that ``program`` and its data tensors fix."""
        return TreeSizes(len(program.nodes), len(program.bindings), max(1, len(data)))


def depth(size: int) -> int:
    """Longest inclusion path in an RFC 9162 tree of ``size`` leaves."""
    return (size - 1).bit_length()


def arithmetic_gas(node: Node) -> int:
    """Most gas that a judgement of one term's arithmetic can take, whole transaction."""
    descriptor = len(encode_node(node))
    leaf = 4 * (1 + len(node.loads))
    path = depth(node.terms)
    calldata = 4 + 32 * 14 + _padded(descriptor) + 2 * _padded(leaf) + 2 * 32 * path
    execution = FIXED_GAS + DECODE_GAS * descriptor + 2 * PROOF_NODE_GAS * (path + 1)
    execution += HASH_BYTE_GAS * (descriptor + 2 * leaf)
    execution += sum(instruction_gas(instruction.op) for instruction in node.instructions)
    execution += address_gas(node)
    return _transaction_gas(calldata, execution)


def load_gas(node: Node, sizes: TreeSizes) -> int:
    """Most gas that a judgement of one loaded word can take, whole transaction."""
    descriptor = len(encode_node(node))
    leaf = 4 * (1 + len(node.loads))
    path = depth(node.terms)
    tensor_path = max(
        (depth(-(-numel(o.shape) * o.dtype.width // CHUNK_BYTES)) for o in node.operands), default=0
    )
    root_path = depth(max(sizes.nodes, sizes.state, sizes.data))
    paths = path + tensor_path + root_path
    calldata = 4 + 32 * 16 + _padded(descriptor) + _padded(leaf) + CHUNK_BYTES + 32 * paths
    execution = FIXED_GAS + DECODE_GAS * descriptor + PROOF_NODE_GAS * (paths + 3)
    execution += HASH_BYTE_GAS * (descriptor + leaf + CHUNK_BYTES)
    execution += address_gas(node)
    return _transaction_gas(calldata, execution)


def judgement_gas(node: Node, sizes: TreeSizes) -> int:
    """Most gas that any judgement of this node can take."""
    return max(arithmetic_gas(node), load_gas(node, sizes))


def node_work(node: Node) -> int:
    """Terms that a kernel evaluates for one run of the node; a guarded node is one pass."""
    guarded = {guard.coordinate for guard in node.guards}
    outputs = numel(tuple(d for i, d in enumerate(node.shape) if i not in guarded))
    return outputs * node.terms


def step_work(program: Program) -> int:
    """Scalar instructions and loads of one step (a fused multiply-add counts once)."""
    return sum(
        node_work(node) * max(1, len(node.instructions) + len(node.loads) // 2)
        for node in program.nodes
    )


def trace_bytes(program: Program) -> int:
    """Bytes of all node outputs of one step: what tracing a step hashes."""
    return sum(node.nbytes for node in program.nodes)


def _padded(size: int) -> int:
    return -(-size // 32) * 32


def _transaction_gas(calldata: int, execution: int) -> int:
    return TRANSACTION_GAS + max(CALLDATA_GAS * calldata + execution, CALLDATA_FLOOR_GAS * calldata)


def instruction_gas(op: Op) -> int:
    """Most gas that the judge takes to run one instruction, on any words."""
    if op <= Op.FMA:
        return ARITHMETIC_GAS
    if op in (Op.I2F, Op.F2I):
        return CONVERSION_GAS
    return OTHER_GAS


def address_gas(node: Node) -> int:
    """Most gas that the judge takes to find where the node's loads read."""
    gas = 0
    for load in node.loads:
        gas += LOAD_GAS
        for axis in load.axes:
            indirect = sum(1 for term in axis.terms if term.source & LOADED_WORD)
            gas += AXIS_TERM_GAS * (1 + len(axis.terms) + indirect)
    return gas
