"""Takes one check out of the rules, to see that a cheat then succeeds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest


def without(patch: pytest.MonkeyPatch, rule: Callable[..., Any], reason: str) -> None:
    """Drop the check of ``rule`` that refuses with ``reason``."""
    module = sys.modules[rule.__module__]
    original = module.require  # type: ignore[attr-defined]

    def lax(condition: bool, name: str, *values: Any) -> None:
        is_dropped = name == reason and sys._getframe(1).f_code is rule.__code__
        if not is_dropped:
            original(condition, name, *values)

    patch.setattr(module, "require", lax)


def without_proof(patch: pytest.MonkeyPatch, rule: Callable[..., Any], number: int) -> None:
    """Drop the inclusion proof that ``rule`` checks as its ``number``-th, from 0."""
    module = sys.modules[rule.__module__]
    original = module.check_inclusion  # type: ignore[attr-defined]
    last: list[tuple[FrameType | None, int]] = [(None, -1)]

    def lax(*arguments: Any) -> None:
        frame = sys._getframe(1)
        count = last[0][1] + 1 if last[0][0] is frame else 0
        last[0] = (frame, count)
        if frame.f_code is not rule.__code__ or count != number:
            original(*arguments)

    patch.setattr(module, "check_inclusion", lax)
