"""The expansions' error, special values and gas."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from protocol.kernels.executor import Executor
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program import expansions
from protocol.program.body import Body
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType, Type
from protocol.program.node import Operand, OperandKind
from protocol.program.validate import validate_node

ROOT = Path(__file__).parents[2]


def _load_sweep() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ulp_sweep", ROOT / "scripts" / "ulp_sweep.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ulp_sweep"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


sweep = _load_sweep()
INF, NAN = float("inf"), float("nan")


def committed() -> dict[str, tuple[int, float]]:
    """Instructions and largest error of each function in docs/ulp.md."""
    rows = re.findall(
        r"^\| ([a-z0-9() ]+?) \|[^|]*\| (\d+) \| ([\d.]+) \|",
        (ROOT / "docs" / "ulp.md").read_text(),
        re.MULTILINE,
    )
    return {name: (int(size), float(worst)) for name, size, worst in rows}


def apply(expand: object, x: np.ndarray) -> np.ndarray:
    function = sweep.Function(expand, np.exp)
    node = sweep.node_of(function, len(x))
    return Executor(threads=1).run(node, [x])


@pytest.mark.parametrize("name", sweep.FUNCTIONS)
def test_sampled_error_stays_below_the_committed_table(name: str) -> None:
    function = sweep.FUNCTIONS[name]
    node = sweep.node_of(function)
    validate_node(node)
    instructions, most = committed()[name]
    assert len(node.instructions) == instructions
    for x in sweep.words(stride=4099, offset=77):
        errors = sweep.ulp_errors(function, x, Executor(threads=1).run(node, [x]))
        assert errors.max() <= most + 0.05, f"at {x[errors.argmax()]!r}"


SPECIAL_VALUES = {
    "exp": ([-INF, -104.5, 0, -0.0, 89, INF, NAN], [0, 0, 1, 1, INF, INF, NAN]),
    "log": ([-INF, -1, -0.0, 0, 1, INF, NAN], [NAN, NAN, -INF, -INF, 0, INF, NAN]),
    "log1p": ([-2, -1, -0.0, INF, NAN, 1e-40], [NAN, -INF, -0.0, INF, NAN, 1e-40]),
    "expm1": ([-INF, -0.0, INF, NAN, 1e-40], [-1, -0.0, INF, NAN, 1e-40]),
    "tanh": ([-INF, -0.0, INF, NAN, 1e-40], [-1, -0.0, 1, NAN, 1e-40]),
    "erf": ([-INF, -0.0, INF, NAN], [-1, -0.0, 1, NAN]),
    "sin": ([-INF, -0.0, 0, INF, NAN, 4194304.0], [NAN, -0.0, 0, NAN, NAN, NAN]),
    "cos": ([-INF, -0.0, INF, NAN, -4194304.0], [NAN, 1, NAN, NAN, NAN]),
    "sigmoid": ([-INF, 0, INF, NAN], [0, 0.5, 1, NAN]),
    "rsqrt": ([-1, -0.0, 0, INF, NAN], [NAN, -INF, INF, 0, NAN]),
}


@pytest.mark.parametrize("name", SPECIAL_VALUES)
def test_special_inputs_give_the_special_values_with_their_signs(name: str) -> None:
    inputs, expected = (np.array(v, np.float32) for v in SPECIAL_VALUES[name])
    own = apply(getattr(expansions, name), inputs)
    np.testing.assert_array_equal(own, expected)
    finite = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(own)[finite], np.signbit(expected)[finite])
    assert (own.view(np.uint32)[~finite] == 0x7FC00000).all()


@pytest.mark.parametrize("name", SPECIAL_VALUES)
def test_reference_evaluator_gives_the_same_words(name: str) -> None:
    rng = np.random.default_rng(3)
    words = rng.integers(0, 1 << 32, 24, dtype=np.uint32)
    usual = rng.normal(size=24).astype(np.float32).view(np.uint32)
    x = np.concatenate([words, usual]).view(np.float32)
    x = np.where(np.isnan(x), np.uint32(0x7FC00000).view(np.float32), x)
    node = sweep.node_of(sweep.Function(getattr(expansions, name), np.exp), len(x))
    expected = evaluate_node(node, [x.view(np.uint32).tolist()])
    own = Executor(threads=1).run(node, [x]).view(np.uint32).tolist()
    assert own == expected


def test_logarithm_of_normal_numbers_is_the_logarithm_in_less() -> None:
    words = np.arange(0x00800000, 0x7F800000, 40_009, dtype=np.uint32)
    x = np.concatenate([words, np.array([0x00800000, 0x3F800000, 0x7F7FFFFF], np.uint32)])
    x = x.view(np.float32)
    own, whole = apply(expansions.log_normal, x), apply(expansions.log, x)
    np.testing.assert_array_equal(own.view(np.uint32), whole.view(np.uint32))
    lengths = [
        len(sweep.node_of(sweep.Function(f, np.log), 1).instructions)
        for f in (expansions.log_normal, expansions.log)
    ]
    assert lengths == [19, 30]


@pytest.mark.parametrize("exponent", [1, 2, 3, 5, 8, 0.5, 1.5, 2.5, -0.5, -1, -2, -1.5])
def test_constant_powers_are_products_and_roots(exponent: float) -> None:
    x = np.abs(np.random.default_rng(1).normal(size=500)).astype(np.float32) + np.float32(0.1)
    own = apply(lambda b, v: expansions.power(b, v, exponent), x)
    np.testing.assert_allclose(own, x.astype(np.float64) ** exponent, rtol=5e-7)


@pytest.mark.parametrize("exponent", [0.3, 9.0, -1.7])
def test_other_powers_are_refused_with_the_reason(exponent: float) -> None:
    body = Body(Type.F)
    with pytest.raises(ValueError, match="would lose"):
        expansions.power(body, body.acc, exponent)


def test_masked_entries_do_not_reach_the_polynomial() -> None:
    """exp(-inf) selects 0 before the core: no subnormal, no NaN on the way."""
    b = FoldBuilder(DType.F32, (1,))
    x = b.load(Operand(OperandKind.DATA, 0, DType.F32, (1,)))
    node = b.finish(expansions.exp(b, x))
    first = node.instructions[:2]
    assert [i.op.name for i in first] == ["FLT", "FSEL"]
