"""Random nodes of every kind that kernels know, and the comparison with the reference.

A failure names family, seed and size; the same case again:

    from tests.kernels.equality.cases import check, make_case
    check(make_case("product", seed=17, most=40))
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.kernels.reference.evaluator import fold_terms, store
from protocol.program.node import Node
from tests.kernels.equality import elementwise, indexed, products, reductions
from tests.kernels.equality.executors import Run, executors
from tests.kernels.equality.values import operands_of
from tests.kernels.nodes import Case, random_case, random_product, words_of

Family = Callable[[random.Random, int], Node]

FAMILIES: Mapping[str, Family] = {
    f.__name__: f
    for f in (
        *(products.product, products.deep_product, products.strided_product),
        *(products.convolution, products.convolution_input_gradient),
        products.convolution_weight_gradient,
        *(elementwise.functions, elementwise.arithmetic, elementwise.mixed),
        *(elementwise.dropout, elementwise.update),
        *(reductions.row_lanes, reductions.rows, reductions.columns, reductions.everything),
        *(reductions.extremes, reductions.first_index, reductions.pooling),
        *(indexed.gather, indexed.gather_two, indexed.scatter, indexed.scatter_inner),
    )
}
"""Nodes as lowering makes them; kernels recognise these."""

SHAPELESS = ("any_node", "any_product")
"""Nodes that no lowering makes: whatever the codec can say."""


@dataclass(frozen=True)
class Named:
    """A case and where it comes from."""

    family: str
    seed: int
    most: int
    case: Case

    def __str__(self) -> str:
        return f"make_case({self.family!r}, seed={self.seed}, most={self.most})"


def make_case(family: str, seed: int, most: int) -> Named:
    """The case ``seed`` of a family; ``most`` is about the largest dimension of a matrix in it."""
    if family == "any_node":
        return Named(family, seed, most, random_case(seed, 2 * most, 8 + most // 4))
    if family == "any_product":
        return Named(family, seed, most, random_product(seed))
    rng = random.Random(f"{family} {seed}")
    node = FAMILIES[family](rng, most)
    return Named(family, seed, most, Case(node, operands_of(rng, node)))


def check(named: Named, terms: int = 2_000, runs: Mapping[str, Run] | None = None) -> None:
    """All executors give one tensor, which is the reference's.

    Args:
        named: the case.
        terms: about how many terms the reference computes, which is slow: some of the elements
            only, if the node has more. The executors are compared with each other on all.
        runs: the executors; default: all.

    Raises:
        AssertionError: two differ; it names case, executor and the first word that differs.
    """
    node, operands = named.case.node, named.case.operands
    runs = executors() if runs is None else runs
    outputs = {name: run(node, operands).reshape(-1) for name, run in runs.items()}
    elements = _chosen_elements(node, terms, named.seed)
    stored = named.case.elements()
    expected = [store(node, fold_terms(node, stored, element)[-1][0]) for element in elements]
    first_name, first = next(iter(outputs.items()))
    for name, output in outputs.items():
        got = words_of(output[elements])
        _compare(f"{named}\n{name} against the reference", elements, got, expected)
        if not np.array_equal(_words(output), _words(first)):
            _compare(
                f"{named}\n{name} against {first_name}",
                range(node.numel),
                words_of(output),
                words_of(first),
            )


def _chosen_elements(node: Node, terms: int, seed: int) -> list[int]:
    """All elements, or the first, the last and some between, for about ``terms`` terms."""
    count = max(3, terms // node.terms)
    if count >= node.numel:
        return list(range(node.numel))
    between = random.Random(seed).sample(range(node.numel), count - 2)
    return sorted({0, node.numel - 1, *between})


def _words(output: NDArray[Any]) -> NDArray[Any]:
    return output.view(np.uint8 if output.itemsize == 1 else np.uint32)


def _compare(what: str, elements: Any, got: list[int], expected: list[int]) -> None:
    wrong = [i for i, pair in enumerate(zip(got, expected, strict=True)) if pair[0] != pair[1]]
    if wrong:
        i = wrong[0]
        raise AssertionError(
            f"{what}: {len(wrong)} of {len(got)} elements differ, the first is element "
            f"{elements[i]}: {got[i]:#010x}, expected {expected[i]:#010x}"
        )
