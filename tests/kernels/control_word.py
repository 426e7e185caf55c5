"""The floating-point control word of the calling thread, read and set through the C library.

A library that was compiled with fast-math sets it for its process or thread; so may any caller.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
_X86 = platform.machine() == "x86_64"
# Where the word is in a fenv_t of 32-bit words: MXCSR on x86-64, FPCR on 64-bit Arm.
_WORDS, _AT = (8, 7) if _X86 else (2, 0)
_STICKY = 0x3F if _X86 else 0  # flags, set by any arithmetic of the thread; not control

FLUSHING = 0x8040 if _X86 else 1 << 24
"""Subnormal results and operands count as zero."""
UPWARD = 0x4000 if _X86 else 1 << 22
TOWARDS_ZERO = 0x6000 if _X86 else 3 << 22
TRAPPING = -0x0680 if _X86 else 0
"""Invalid operations, divisions by zero and overflows kill the process (where the processor can).

Negative: on x86-64 the bits mask the exceptions. Inexact results stay masked, or Python would not
live long enough to call anything."""

MODES = {
    "flushing": FLUSHING,
    "upward": UPWARD,
    "towards zero": TOWARDS_ZERO,
    "trapping": TRAPPING,
    "flushing, upward and trapping": FLUSHING + UPWARD + TRAPPING,
}


def control_word() -> int:
    """Rounding, flushing and trap masks of this thread."""
    return _environment()[_AT] & ~_STICKY


def set_control_word(word: int) -> None:
    """Set what `control_word` gives; no flag is raised."""
    environment = _environment()
    environment[_AT] = word
    assert _LIBM.fesetenv(environment) == 0


@contextmanager
def changed(mode: int) -> Iterator[int]:
    """This thread in another mode, one of `MODES`; yields the control word."""
    before = control_word()
    set_control_word(before + mode)
    try:
        yield control_word()
    finally:
        set_control_word(before)


def _environment() -> ctypes.Array[ctypes.c_uint32]:
    environment = (ctypes.c_uint32 * _WORDS)()
    assert _LIBM.fegetenv(environment) == 0
    return environment
