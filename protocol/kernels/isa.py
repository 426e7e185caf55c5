"""Which instruction set the kernels use; all of them compute the same bits."""

from __future__ import annotations

import os
from typing import Final

from protocol.kernels.cpu import _cpu

VARIABLE: Final = "PINPOINT_ISA"
BASELINE: Final = "baseline"  # what every machine has; its fma may be software
PAGE: Final = "docs/operate/settings.md#variables-for-the-machine"


class MachineSettingError(ValueError):
    """A variable for the machine has a value that means nothing; in four parts for people."""

    def __init__(self, what: str, why: str, todo: str, read: str = PAGE) -> None:
        super().__init__(f"{what}: {why}; {todo}")
        self.what = what
        self.why = why
        self.todo = todo
        self.read = read


class InstructionSetError(MachineSettingError):
    """An instruction set was asked for that this machine lacks."""


def instruction_sets() -> list[str]:
    """Instruction sets that this machine has, best first; the last is always ``baseline``."""
    return _cpu.instruction_sets()


def choose_instruction_set(name: str | None = None) -> str:
    """The instruction set to use: ``name``, else what `VARIABLE` names, else the best.

    An empty variable counts as none.

    Raises:
        InstructionSetError: this machine has no such instruction set.
    """
    known = instruction_sets()
    asked = name if name is not None else os.environ.get(VARIABLE) or known[0]
    if asked in known:
        return asked
    origin = "as isa" if name is not None else f"by the environment variable {VARIABLE}"
    todo = f"name one of {', '.join(known)}"
    raise InstructionSetError(
        f"instruction set {asked!r} is not available on this machine",
        f"{asked!r} was asked for {origin}, this machine has {', '.join(known)}",
        todo if name is not None else f"{todo}, or unset {VARIABLE}",
    )
