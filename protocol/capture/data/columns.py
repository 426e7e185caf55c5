"""Columns of the training data: how each is stored, and how a step's batch of it is gathered.

``column_of`` makes one of what a user passes: an array, or an ``Images`` or ``Windows`` around one.
"""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from protocol.capture.data.batches import as_stored
from protocol.capture.data.feeds import examples_of
from protocol.capture.data.gathers import Gather
from protocol.capture.errors import CaptureError, Origin
from protocol.capture.writing.values import STORED, View
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType

U8_SCALE = 1.0 / 255.0  # what a u8 input is multiplied by, as torchvision's ToTensor divides

_READ = "(docs/CAPTURE.md, Data)"
_WANTS_INTEGERS = re.compile(r"(int32|int64|Int|Long).*(float32|Float)|(float32|Float).*(Int|Long)")


@dataclass(frozen=True)
class Images:
    """Images with the mean and standard deviation of each channel, as torchvision normalises.

    The model sees ``(value - mean) / std``, where value is u8 / 255, or an f32 as it is.

    Attributes:
        array: u8 or f32 [examples, ...].
        mean: one number per channel, after the division by 255.
        std: likewise.
        channels: the array's dimension of channels: 1 in NCHW, -1 in NHWC.
    """

    array: Any
    mean: Sequence[float]
    std: Sequence[float]
    channels: int = 1


@dataclass(frozen=True)
class Windows:
    """Windows of one long stream; an example is ``length`` neighbours of it.

    Window e begins at ``e * stride + ahead``. Stride 1 makes every position a beginning, so that
    an order takes windows at random offsets; the default, ``length``, cuts the stream in pieces.
    Columns around the same stream store it once.

    Attributes:
        stream: one dimension; integers and u8 are tokens (the model sees integers), or f32.
        length: of each window.
        stride: between the beginnings of neighbouring windows.
        ahead: what the windows are moved by, e.g. 1 for the next tokens.
        reach: how far each window needs the stream, from its unmoved beginning; default
            ``length + ahead``. Give columns that belong together the same.
    """

    stream: Any
    length: int
    stride: int | None = None
    ahead: int = 0
    reach: int | None = None


def next_tokens(stream: Any, length: int, stride: int | None = None) -> tuple[Windows, Windows]:
    """(inputs, targets) of a language model: windows of the stream, and the same one token on."""
    reach = length + 1
    return Windows(stream, length, stride, 0, reach), Windows(stream, length, stride, 1, reach)


class Column(ABC):
    """One input or target; ``arrays`` are its data tensors by what follows its name in theirs."""

    examples: int
    arrays: dict[str, np.ndarray]
    is_scaled = False  # does the model see f32 where bytes are stored?

    @abstractmethod
    def like(self, batch_size: int) -> torch.Tensor:
        """A tensor like the one that the program gathers, for tracing (values are not read)."""

    @abstractmethod
    def write(self, gather: Gather, name: str, data: Callable[[str], View]) -> View:
        """Write the gather; ``data`` gives the stored tensor of a suffix."""


class Batch:
    """The columns of a step by name, in the order in which the traced graph takes them."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.columns = {name: column_of(part, f"data {name}") for name, part in given.items()}
        self.examples = examples_of({name: c.examples for name, c in self.columns.items()})
        self._stored_as: dict[str, str] = {}
        for name, column in self.columns.items():
            twins = (n for n in self._stored_as if _is_same_data(self.columns[n], column))
            self._stored_as[name] = next(twins, name)

    def tensors(self) -> list[tuple[str, np.ndarray]]:
        """The data tensors; columns of the same values have one."""
        return [
            (name + suffix, array)
            for name, column in self.columns.items()
            if self._stored_as[name] == name
            for suffix, array in column.arrays.items()
        ]

    def like(self, batch_size: int) -> dict[str, torch.Tensor]:
        """Tensors like those of a step, by name."""
        return {name: column.like(batch_size) for name, column in self.columns.items()}

    def write(self, gather: Gather, data: Callable[[str], View]) -> list[View]:
        """Write the gathers; ``data`` gives a data tensor by its whole name."""
        views = []
        for name, column in self.columns.items():
            view = column.write(gather, name, partial(self._tensor, data, name))
            if view.dtype is DType.I32:
                gather.writer.given[view.operand.index] = column.arrays[""]
            views.append(view)
        return views

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """What a model says of bytes that it sees as f32 becomes a CaptureError."""
        try:
            yield
        except CaptureError:
            raise
        except (RuntimeError, TypeError, IndexError) as error:
            scaled = [name for name, column in self.columns.items() if column.is_scaled]
            words = str(error).partition("\n")[0]
            if not scaled or not _WANTS_INTEGERS.search(words):
                raise
            raise CaptureError(
                f"{' and '.join(scaled)} holds bytes (uint8), which the model sees as float32, "
                f"value / 255, and it says: {words}; give labels and tokens as integers, "
                f"array.astype('int32'), or tokens as Windows {_READ}"
            ) from error

    def _tensor(self, data: Callable[[str], View], name: str, suffix: str) -> View:
        return data(self._stored_as[name] + suffix)


def _is_same_data(one: Column, other: Column) -> bool:
    """Would both store the same bytes?"""
    if one.arrays.keys() != other.arrays.keys():
        return False
    pairs = [(one.arrays[suffix], other.arrays[suffix]) for suffix in one.arrays]
    return all(
        a.dtype == b.dtype and a.shape == b.shape and np.array_equal(_bits(a), _bits(b))
        for a, b in pairs
    )


def _bits(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view(np.uint8)


def column_of(given: Any, name: str) -> Column:
    """The column of what the user gave. CaptureError or UnsupportedDtype for what is none."""
    if isinstance(given, Images):
        return _Normalised(given, name)
    if isinstance(given, Windows):
        return _Windows(given, name)
    return _Plain(given, name)


class _Plain(Column):
    """An array by example; u8 becomes f32 in 0..1 unless it stands for bools."""

    def __init__(self, given: Any, name: str) -> None:
        self.is_logical = getattr(given, "dtype", None) in (np.dtype(np.bool_), torch.bool)
        self.array = as_stored(given, name)
        self.is_scaled = self.array.dtype == np.uint8 and not self.is_logical
        self.examples = self.array.shape[0] if self.array.ndim else 0
        self.arrays = {"": self.array}

    def like(self, batch_size: int) -> torch.Tensor:
        dtype = torch.int64 if self.array.dtype == np.int32 else torch.float32
        dtype = torch.bool if self.is_logical else dtype
        return torch.zeros((batch_size, *self.array.shape[1:]), dtype=dtype)

    def write(self, gather: Gather, name: str, data: Callable[[str], View]) -> View:
        source = data("")
        shape = (gather.batch_size, *source.shape[1:])
        b = FoldBuilder(DType.F32 if self.is_scaled else source.dtype, shape)
        rest = [b.out(i) for i in range(1, len(shape))]
        value = source.load(b, [gather.example(b), *rest])
        if self.is_scaled:
            value = b.mul(b.i2f(value), b.f32(U8_SCALE))
        return gather.writer.add(b.finish(value), Origin(name, "fwd"), "batch")


class _Normalised(Column):
    """A table [2, channels] of means and deviations goes with the array."""

    def __init__(self, given: Images, name: str) -> None:
        self.array = as_stored(given.array, name)
        rank = self.array.ndim
        if self.array.dtype not in (np.dtype(np.uint8), np.dtype(np.float32)):
            raise CaptureError(
                f"{name} holds {self.array.dtype}, and only u8 and f32 images are normalised; "
                f"convert it first, e.g. array.astype('float32') {_READ}"
            )
        if not -rank <= given.channels < rank or given.channels % rank == 0:
            raise CaptureError(
                f"{name} has shape {self.array.shape}, where dimension {given.channels} is no "
                f"dimension of channels; give channels=1 for NCHW, -1 for NHWC {_READ}"
            )
        self.channels = given.channels % rank
        count = self.array.shape[self.channels]
        table = [np.asarray(part, np.float64).reshape(-1) for part in (given.mean, given.std)]
        if [part.size for part in table] != [count, count]:
            raise CaptureError(
                f"{name} has {count} channels but {table[0].size} means and {table[1].size} "
                f"deviations; give one of each per channel {_READ}"
            )
        if not (np.isfinite(table).all() and (table[1] > 0).all()):
            raise CaptureError(
                f"{name}: mean {given.mean} and std {given.std} must be finite, and std above 0; "
                f"leave out channels that are constant {_READ}"
            )
        self.examples = self.array.shape[0]
        self.arrays = {"": self.array, ".normalisation": np.stack(table).astype(np.float32)}

    def like(self, batch_size: int) -> torch.Tensor:
        return torch.zeros((batch_size, *self.array.shape[1:]))

    def write(self, gather: Gather, name: str, data: Callable[[str], View]) -> View:
        source, table = data(""), data(".normalisation")
        shape = (gather.batch_size, *source.shape[1:])
        b = FoldBuilder(DType.F32, shape)
        rest = [b.out(i) for i in range(1, len(shape))]
        value = source.load(b, [gather.example(b), *rest])
        if source.dtype is DType.U8:
            value = b.mul(b.i2f(value), b.f32(U8_SCALE))
        mean, deviation = (table.select(0, i).load(b, [b.out(self.channels)]) for i in range(2))
        value = b.div(b.sub(value, mean), deviation)
        return gather.writer.add(b.finish(value), Origin(name, "fwd"), "batch")


class _Windows(Column):
    """The stream is kept as it is: no window is stored twice."""

    def __init__(self, given: Windows, name: str) -> None:
        stream = as_stored(given.stream, name)
        self.length, self.ahead = given.length, given.ahead
        self.stride = given.length if given.stride is None else given.stride
        if stream.ndim != 1 or self.length < 1 or self.stride < 1 or self.ahead < 0:
            raise CaptureError(
                f"{name}: windows of length {self.length}, stride {self.stride} and ahead "
                f"{self.ahead} of a stream of shape {stream.shape}; give a stream of one "
                f"dimension, length and stride from 1, ahead from 0 {_READ}"
            )
        reach = max(given.reach or 0, self.length + self.ahead)
        if stream.size < reach:
            raise CaptureError(
                f"{name}: the stream has {stream.size} elements, a window needs {reach}; give a "
                f"longer stream or shorter windows {_READ}"
            )
        self.examples = (stream.size - reach) // self.stride + 1
        self.arrays = {"": stream}
        self.dtype = DType.F32 if stream.dtype == np.float32 else DType.I32

    def like(self, batch_size: int) -> torch.Tensor:
        dtype = torch.float32 if self.dtype is DType.F32 else torch.int64
        assert STORED[dtype] is self.dtype
        return torch.zeros((batch_size, self.length), dtype=dtype)

    def write(self, gather: Gather, name: str, data: Callable[[str], View]) -> View:
        stream = data("")
        b = FoldBuilder(self.dtype, (gather.batch_size, self.length))
        at = gather.example(b) * self.stride + b.out(1) + self.ahead
        value = stream.load(b, [at])
        return gather.writer.add(b.finish(value), Origin(name, "fwd"), "batch")
