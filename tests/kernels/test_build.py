"""The engine is built without anything that could change a bit."""

from __future__ import annotations

from protocol.kernels.cpu import _cpu

FORBIDDEN = (
    "-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-fassociative-math",
    "-freciprocal-math", "-ffinite-math-only", "-fno-signed-zeros", "-fcx-limited-range",
    "-ffp-contract=fast", "-ffp-contract=on", "-mdaz-ftz",
)  # fmt: skip


def test_build_flags_forbid_contraction_and_fast_math() -> None:
    flags = _cpu.build_flags().split()
    assert "-ffp-contract=off" in flags
    assert not set(FORBIDDEN) & set(flags)
    assert not [flag for flag in flags if flag.startswith(("-march", "-mtune", "-mcpu"))]
