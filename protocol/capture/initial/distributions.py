"""What initial weights can be drawn from, and how one uniform word becomes one of them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import NoReturn

import numpy as np

from protocol.capture.errors import CaptureError
from protocol.capture.writing import draws
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder

READ = "(docs/CAPTURE.md, Initial weights)"
FAR = 2.0  # deviations outside its bounds at which a mean leaves hardly anything to draw from
_BEYOND = 5.5  # deviations that no draw reaches


@dataclass(frozen=True)
class Uniform:
    """Evenly between two bounds, as ``uniform_``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _need_numbers(self, low=self.low, high=self.high)
        _need_numbers(self, width=self.high - self.low)
        if not self.low < self.high:
            _refuse(self, f"low {self.low} is not below high {self.high}")

    def emit(self, b: FoldBuilder, word: Value) -> Value:
        """The number that a word makes."""
        return draws.uniform(b, word, self.low, self.high)

    def moved(self, factor: float, shift: float) -> Distribution:
        """That of ``factor`` times the number, plus ``shift``."""
        low, high = sorted((self.low * factor + shift, self.high * factor + shift))
        return Uniform(low, high) if low < high else Constant(low)


@dataclass(frozen=True)
class Normal:
    """With a mean and a standard deviation, as ``normal_``."""

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        _need_numbers(self, mean=self.mean, std=self.std)
        _need_deviation(self, self.std)

    def emit(self, b: FoldBuilder, word: Value) -> Value:
        """The number that a word makes."""
        return draws.normal(b, word, self.mean, self.std)

    def moved(self, factor: float, shift: float) -> Distribution:
        """That of ``factor`` times the number, plus ``shift``."""
        mean, std = self.mean * factor + shift, self.std * abs(factor)
        return Normal(mean, std) if std else Constant(mean)


@dataclass(frozen=True)
class TruncatedNormal:
    """A normal number on condition that it lies from ``a`` to ``b``, as ``trunc_normal_``."""

    mean: float = 0.0
    std: float = 1.0
    a: float = -2.0
    b: float = 2.0

    def __post_init__(self) -> None:
        _need_numbers(self, mean=self.mean, std=self.std, a=self.a, b=self.b)
        _need_deviation(self, self.std)
        if not np.float32(self.a) < np.float32(self.b):
            _refuse(self, f"a {self.a} is not below b {self.b}")
        if not self.a - FAR * self.std <= self.mean <= self.b + FAR * self.std:
            _refuse(self, f"the mean lies more than {FAR} deviations outside {self.a}..{self.b}")

    def emit(self, b: FoldBuilder, word: Value) -> Value:
        """The number that a word makes."""
        if min(self.mean - self.a, self.b - self.mean) > _BEYOND * self.std:
            return draws.normal(b, word, self.mean, self.std)
        return draws.cut_normal(b, word, self.mean, self.std, self.a, self.b)

    def moved(self, factor: float, shift: float) -> Distribution:
        """That of ``factor`` times the number, plus ``shift``."""
        mean, std = self.mean * factor + shift, self.std * abs(factor)
        a, b = sorted((self.a * factor + shift, self.b * factor + shift))
        return TruncatedNormal(mean, std, a, b) if std else Constant(mean)


@dataclass(frozen=True)
class Constant:
    """One value everywhere. Nothing is drawn: it stands in the task's initial state."""

    value: float

    def __post_init__(self) -> None:
        _need_numbers(self, value=self.value)

    def moved(self, factor: float, shift: float) -> Distribution:
        """That of ``factor`` times the number, plus ``shift``."""
        return Constant(self.value * factor + shift)


@dataclass(frozen=True)
class Padded:
    """Drawn but for the elements ``start`` to ``stop`` - 1, which are ``value``.

    Elements count row-major; so does ``padding_idx`` leave the row of one word at zero.
    """

    drawn: Uniform | Normal | TruncatedNormal
    start: int
    stop: int
    value: float = 0.0

    def __post_init__(self) -> None:
        _need_numbers(self, value=self.value)
        if not 0 <= self.start < self.stop < 1 << 31:
            _refuse(self, f"elements {self.start} to {self.stop} - 1 are none")

    def emit(self, b: FoldBuilder, word: Value) -> Value:
        """The number that a word makes."""
        drawn = self.drawn.emit(b, word)
        place = b.flat_position()
        if self.start:
            place = b.isub(place, b.i32(self.start))
        is_inside = b.iult(place, b.i32(self.stop - self.start))
        return b.select(is_inside, b.f32(self.value), drawn)


Drawn = Uniform | Normal | TruncatedNormal | Padded
"""What takes random words."""

Distribution = Drawn | Constant


def _need_numbers(distribution: object, **values: object) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            _refuse(distribution, f"{name} is {value!r}, expected a number")
        if not abs(float(value)) <= float(np.finfo(np.float32).max):  # nor is NaN
            _refuse(distribution, f"{name} is {value}, which is no f32 number")


def _need_deviation(distribution: object, std: float) -> None:
    if not float(np.float32(std)) > 0.0:
        _refuse(distribution, f"std is {std}, expected more than 0; one value is Constant(value)")


def _refuse(distribution: object, why: str) -> NoReturn:
    raise CaptureError(f"{distribution} cannot be drawn from: {why} {READ}")
