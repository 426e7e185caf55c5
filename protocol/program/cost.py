"""Worst case of a judgement, in calldata bytes and gas, and estimates of a step's work and memory.

The code of a judgement is straight-line and its trees are known from the task, so the worst case is
static: a solver that is right and has no credit yet, in a market that burns for the first time. The
coefficients lie a few hundredths above what they bound: ``test_judgement_bound.py`` holds them
above real judgements of random and of extreme nodes, docs/GAS.md shows those of real programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.program.canonical import encode_node
from protocol.program.isa import Op
from protocol.program.node import LOADED_WORD, Load, Node, Program, TensorSpec, numel

CHUNK_BYTES = 1024
TRANSACTION_GAS = 21_000
# EIP-7623: a transaction pays for 4 tokens a nonzero byte and 1 a zero byte, at this price, or at
# the floor's price with nothing for execution, whichever is more.
TOKEN_GAS = 4
TOKEN_FLOOR_GAS = 10
# Selector, two identifiers, and at most fourteen words of offsets, lengths and small numbers.
HEAD_TOKENS = 4 * (4 + 32 + 32) + 14 * (32 + 3 * 2)
# The dispute around the judge: state, checks, events, and the payouts of the verdict, of which
# three are the first of their kind.
FIXED_GAS = 186_000
OPENED_CHUNK_GAS = 9_500  # hashing and reading a chunk of 1,024 bytes
PROOF_NODE_GAS = 350  # one SHA-256 of 65 bytes and the loop around it
LEAF_WORD_GAS = 360  # a load's word in a leaf: copied, hashed, made canonical
DESCRIPTOR_BYTE_GAS = 2  # copied twice and hashed
# Decoding a descriptor, per item.
DIMENSION_GAS = 330
OPERAND_DIMENSION_GAS = 70
OPERAND_GAS = 900
LOAD_GAS = 1_140
AXIS_GAS = 420
AXIS_TERM_GAS = 180
CONSTANT_GAS = 130
GUARD_GAS = 200
# Finding the address of one load, per axis and per term of an axis.
COORDINATE_GAS = 270
# One instruction, dispatch included, on the worst words.
INSTRUCTION_GAS = {
    **dict.fromkeys(Op, 570),
    **dict.fromkeys((Op.MIN, Op.MAX, Op.FLT, Op.FLE, Op.FEQ), 640),
    Op.F2I: 730,
    Op.I2F: 890,
    Op.MUL: 1_080,
    Op.DIV: 1_190,
    Op.ADD: 1_340,
    Op.SUB: 1_340,
    Op.FMA: 1_330,
    Op.SQRT: 1_400,
}

FLOAT_OPS = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.SQRT, Op.FMA})
"""Instructions that many processors run in microcode when they meet a subnormal number."""
FULL_OUTPUTS = 256
"""Outputs that fill vectors and threads; microcode takes as long for one lane as for all."""


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


@dataclass(frozen=True)
class Opening:
    """What every judgement of one node takes for its descriptor: found once, it encodes the node.

    Attributes:
        tokens: of calldata.
        gas: of execution.
    """

    tokens: int
    gas: int

    @staticmethod
    def of(node: Node) -> Opening:
        """That of ``node``."""
        encoded = encode_node(node)
        gas = FIXED_GAS + decode_gas(node) + DESCRIPTOR_BYTE_GAS * len(encoded)
        return Opening(HEAD_TOKENS + tokens_of(encoded), gas)


def arithmetic_gas(node: Node, opening: Opening | None = None) -> int:
    """Most gas that a judgement of one term's arithmetic can take, whole transaction."""
    opening = opening or Opening.of(node)
    path, leaves = depth(node.terms), min(2, node.terms)
    tokens = opening.tokens + leaves * _proven_tokens(node, path)
    execution = opening.gas + leaves * (path * PROOF_NODE_GAS + _words_gas(node))
    execution += sum(instruction_gas(instruction.op) for instruction in node.instructions)
    execution += sum(address_gas(load) for load in node.loads if load.skip)
    return _transaction_gas(tokens, execution)


def load_gas(node: Node, sizes: TreeSizes, opening: Opening | None = None) -> int:
    """Most gas that a judgement of one loaded word can take, whole transaction; 0 without loads."""
    opening = opening or Opening.of(node)
    return max((judgement_of_load(node, load, sizes, opening) for load in node.loads), default=0)


def judgement_of_load(
    node: Node, load: Load, sizes: TreeSizes, opening: Opening | None = None
) -> int:
    """Most gas that a judgement of this load can take, whole transaction."""
    opening = opening or Opening.of(node)
    operand = node.operands[load.operand]
    chunks = -(-numel(operand.shape) * operand.dtype.width // CHUNK_BYTES)
    roots = (sizes.nodes, sizes.state, sizes.data)[operand.kind]
    path = depth(node.terms) + depth(chunks) + depth(roots)
    tokens = opening.tokens + _proven_tokens(node, path) + 4 * CHUNK_BYTES
    execution = opening.gas + OPENED_CHUNK_GAS + path * PROOF_NODE_GAS
    execution += _words_gas(node) + address_gas(load)
    return _transaction_gas(tokens, execution)


def judgement_gas(node: Node, sizes: TreeSizes) -> int:
    """Most gas that any judgement of this node can take."""
    opening = Opening.of(node)
    return max(arithmetic_gas(node, opening), load_gas(node, sizes, opening))


def node_work(node: Node) -> int:
    """Terms that a kernel evaluates for one run of the node.

    A guarded node is one pass over its terms, unless a guard's word depends on where the output is:
    then each output looks at every term.
    """
    guarded = {guard.coordinate for guard in node.guards}
    moving = _loads_by_output(node)
    if any(guard.load in moving for guard in node.guards):
        guarded = set()
    outputs = numel(tuple(d for i, d in enumerate(node.shape) if i not in guarded))
    return outputs * node.terms


def _loads_by_output(node: Node) -> set[int]:
    """The loads whose address depends on an output coordinate, at first or second hand."""
    found: set[int] = set()
    for k, load in enumerate(node.loads):
        sources = [term.source for axis in load.axes for term in axis.terms]
        if any(
            (s & ~LOADED_WORD) in found if s & LOADED_WORD else s < len(node.shape) for s in sources
        ):
            found.add(k)
    return found


def step_work(program: Program) -> int:
    """Scalar instructions and loads of one step (a fused multiply-add counts once)."""
    return sum(
        node_work(node) * max(1, len(node.instructions) + len(node.loads) // 2)
        for node in program.nodes
    )


def float_work_of(node: Node) -> int:
    """Float instructions of one run of the node that can meet subnormal numbers.

    A node of fewer than `FULL_OUTPUTS` outputs counts as if it had so many: each of its
    instructions takes the time of one whose lanes are full.
    """
    floats = sum(instruction.op in FLOAT_OPS for instruction in node.instructions)
    return floats * max(node_work(node), FULL_OUTPUTS * node.terms)


def float_work(program: Program) -> int:
    """Float instructions of one step that can meet subnormal numbers, see `float_work_of`."""
    return sum(float_work_of(node) for node in program.nodes)


def trace_bytes(program: Program) -> int:
    """Bytes of all node outputs of one step: what tracing a step hashes."""
    return sum(node.nbytes for node in program.nodes)


def instruction_gas(op: Op) -> int:
    """Most gas that the judge takes to run one instruction, on any words."""
    return INSTRUCTION_GAS[op]


def address_gas(load: Load) -> int:
    """Most gas that the judge takes to find where a load reads."""
    return COORDINATE_GAS * sum(1 + len(axis.terms) for axis in load.axes)


def decode_gas(node: Node) -> int:
    """Most gas that the judge takes to read the descriptor, instructions excepted."""
    axes = [axis for load in node.loads for axis in load.axes]
    return (
        DIMENSION_GAS * (len(node.shape) + len(node.domain))
        + OPERAND_DIMENSION_GAS * sum(len(operand.shape) for operand in node.operands)
        + OPERAND_GAS * len(node.operands)
        + LOAD_GAS * len(node.loads)
        + AXIS_GAS * len(axes)
        + AXIS_TERM_GAS * sum(len(axis.terms) for axis in axes)
        + CONSTANT_GAS * len(node.constants)
        + GUARD_GAS * len(node.guards)
    )


def tokens_of(data: bytes) -> int:
    """Calldata tokens of known bytes (EIP-7623)."""
    return 4 * len(data) - 3 * data.count(0)


def _words_gas(node: Node) -> int:
    return LEAF_WORD_GAS * len(node.loads)


def _proven_tokens(node: Node, path: int) -> int:
    """Calldata tokens of a leaf of a fold, and of ``path`` nodes of proofs, of any bytes."""
    leaf = 4 * (1 + len(node.loads))
    return 4 * (leaf + 32 * path) + 32  # and padding


def _transaction_gas(tokens: int, execution: int) -> int:
    return TRANSACTION_GAS + max(TOKEN_GAS * tokens + execution, TOKEN_FLOOR_GAS * tokens)
