"""Float32.sol bit for bit against the reference, on two EVMs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocol.kernels.reference import float32 as ref
from protocol.program.isa import SIGNATURES, Op
from tests.contracts.revm import RevertedError, Revm
from tests.float_cases import SPECIALS, Words, triples

# In the order of the harness.
OPERATIONS = (
    *("add", "sub", "mul", "div", "sqrt", "fma", "neg", "abs", "min", "max"),
    *("flt", "fle", "feq", "f2i", "i2f", "b2f"),
)
ARITHMETIC = OPERATIONS[:6]
CASES = 60_000
CASES_ON_PYEVM = 3_500
BATCH = 2_000

# Most gas of one operation, its call included (docs/gas.json has the figures).
GAS_CAPS = {"add": 900, "sub": 900, "mul": 700, "div": 800, "sqrt": 1_000, "fma": 1_000}

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def revm() -> Revm:
    return Revm("Float32Harness")


def _run(call: Call, name: str, cases: Words) -> Words:
    results = [
        call("run", OPERATIONS.index(name), cases[i : i + BATCH].astype(">u4").tobytes())
        for i in range(0, len(cases), BATCH)
    ]
    return np.frombuffer(b"".join(results), dtype=">u4").astype(np.uint32)


def _assert_equals_reference(call: Call, name: str, cases: Words) -> None:
    operation = ref.OPERATIONS[name]
    arity = len(SIGNATURES[Op[name.upper()]].arguments)
    expected = np.array([operation(*row[:arity]) for row in cases.tolist()], dtype=np.uint32)
    got = _run(call, name, cases)
    wrong = np.nonzero(got != expected)[0]
    if len(wrong):
        i = int(wrong[0])
        shown = ", ".join(f"{int(word):#010x}" for word in cases[i, :arity])
        pytest.fail(
            f"{name}({shown}) is {int(got[i]):#010x} on chain, {int(expected[i]):#010x} in the "
            f"reference ({len(wrong)} of {len(cases)} cases differ)"
        )


@pytest.mark.parametrize("name", OPERATIONS)
def test_float32_on_hard_cases_equals_the_reference(revm: Revm, name: str) -> None:
    cases = triples(seed=OPERATIONS.index(name), n=CASES if name in ARITHMETIC else CASES // 6)
    _assert_equals_reference(revm.call, name, cases)


@pytest.mark.parametrize("name", OPERATIONS)
def test_float32_on_every_pair_of_special_words_equals_the_reference(revm: Revm, name: str) -> None:
    a, b, c = np.meshgrid(SPECIALS, SPECIALS, SPECIALS[:: 1 if name == "fma" else 40])
    cases = np.stack([a.ravel(), b.ravel(), c.ravel()], axis=1)
    _assert_equals_reference(revm.call, name, cases)


@pytest.mark.parametrize("name", ["f2i", "i2f", "b2f", "neg", "abs"])
def test_float32_conversions_on_any_words_equal_the_reference(revm: Revm, name: str) -> None:
    rng = np.random.default_rng(31)
    near_edges = rng.choice(np.array([0, 2**24, 2**25, 2**31, 2**32 - 1, 0x4F000000]), 3_000)
    near_edges = (near_edges + rng.integers(-70, 70, 3_000)).astype(np.uint32)
    cases = np.concatenate([rng.integers(0, 2**32, 9_000, np.uint32), near_edges])
    if name in ("f2i",):
        cases = np.array([ref.canonical(word) for word in cases.tolist()], np.uint32)
    _assert_equals_reference(revm.call, name, np.repeat(cases[:, None], 3, axis=1))


@pytest.mark.parametrize("name", ARITHMETIC)
def test_float32_arithmetic_on_pyevm_equals_the_reference(chain: Any, name: str) -> None:
    harness = chain.deploy("Float32Harness")

    def call(function: str, *arguments: Any) -> Any:
        return harness.functions[function](*arguments).call({"gas": 30_000_000})

    _assert_equals_reference(call, name, triples(seed=77, n=CASES_ON_PYEVM))


@pytest.mark.parametrize("name", GAS_CAPS)
def test_float32_arithmetic_on_hard_cases_stays_below_its_gas_cap(revm: Revm, name: str) -> None:
    packed = triples(seed=5, n=20_000).astype(">u4").tobytes()
    gas = revm.call("measure", OPERATIONS.index(name), packed)
    assert max(gas) <= GAS_CAPS[name]


def test_float32_harness_of_an_unknown_operation_reverts(revm: Revm) -> None:
    with pytest.raises(RevertedError) as reverted:
        revm.call("run", len(OPERATIONS), bytes(12))
    assert (reverted.value.error, reverted.value.arguments) == ("UnknownOperation", (16,))
