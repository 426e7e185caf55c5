"""What capture refuses, and where in the user's model it comes from."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

COMPLEX: Final = "programs have no complex numbers; keep two float32 tensors, as torch.view_as_real"
"""What to do about a complex tensor."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an operator comes from.

    ``module`` is the module's path in the model ("loss" for the loss function), ``source`` the
    user's file, line and code, both possibly empty; ``phase`` is ``fwd``, ``bwd`` or ``opt``.
    """

    module: str = ""
    phase: str = "fwd"
    source: str = ""

    def describe(self, operator: str) -> str:
        """The text of a node's origin, e.g. ``encoder.0: aten.mm (bwd)``."""
        return f"{self.module or 'model'}: {operator} ({self.phase})"


class CaptureError(ValueError):
    """A model, loss, optimiser or data set that cannot become a program."""


class UnsupportedOperator(CaptureError):
    """An operator that has no lowering to folds; it names the operator and its place."""

    def __init__(self, operator: str, origin: Origin, advice: str) -> None:
        place = origin.module or "the model"
        source = f", {origin.source}" if origin.source else ""
        direction = {"bwd": " (its gradient)", "opt": " (optimiser)"}.get(origin.phase, "")
        super().__init__(f"operator {operator} in {place}{direction}{source}: {advice}")
        self.operator = operator
        self.origin = origin
        self.advice = advice


class UnsupportedDtype(CaptureError):
    """A tensor type outside f32, i32 (integers within its range), u8 and bool.

    Attributes:
        tensor: what has the type: ``parameter 0.weight``, ``data inputs``, the output of an
            operator.
        dtype: the type in the words of PyTorch or NumPy, with values that are out of its range.
        advice: how to convert it.
        origin: of the operator; empty for a tensor that was given.
    """

    def __init__(self, tensor: str, dtype: str, advice: str, origin: Origin | None = None) -> None:
        self.tensor = tensor
        self.dtype = dtype
        self.advice = advice
        self.origin = origin or Origin()
        super().__init__(
            f"{tensor}{self.place()} is {dtype}; programs compute in float32, int32 and uint8: "
            f"{advice}"
        )

    def place(self) -> str:
        """`` in 0.attention, model.py:7 `...```, or nothing for a tensor that was given."""
        if self.origin == Origin():
            return ""
        source = f", {self.origin.source}" if self.origin.source else ""
        return f" in {self.origin.module or 'the model'}{source}"


class UnsupportedOptimizer(CaptureError):
    """An optimiser, or an option of one, that has no lowering."""


@contextlib.contextmanager
def quiet_torch() -> Iterator[None]:
    """Without torch's own report of an error that is told otherwise, or does not matter."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
