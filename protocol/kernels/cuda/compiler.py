"""CUDA source to PTX and machine code with NVRTC, which needs no GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from protocol.kernels.cuda.errors import CudaUnavailable, MissingPackage

OPTIONS: Final = (
    "--std=c++17",
    "--fmad=false",  # no contraction of a product and a sum
    "--ftz=false",  # subnormals are kept
    "--prec-div=true",  # division and square root are correctly rounded
    "--prec-sqrt=true",
)
"""What every kernel is compiled with, besides its architecture."""


class CompileError(Exception):
    """NVRTC refused a source; the message is its log."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One translation unit for one architecture.

    Attributes:
        ptx: the assembly text that the machine code was made from.
        cubin: machine code.
    """

    ptx: str
    cubin: bytes


def compile_source(source: str, architecture: str, options: tuple[str, ...] = OPTIONS) -> Compiled:
    """Compile a translation unit.

    Args:
        source: CUDA C++; kernels are `extern "C"`.
        architecture: such as ``sm_80``.
        options: only tests of the PTX check change them.

    Raises:
        MissingPackage: NVRTC or its bindings are not installed.
        CompileError: the source is not valid.
    """
    nvrtc = _bindings()
    program = _checked(nvrtc, nvrtc.nvrtcCreateProgram(source.encode(), b"node.cu", 0, [], []))
    try:
        flags = [f"--gpu-architecture={architecture}".encode(), *map(str.encode, options)]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(flags), flags)
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            size = _checked(nvrtc, nvrtc.nvrtcGetProgramLogSize(program))
            log = _filled(nvrtc, nvrtc.nvrtcGetProgramLog, program, size)
            raise CompileError(log.rstrip(b"\0").decode(errors="replace"))
        ptx_size = _checked(nvrtc, nvrtc.nvrtcGetPTXSize(program))
        ptx = _filled(nvrtc, nvrtc.nvrtcGetPTX, program, ptx_size)
        cubin_size = _checked(nvrtc, nvrtc.nvrtcGetCUBINSize(program))
        cubin = _filled(nvrtc, nvrtc.nvrtcGetCUBIN, program, cubin_size)
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    return Compiled(ptx.rstrip(b"\0").decode(), cubin)


def _bindings() -> Any:
    try:
        from cuda.bindings import nvrtc

        _checked(nvrtc, nvrtc.nvrtcVersion())
    except (ImportError, RuntimeError) as error:  # RuntimeError: the library itself is missing
        raise MissingPackage(str(error)) from error
    return nvrtc


def _checked(nvrtc: Any, result: tuple[Any, ...]) -> Any:
    """The value of a call; CudaUnavailable, with what NVRTC says, if it failed."""
    status, *values = result
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        (_, text) = nvrtc.nvrtcGetErrorString(status)
        raise CudaUnavailable("NVRTC failed", text.decode(), "update the NVIDIA packages")
    return values[0] if len(values) == 1 else values


def _filled(nvrtc: Any, call: Any, program: Any, size: int) -> bytes:
    """What a call writes into a buffer of ``size`` bytes."""
    buffer = b"\0" * size
    _checked(nvrtc, call(program, buffer))
    return buffer
