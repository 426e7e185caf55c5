"""Merkle.sol against the naive RFC code, the Python twin and the wrong proofs, on two EVMs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from eth.exceptions import OutOfGas
from eth.vm.forks.prague.computation import PragueComputation
from eth_abi.abi import encode
from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types, get_abi_output_types

from protocol.chain.compiler import compile_contract
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.reverts import Reverted
from protocol.merkle import (
    MerkleTree,
    compute_child_count,
    compute_inclusion_length,
    frontier,
    recombine,
    subroots,
)
from tests.contracts.revm import RevertedError, Revm
from tests.merkle import rfc9162, wrong_proofs

SIZES = range(1, 131)
SIZES_ON_PYEVM = (1, 2, 3, 7, 8, 33, 64)
LARGEST = (1 << 64) - 1
# A tensor of 2 GiB: the deepest path of an ordinary dispute.
DEEP_SIZE = 1 << 21

# Most gas, without calldata and the call (measured 8,034 and 11,147).
GAS_CAP_PATH_OF_21 = 8_400
GAS_CAP_RECOMBINE_32 = 11_700


@pytest.fixture(scope="module")
def revm() -> Revm:
    return Revm("MerkleHarness")


@pytest.fixture
def pyevm(chain: EmbeddedChain) -> Callable[..., Any]:
    harness = chain.deploy("MerkleHarness")

    def call(function: str, *arguments: Any) -> Any:
        return chain.call(harness.functions[function](*arguments))

    return call


def _all_inclusions(size: int) -> tuple[bytes, list[bytes], list[list[bytes]]]:
    leaves = [rfc9162.mth(i, i + 1) for i in range(size)]
    return rfc9162.mth(0, size), leaves, [rfc9162.path(i, 0, size) for i in range(size)]


def _all_consistencies(size: int) -> tuple[list[bytes], list[list[bytes]]]:
    olds = range(1, size + 1)
    return [rfc9162.mth(0, old) for old in olds], [rfc9162.proof(old, size) for old in olds]


# ---------------------------------------------------------------------- hashes


@pytest.mark.parametrize("length", [0, 1, 4, 31, 32, 33, 54, 55, 56, 64, 68, 1023, 1024, 1025])
def test_leaf_hash_of_any_length_equals_hashlib(revm: Revm, length: int) -> None:
    value = random.Random(length).randbytes(length)
    expected = sha256(b"\0" + value).digest()
    assert revm.call("leafHashCalldata", value) == expected
    # The value in memory is as it was, its length included.
    assert revm.call("leafHashMemory", value) == (expected, value)
    assert revm.call("plainLeafHash", value) == expected
    if length == 32:
        assert revm.call("leafHash", value) == expected


def test_node_hash_equals_hashlib_and_the_plain_twin(revm: Revm) -> None:
    for i in range(20):
        left, right = rfc9162.value(i), rfc9162.value(i + 1)
        expected = sha256(b"\1" + left + right).digest()
        assert revm.call("nodeHash", left, right) == expected
        assert revm.call("plainNodeHash", left, right) == expected


# ---------------------------------------------------------------------- proofs


def test_inclusion_every_leaf_of_every_size_is_accepted(revm: Revm) -> None:
    for size in SIZES:
        revm.call("verifyInclusions", *_all_inclusions(size))


def test_consistency_every_pair_of_sizes_is_accepted(revm: Revm) -> None:
    for size in SIZES:
        revm.call("verifyConsistencies", *_all_consistencies(size))


def test_inclusion_and_consistency_on_pyevm_are_accepted(pyevm: Callable[..., Any]) -> None:
    for size in SIZES_ON_PYEVM:
        pyevm("verifyInclusions", *_all_inclusions(size))
        pyevm("verifyConsistencies", *_all_consistencies(size))


def test_inclusion_root_equals_the_plain_twin_and_python(revm: Revm) -> None:
    for size in (1, 2, 3, 6, 21, 33, 130):
        for index in {0, size // 3, size // 2, size - 1}:
            claim = (rfc9162.mth(index, index + 1), index, size, rfc9162.path(index, 0, size))
            assert revm.call("rootFromInclusion", *claim) == rfc9162.mth(0, size)
            assert revm.call("plainRootFromInclusion", *claim) == rfc9162.mth(0, size)


def test_path_length_equals_python_for_any_64_bit_size(revm: Revm) -> None:
    draw = random.Random(5)
    sizes = [1, 2, LARGEST - 1, LARGEST, 1 << 63, (1 << 63) + 1]
    sizes += [draw.getrandbits(draw.randint(1, 64)) | 1 for _ in range(200)]
    for size in sizes:
        for index in {0, draw.randrange(size), size - 1}:
            expected = compute_inclusion_length(index, size)
            assert revm.call("pathLength", index, size) == expected
    with pytest.raises(RevertedError) as reverted:
        revm.call("pathLength", 5, 5)
    assert (reverted.value.error, reverted.value.arguments) == ("IndexOutOfRange", (5, 5))


@pytest.mark.parametrize("index", [0, 1, (1 << 63) - 1, 1 << 63, LARGEST - 1])
def test_inclusion_in_the_largest_tree_equals_the_plain_twin(revm: Revm, index: int) -> None:
    length = compute_inclusion_length(index, LARGEST)
    claim = (rfc9162.value(0), index, LARGEST, rfc9162.values(length))
    root = revm.call("rootFromInclusion", *claim)
    assert root == revm.call("plainRootFromInclusion", *claim) != bytes(32)


# ---------------------------------------------------------------------- wrong proofs


def _arguments(row: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    if "leaf" in row:
        keys: tuple[str, ...] = ("root", "leaf", "index", "size", "proof")
        return "verifyInclusion", tuple(row[key] for key in keys)
    keys = ("size1", "root1", "size2", "root2", "proof")
    return "verifyConsistency", tuple(row[key] for key in keys)


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_vector_is_refused_for_its_reason(revm: Revm, kind: str) -> None:
    for row in wrong_proofs.load(kind):
        function, arguments = _arguments(row)
        if row["reason"] is None:
            revm.call(function, *arguments)
            continue
        with pytest.raises(RevertedError) as reverted:
            revm.call(function, *arguments)
        assert reverted.value.error == row["reason"], row["name"]
        _check_values(row, reverted.value.arguments)


def _check_values(row: dict[str, Any], values: tuple[Any, ...]) -> None:
    """The error carries both values: what was asked for and what was found."""
    if row["reason"] == "IndexOutOfRange":
        assert values == (row["index"], row["size"])
    elif row["reason"] in ("EmptyTree", "SizesReversed"):
        assert values == (row["size1"], row["size2"])
    elif row["reason"] == "WrongProofLength":
        assert values[1] == len(row["proof"]) != values[0]
    elif row["reason"] == "RootMismatch":
        assert values[0] == row["root"] != values[1]
    elif row["reason"] == "OldRootMismatch":
        assert values[0] == row["root1"] != values[1]
    elif row["size1"] == row["size2"]:
        assert values == (row["root1"], row["root2"])
    else:
        assert values[0] == row["root2"] != values[1]


def test_vector_on_pyevm_is_refused_for_its_reason(pyevm: Callable[..., Any]) -> None:
    rows = [*wrong_proofs.load("inclusion")[::15], *wrong_proofs.load("consistency")[::15]]
    for row in rows:
        if row["reason"] is None:
            continue
        function, arguments = _arguments(row)
        with pytest.raises(Reverted) as reverted:
            pyevm(function, *arguments)
        assert reverted.value.name == row["reason"], row["name"]


# ---------------------------------------------------------------------- bisection


def test_frontier_under_every_node_of_every_size_is_the_python_twin_s(revm: Revm) -> None:
    checked = set()
    for size in SIZES:
        for low, high in rfc9162.nodes(0, size):
            # X09: the frontier depends on the size alone, so one call per distinct node will do.
            if high - low == 1 or (low, high) in checked:
                continue
            checked.add((low, high))
            got = revm.call("frontier", low, high - low)
            assert [tuple(child) for child in got] == frontier(low, high - low)


def test_recombine_every_size_gives_the_node(revm: Revm) -> None:
    for size in SIZES[1:]:
        tree = MerkleTree(rfc9162.values(size))
        children = subroots(tree, 0, size)
        assert revm.call("childCount", size) == len(children)
        assert revm.call("recombine", size, children) == tree.root


def test_recombine_swapped_children_give_another_node(revm: Revm) -> None:
    children = rfc9162.values(32)
    swapped = [children[1], children[0], *children[2:]]
    expected = recombine(1024, children)
    assert revm.call("recombine", 1024, children) == expected
    assert revm.call("recombine", 1024, swapped) == recombine(1024, swapped) != expected


@pytest.mark.parametrize("bits", [6, 21, 40, 63, 64])
def test_child_ranges_of_large_sizes_are_the_python_twin_s(revm: Revm, bits: int) -> None:
    draw = random.Random(bits)
    top = 1 << (bits - 1)
    for size in {top, top + 1, 2 * top - 1, top + draw.randrange(top)}:
        low = draw.randrange(LARGEST - size + 1)
        assert revm.call("childCount", size) == compute_child_count(size)
        got = revm.call("frontier", low, size)
        assert [tuple(child) for child in got] == frontier(low, size)


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("childCount", (0,), ("SingleLeaf", (0,))),
        ("childCount", (1,), ("SingleLeaf", (1,))),
        ("childRange", (7, 1, 0), ("SingleLeaf", (1,))),
        ("recombine", (1, [bytes(32)]), ("SingleLeaf", (1,))),
        ("childRange", (0, 33, 17), ("ChildOutOfRange", (17, 17))),
        ("childRange", (0, 33, LARGEST), ("ChildOutOfRange", (LARGEST, 17))),
        ("childRange", (0, 2, 2), ("ChildOutOfRange", (2, 2))),
        ("recombine", (33, [bytes(32)] * 16), ("WrongChildCount", (17, 16))),
        ("recombine", (33, [bytes(32)] * 18), ("WrongChildCount", (17, 18))),
        ("recombine", (33, []), ("WrongChildCount", (17, 0))),
        ("recombine", (1024, [bytes(32)] * 33), ("WrongChildCount", (32, 33))),
    ],
)
def test_bisection_outside_the_node_is_refused(
    revm: Revm, function: str, arguments: tuple[Any, ...], error: tuple[str, tuple[Any, ...]]
) -> None:
    with pytest.raises(RevertedError) as reverted:
        revm.call(function, *arguments)
    assert (reverted.value.error, reverted.value.arguments) == error


# ---------------------------------------------------------------------- gas and the precompile


def _abi(function: str) -> Any:
    return next(f for f in compile_contract("MerkleHarness").abi if f.get("name") == function)


def _call_data(function: str, *arguments: Any) -> bytes:
    abi = _abi(function)
    return function_abi_to_4byte_selector(abi) + encode(get_abi_input_types(abi), arguments)


def _output(function: str, result: Any) -> bytes:
    types = get_abi_output_types(_abi(function))
    return encode(types, [result] if len(types) == 1 else result)


def _calls_that_hash() -> list[tuple[str, tuple[Any, ...]]]:
    inclusion = (rfc9162.mth(9, 10), 9, 21, rfc9162.path(9, 0, 21))
    consistency = (6, rfc9162.mth(0, 6), 8, rfc9162.mth(0, 8), rfc9162.proof(6, 8))
    return [
        ("leafHash", (rfc9162.value(0),)),
        ("leafHashCalldata", (bytes(100),)),
        ("leafHashMemory", (bytes(100),)),
        ("nodeHash", (rfc9162.value(0), rfc9162.value(1))),
        ("rootFromInclusion", inclusion),
        ("verifyInclusion", (rfc9162.mth(0, 21), *inclusion)),
        ("verifyConsistency", consistency),
        ("recombine", (5, rfc9162.values(5))),
    ]


@pytest.mark.parametrize(("function", "arguments"), _calls_that_hash())
def test_hash_p12_with_too_little_gas_reverts_and_never_gives_another_result(
    revm: Revm, function: str, arguments: tuple[Any, ...]
) -> None:
    data, enough = _call_data(function, *arguments), 10_000
    expected = _output(function, revm.call(function, *arguments))
    successes, wrong = revm.call("withEveryGas", data, expected, 0, enough)
    assert wrong == 0
    assert 0 < successes < enough
    # What succeeds with some amount of gas succeeds with every larger one.
    assert revm.call("withEveryGas", data, expected, enough - successes, enough)[0] == successes


def test_inclusion_p12_wrong_proof_is_accepted_with_no_amount_of_gas(revm: Revm) -> None:
    proof = rfc9162.path(9, 0, 21)
    for root in (bytes(32), rfc9162.mth(0, 22), rfc9162.mth(9, 10), proof[-1]):
        data = _call_data("verifyInclusion", root, rfc9162.mth(9, 10), 9, 21, proof)
        assert revm.call("withEveryGas", data, b"", 0, 10_000) == (0, 0)


@pytest.mark.parametrize(("function", "arguments"), _calls_that_hash())
def test_hash_p12_on_a_chain_without_the_precompile_reverts(
    pyevm: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    arguments: tuple[Any, ...],
) -> None:
    kept = {a: p for a, p in PragueComputation._precompiles.items() if a[-1] != 2}
    monkeypatch.setattr(PragueComputation, "_precompiles", kept)
    with pytest.raises(Reverted) as reverted:
        pyevm(function, *arguments)
    assert reverted.value.name == "Sha256Failed"


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize(("function", "arguments"), _calls_that_hash()[4:])
def test_hash_p12_one_call_of_the_precompile_that_fails_reverts(
    pyevm: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    arguments: tuple[Any, ...],
    failing: int,
) -> None:
    address = next(a for a in PragueComputation._precompiles if a[-1] == 2)
    honest, calls = PragueComputation._precompiles[address], itertools.count()

    def sometimes(computation: Any) -> Any:
        if next(calls) == failing:
            raise OutOfGas("as if the precompile cost more than is left")
        return honest(computation)

    changed = {**PragueComputation._precompiles, address: sometimes}
    monkeypatch.setattr(PragueComputation, "_precompiles", changed)
    with pytest.raises(Reverted) as reverted:
        pyevm(function, *arguments)
    assert reverted.value.name == "Sha256Failed"


def test_gas_of_a_path_of_21_and_of_32_children_stays_below_its_cap(revm: Revm) -> None:
    proof = rfc9162.values(21)
    claim = (rfc9162.value(50), DEEP_SIZE // 3, DEEP_SIZE, proof)
    root = revm.call("rootFromInclusion", *claim)
    assert revm.call("gasOfInclusion", root, *claim) <= GAS_CAP_PATH_OF_21
    assert revm.call("gasOfRecombine", DEEP_SIZE, rfc9162.values(32)) <= GAS_CAP_RECOMBINE_32
