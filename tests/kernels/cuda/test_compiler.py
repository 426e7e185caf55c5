"""Every kernel compiles for each architecture, and its PTX passes the check; no GPU is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from protocol.kernels.cuda.compiler import OPTIONS, CompileError, compile_source
from protocol.kernels.cuda.errors import MissingPackage
from protocol.kernels.cuda.generate import kernel_of
from protocol.kernels.cuda.ptx_check import check_ptx
from protocol.kernels.cuda.source import (
    KernelSource,
    function_names,
    read_source,
    translation_unit,
)
from protocol.program.isa import Op
from tests.kernels.cuda.cases import NODES, all_kernels, opcode, random_cases
from tests.kernels.equality.cases import FAMILIES, make_case

ARCHITECTURES = ("sm_75", "sm_80", "sm_90")


def kernels_of_all_kinds(scale: int) -> list[KernelSource]:
    """The kernels of the named nodes; with a scale, all that could run any kind of node."""
    nodes = list(NODES.values())
    if scale:
        nodes += [opcode(op).node for op in Op]
    nodes += [make_case(family, seed, 40).case.node for family in FAMILIES for seed in range(scale)]
    nodes += [case.node for case in random_cases(40)[: scale * 20]]
    if not scale:
        return [kernel_of(node) for node in nodes]
    return [kernel for node in nodes for kernel in all_kernels(node)]


@pytest.mark.parametrize("scale", [0, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compile_source_kernels_of_all_kinds_pass_the_check(architecture, scale) -> None:
    kernels = kernels_of_all_kinds(scale)
    source = translation_unit(kernels)
    compiled = compile_source(source, architecture)
    check_ptx(compiled.ptx, {kernel.name for kernel in kernels if kernel.fused})
    assert compiled.cubin[:4] == b"\x7fELF"
    assert f".target {architecture}" in compiled.ptx
    for name in function_names(source):
        assert f".entry {name}(" in compiled.ptx


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compile_source_hashing_has_no_floats(architecture) -> None:
    source = read_source("ops.cuh") + read_source("sha256.cuh")
    compiled = compile_source(source, architecture)
    check_ptx(compiled.ptx, ())
    assert ".f32" not in compiled.ptx


def test_compile_source_same_text_gives_the_same_ptx() -> None:
    source = translation_unit(all_kernels(NODES["elementwise"]))
    assert compile_source(source, "sm_80").ptx == compile_source(source, "sm_80").ptx


def test_options_forbid_contraction_and_flushing() -> None:
    assert set(OPTIONS) >= {
        "--fmad=false",
        "--ftz=false",
        "--prec-div=true",
        "--prec-sqrt=true",
    }
    assert not any("fast" in option for option in OPTIONS)


def test_compile_source_invalid_text_says_what_nvrtc_says() -> None:
    with pytest.raises(CompileError, match='identifier "nonsense" is undefined'):
        compile_source("__global__ void f() { nonsense; }", "sm_80")


def test_compile_source_without_the_package_is_told_in_four_parts(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(MissingPackage) as caught:
        compile_source("", "sm_80")
    assert caught.value.what == "the packages for CUDA are not installed"
    assert "cuda" in caught.value.why
    assert "pip install" in caught.value.todo


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc on this machine")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvcc_kernels_of_all_kinds_pass_the_check(tmp_path, architecture) -> None:
    kernels = kernels_of_all_kinds(10)
    unit = tmp_path / "unit.cu"
    unit.write_text(translation_unit(kernels))
    flags = [option for option in OPTIONS if not option.startswith("--std")]
    command = ["nvcc", "-ptx", "-std=c++17", f"-arch={architecture}", *flags, str(unit)]
    subprocess.run([*command, "-o", str(tmp_path / "unit.ptx")], check=True)
    fused = {kernel.name for kernel in kernels if kernel.fused}
    check_ptx((tmp_path / "unit.ptx").read_text(), fused)
