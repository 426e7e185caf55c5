"""The PTX check refuses every way in which a compiler could change bits, and passes our kernels."""

from __future__ import annotations

import pytest

from protocol.kernels.cuda.compiler import OPTIONS, compile_source
from protocol.kernels.cuda.errors import CudaUnavailable
from protocol.kernels.cuda.ptx_check import UnsafeKernel, check_ptx, find_sins
from protocol.kernels.cuda.source import read_source


def ptx_of(body: str, *options: str, architecture: str = "sm_80") -> str:
    """PTX of a kernel ``f`` with four float pointers; ``options`` override the usual ones."""
    names = {option.split("=")[0] for option in options}
    kept = [option for option in OPTIONS if option.split("=")[0] not in names]
    if "--use_fast_math" in names:  # the usual options would win over it
        kept = ["--std=c++17"]
    parameters = "float* out, const float* a, const float* b, const float* c"
    kernel = f'extern "C" __global__ void f({parameters}) {{ int i = threadIdx.x; {body} }}'
    source = read_source("ops.cuh") + kernel
    return compile_source(source, architecture, (*kept, *options)).ptx


PLAIN = "out[i] = a[i] * b[i] + c[i];"
INTRINSICS = "out[i] = op_div(op_sqrt(op_add(op_mul(a[i], b[i]), c[i])), op_sub(a[i], c[i]));"

SINS = {
    "contraction": (PLAIN, ["--fmad=true"], "contracts"),
    "fast math contracts": (PLAIN, ["--use_fast_math"], "flushes subnormals"),
    "fast math divides": ("out[i] = a[i] / b[i];", ["--use_fast_math"], "flushes|not correctly"),
    "fast math of intrinsics": (INTRINSICS, ["--use_fast_math"], "flushes subnormals"),
    "flush to zero": (PLAIN, ["--ftz=true"], "flushes subnormals"),
    "flush in a comparison": ("if (a[i] < b[i]) out[i] = 1;", ["--ftz=true"], "flushes subnormals"),
    "quick division": ("out[i] = a[i] / b[i];", ["--prec-div=false"], "not correctly rounded"),
    "quick root": ("out[i] = sqrtf(a[i]);", ["--prec-sqrt=false"], "not correctly rounded"),
    "quick reciprocal": ("out[i] = __frcp_rd(a[i]);", [], "no instruction"),
    "quick exponential": ("out[i] = __expf(a[i]);", [], "not correctly rounded"),
    "fma written by hand": ("out[i] = __fmaf_rn(a[i], b[i], c[i]);", [], "contracts"),
    "fma rounded down": ("out[i] = __fmaf_rd(a[i], b[i], c[i]);", [], "contracts"),
    "sum rounded up": ("out[i] = __fadd_ru(a[i], b[i]);", [], "no rounding mode"),
    "sum that may be contracted": (
        'asm("add.f32 %0, %1, %2;" : "=f"(out[i]) : "f"(a[i]), "f"(b[i]));', [], "no rounding mode"
    ),
    "second instruction of a line": (
        'asm("{fma.rn.f32 %0, %1, %2, %2; mul.rn.ftz.f32 %0, %0, %1;}"'
        ' : "=f"(out[i]) : "f"(a[i]), "f"(b[i]));', [], "flushes subnormals"
    ),
    "atomic sum": ("atomicAdd(out, a[i]);", [], "no fixed order"),
    "atomic sum with result": ("out[i] = atomicAdd(out + 9, a[i]);", [], "no fixed order"),
    "atomic sum of doubles": ("atomicAdd((double*)out, 1.0);", [], "no fixed order"),
    "minimum that loses a NaN": ("out[i] = fminf(a[i], b[i]);", [], "no instruction"),
    "double precision": ("out[i] = (float)((double)a[i] * b[i] + c[i]);", [], "another precision"),
    "saturation": ("out[i] = __saturatef(a[i]);", [], "no instruction"),
    "matrix unit": (
        'asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%2}, '
        '{%0, %1};" :: "d"(1.0), "d"(1.0), "d"(2.0));', [], "matrix units"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SINS)
def test_check_ptx_each_sin_is_refused(name) -> None:
    body, options, why = SINS[name]
    with pytest.raises(UnsafeKernel, match=why) as caught:
        check_ptx(ptx_of(body, *options), {"f"})
    assert all(sin.function == "f" for sin in caught.value.sins)


def test_check_ptx_fma_of_a_program_without_fma_is_refused() -> None:
    ptx = ptx_of("out[i] = op_fma(a[i], b[i], c[i]);")
    check_ptx(ptx, {"f"})
    with pytest.raises(UnsafeKernel, match="of a program without fma"):
        check_ptx(ptx, ())


def test_check_ptx_one_contraction_among_unrolled_fmas_is_found() -> None:
    loop = "for (int k = 0; k < 16; ++k) s = op_fma(a[k], b[k], s);"
    clean = f"float s = 0; {loop} out[i] = op_add(op_mul(s, c[i]), s);"
    check_ptx(ptx_of(clean), {"f"})
    dirty = f"float s = 0; {loop} out[i] = s * c[i] + s;"
    sins = list(find_sins(ptx_of(dirty, "--fmad=true"), {"f"}))
    assert [sin.instruction.split()[0] for sin in sins] == ["fma.rn.f32"]


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90"])
def test_check_ptx_intrinsics_stay_single_correctly_rounded_instructions(architecture) -> None:
    ptx = ptx_of(INTRINSICS, architecture=architecture)
    check_ptx(ptx, ())
    for instruction in ("div.rn.f32", "sqrt.rn.f32", "add.rn.f32", "mul.rn.f32", "sub.rn.f32"):
        assert ptx.count(instruction) == 1, instruction


def test_unsafe_kernel_is_told_in_four_parts() -> None:
    with pytest.raises(CudaUnavailable) as caught:
        check_ptx(ptx_of(PLAIN, "--ftz=true"), ())
    error = caught.value
    assert "refused" in error.what
    assert "mul.rn.ftz.f32" in error.why
    assert "--device cpu" in error.todo
    assert error.read == "docs/CUDA.md"
