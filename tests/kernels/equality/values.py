"""Dimensions and tensors that are hard for a kernel, from a seed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.program.isa import DType
from protocol.program.node import LOADED_WORD, Node, Operand, OperandKind, numel
from tests.float_cases import SPECIALS
from tests.kernels.nodes import FOREIGN_NANS, INTEGER_WORDS

# One, primes, and both sides of the vector, tile and block lengths.
SIZES = (
    1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 15, 16, 17, 23, 31, 32, 33, 37, 47, 48, 61, 64, 65, 97, 127,
    128, 131, 144, 145, 191, 255, 256, 257, 263, 289, 311, 512, 513, 521, 769, 1009, 1025,
)  # fmt: skip


def size(rng: random.Random, most: int) -> int:
    """A dimension of 1 to ``most``."""
    return rng.choice([each for each in SIZES if each <= most])


def tensor(index: int, dtype: DType, *shape: int) -> Operand:
    """A state tensor."""
    return Operand(OperandKind.STATE, index, dtype, shape)


def operands_of(rng: random.Random, node: Node) -> list[NDArray[Any]]:
    """Arrays for a node's operands, each of a flavour of its own."""
    return [_array(rng, operand, _index_bound(node)) for operand in node.operands]


def _array(rng: random.Random, operand: Operand, bound: int) -> NDArray[Any]:
    generator = np.random.default_rng(rng.getrandbits(64))
    count = numel(operand.shape)
    if operand.dtype is DType.U8:
        most = rng.choice((2, min(bound, 256), 256))
        values: NDArray[Any] = generator.integers(0, most, count, np.uint8, endpoint=False)
    elif operand.dtype is DType.I32:
        values = _integers(rng, generator, count, bound)
    else:
        values = rng.choice(FLAVOURS)(generator, count)
    return values.view(operand.dtype.numpy).reshape(operand.shape)


def _integers(
    rng: random.Random, generator: np.random.Generator, count: int, bound: int
) -> NDArray[np.uint32]:
    """Indices below ``bound``; often some beyond it on either side, or any words."""
    words = generator.integers(0, bound, count, np.uint32)
    style = rng.random()
    if style < 0.4:
        chosen = generator.random(count) < 0.2
        strange = np.array([*INTEGER_WORDS, bound, 2**32 - bound], np.uint32)
        words[chosen] = generator.choice(strange, count)[chosen]
    elif style < 0.5:
        words = generator.integers(0, 2**32, count, np.uint32)
    return words


def _index_bound(node: Node) -> int:
    """About how large an index may be that is still in bounds or passes a guard."""
    bounds = [2]
    bounds += [node.shape[guard.coordinate] for guard in node.guards]
    for load in node.loads:
        for axis in load.axes:
            if any(term.source & LOADED_WORD for term in axis.terms):
                bounds.append(axis.size)
    return max(bounds)


# Flavours of f32 tensors: functions of (generator, count) that give words.


def _normal(generator: np.random.Generator, count: int) -> NDArray[np.uint32]:
    return generator.standard_normal(count).astype("<f4").view(np.uint32)


def _any_words(generator: np.random.Generator, count: int) -> NDArray[np.uint32]:
    return generator.integers(0, 2**32, count, np.uint32)


def _specials(generator: np.random.Generator, count: int) -> NDArray[np.uint32]:
    """Ordinary numbers among every special word and NaNs of other bits."""
    words = _normal(generator, count)
    strange = np.concatenate([SPECIALS, np.array(FOREIGN_NANS, np.uint32)])
    return np.where(generator.random(count) < 0.3, generator.choice(strange, count), words)


def _subnormals(generator: np.random.Generator, count: int) -> NDArray[np.uint32]:
    """Subnormals and numbers whose products are subnormal or vanish."""
    exponent = generator.choice([0, 0, 1, 20, 52, 60, 63, 64, 127], count).astype(np.uint32)
    return exponent << 23 | (_any_words(generator, count) & np.uint32(0x807FFFFF))


def _huge(generator: np.random.Generator, count: int) -> NDArray[np.uint32]:
    """Numbers whose products and sums overflow, here and there."""
    exponent = generator.choice([127, 150, 190, 191, 253, 254], count).astype(np.uint32)
    return exponent << 23 | (_any_words(generator, count) & np.uint32(0x807FFFFF))


def _zeros(generator: np.random.Generator, count: int) -> NDArray[np.uint32]:
    """Mostly zeros of both signs."""
    zeros = _any_words(generator, count) & np.uint32(0x80000000)
    return np.where(generator.random(count) < 0.8, zeros, _normal(generator, count))


def _few_values(generator: np.random.Generator, count: int) -> NDArray[np.uint32]:
    """Few distinct numbers: ties of comparisons, exact cancellation."""
    return generator.choice(np.array([-1.5, -1, 0, 1, 1.5, 3], "<f4"), count).view(np.uint32)


FLAVOURS = (_normal, _normal, _specials, _specials, _subnormals, _huge, _zeros, _few_values)
