"""The fold, word by word: a direct reading of ``docs/PROTOCOL.md`` section 2.

An operand is the list of its stored elements in row-major order: the words of an ``f32`` or ``i32``
tensor, the bytes of a ``u8`` tensor. Meant for validated nodes; one term costs microseconds to
milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.kernels.reference import float32
from protocol.program.isa import DType, Type
from protocol.program.node import LOADED_WORD, Load, Node

Elements = Sequence[int]


def evaluate_node(node: Node, operands: Sequence[Elements]) -> list[int]:
    """The stored elements of the node's output, row-major: words, or bytes for ``u8``."""
    return [
        store(node, fold_terms(node, operands, element)[-1][0]) for element in range(node.numel)
    ]


def fold_terms(
    node: Node, operands: Sequence[Elements], element: int
) -> list[tuple[int, list[int]]]:
    """The leaves of one element's fold tree.

    Returns:
        For each term the accumulator after it and the words of all loads.
    """
    leaves = []
    accumulator = node.init
    for term in range(node.terms):
        words = load_words(node, operands, element, term)
        accumulator = fold_term(node, element, term, accumulator, words)
        leaves.append((accumulator, words))
    return leaves


def fold_term(node: Node, element: int, term: int, accumulator: int, words: Sequence[int]) -> int:
    """The accumulator after one term, from the one before it and the words of its loads.

    Words of ``f32`` loads and the accumulator are made canonical first, as the contract does, so
    that the function is total on whatever a party claims them to be.
    """
    if node.dtype.type is Type.F:
        accumulator = float32.canonical(accumulator)
    words = [
        float32.canonical(word) if _dtype(node, load) is DType.F32 else word
        for load, word in zip(node.loads, words, strict=True)
    ]
    output = unravel(element, node.shape)
    coordinates = output + unravel(term, node.domain)
    for guard in node.guards:
        if words[guard.load] != output[guard.coordinate]:
            return accumulator
    for load in node.loads:
        if load.skip and locate(load, coordinates, words) is None:
            return accumulator
    return run_body(node, accumulator, words, coordinates)


def run_body(node: Node, accumulator: int, words: Sequence[int], coordinates: Sequence[int]) -> int:
    """The body's result for given canonical words."""
    values = [accumulator, *words, *(constant.word for constant in node.constants), *coordinates]
    for instruction in node.instructions:
        operation = float32.OPERATIONS[instruction.op.name.lower()]
        values.append(operation(*(values[argument] for argument in instruction.arguments)))
    return values[node.result]


def load_words(node: Node, operands: Sequence[Elements], element: int, term: int) -> list[int]:
    """The words of all loads of a term, in order."""
    coordinates = unravel(element, node.shape) + unravel(term, node.domain)
    words: list[int] = []
    for load in node.loads:
        address = locate(load, coordinates, words)
        if address is None:
            words.append(load.fill)
        else:
            stored = operands[load.operand][address]
            is_float = _dtype(node, load) is DType.F32
            words.append(float32.canonical(stored) if is_float else stored)
    return words


def locate(load: Load, coordinates: Sequence[int], words: Sequence[int]) -> int | None:
    """The flat element that a load reads, or None if it is out of bounds.

    ``coordinates`` are those of the output, then of the domain; ``words`` those of the earlier
    loads at least.
    """
    address = load.offset
    for axis in load.axes:
        scaled = axis.const
        for term in axis.terms:
            if term.source & LOADED_WORD:
                source = float32.signed(words[term.source & ~LOADED_WORD])
            else:
                source = coordinates[term.source]
            scaled += term.coef * source
        coordinate, remainder = divmod(scaled, axis.divisor)
        if remainder != 0 or not 0 <= coordinate < axis.size:
            return None
        address += axis.stride * coordinate
    return address


def store(node: Node, accumulator: int) -> int:
    """The stored element: the word, or its low byte for ``u8``."""
    return accumulator & 0xFF if node.dtype is DType.U8 else accumulator


def unravel(index: int, shape: Sequence[int]) -> list[int]:
    """Row-major coordinates of a flat index."""
    coordinates = []
    for size in reversed(shape):
        index, coordinate = divmod(index, size)
        coordinates.append(coordinate)
    return coordinates[::-1]


def _dtype(node: Node, load: Load) -> DType:
    return node.operands[load.operand].dtype
