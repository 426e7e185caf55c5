"""Code is made for the machine that was named, and contracts nothing."""

from __future__ import annotations

import platform
import re

import pytest

from protocol.kernels.jit.compile import compile_object
from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.jit.function import write_function
from protocol.kernels.jit.machine import MACHINES, Linked, assembly, machine_of
from protocol.kernels.region import single
from protocol.program.body import Body, Value
from protocol.program.isa import DType
from tests.kernels.jit.regions import gelu_chain, pointwise, softmax
from tests.kernels.shapes import tensor

FUSED = re.compile(r"\b(vfn?m(add|sub)|fml[as]|fn?madd|fn?msub)")


def text_of(function: object, isa: str) -> str:
    operands = [tensor(i, DType.F32, 64) for i in range(3)]
    machine = machine_of(isa)
    node = pointwise((64,), function, *operands)
    text = write_function(single(node), machine.lanes, machine.attributes, scales=machine.scales)
    return assembly(text.ir, isa)


@pytest.mark.parametrize("isa", MACHINES)
def test_product_and_sum_are_fused_only_on_demand(isa: str) -> None:
    def apart(b: Body, x: Value, y: Value, z: Value) -> Value:
        return b.add(b.mul(x, y), z)

    def fused(b: Body, x: Value, y: Value, z: Value) -> Value:
        return b.fma(x, y, z)

    assert not FUSED.search(text_of(apart, isa))
    assert FUSED.search(text_of(fused, isa))


@pytest.mark.parametrize("isa", MACHINES)
def test_text_has_no_fast_math_and_calls_no_library(isa: str) -> None:
    for region in (gelu_chain(100), softmax(20, 40)):
        machine = machine_of(isa)
        text = write_function(region, machine.lanes, machine.attributes, scales=machine.scales)
        ir = text.ir
        assert not re.search(r"\b(fast|nnan|ninf|nsz|arcp|contract|afn|reassoc)\b", ir)
        assert not re.search(r"^\s+(callq?|bl)\s", assembly(ir, isa), re.MULTILINE)


def test_avx512_code_uses_whole_vectors_and_avx2_none_of_them() -> None:
    def twice(b: Body, x: Value, _: Value, __: Value) -> Value:
        return b.add(x, x)

    assert "%zmm" in text_of(twice, "avx512")
    assert "%zmm" not in text_of(twice, "avx2")
    assert "%ymm" in text_of(twice, "avx2")


def test_text_is_the_same_every_time() -> None:
    first, second = (write_function(softmax(20, 40), 8, "") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("isa", ["baseline", "sse9"])
def test_instruction_set_without_machine_code_is_refused(isa: str) -> None:
    with pytest.raises(Unsupported, match=isa):
        compile_object(softmax(2, 3), isa)


def test_code_of_another_cpu_is_not_linked() -> None:
    foreign = "avx2" if platform.machine() in ("aarch64", "arm64") else "neon"
    code, _ = compile_object(softmax(2, 3), foreign)
    with pytest.raises(Unsupported, match=foreign):
        Linked(code, foreign)
