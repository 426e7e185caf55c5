"""The training data: committed arrays, a committed order, and the gather of a step's batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from protocol.capture.errors import CaptureError, Origin, UnsupportedDtype
from protocol.capture.values import View
from protocol.capture.writer import Writer
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType

U8_SCALE = 1.0 / 255.0  # what a u8 input is multiplied by, as torchvision's ToTensor divides


def as_stored(array: Any, name: str) -> np.ndarray:
    """``array`` (NumPy or tensor) in one of the stored types: f32, i32 or u8.

    i64 becomes i32 when all its values fit; f64 and half types are refused.
    """
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().numpy()
    array = np.asarray(array)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype == np.int64:
        if array.size and (array.min() < -(1 << 31) or array.max() >= 1 << 31):
            raise UnsupportedDtype(
                f"{name} holds {array.min()}..{array.max()}, beyond the 32 bits of an i32"
            )
        array = array.astype(np.int32)
    if array.dtype == np.float32:
        nan = np.isnan(array)
        if nan.any():  # only the canonical NaN may be committed
            array = np.where(nan, np.uint32(0x7FC00000).view(np.float32), array)
    elif array.dtype not in (np.int32, np.uint8):
        raise UnsupportedDtype(
            f"{name} is {array.dtype}; programs compute in float32, int32 and uint8: "
            "convert it first, e.g. array.astype('float32')"
        )
    if array.size == 0:
        raise CaptureError(f"{name} of shape {array.shape} has no elements")
    return np.array(array, order="C")  # ascontiguousarray would make a scalar a vector


def draw_order(examples: int, steps: int, batch_size: int, seed: int) -> np.ndarray:
    """i32 [steps, batch_size]: whole epochs in random order, their ragged ends left out.

    The order is committed as data, so the generator need not be reproducible elsewhere.
    """
    per_epoch = examples // batch_size
    if per_epoch == 0:
        raise CaptureError(
            f"a batch of {batch_size} does not fit {examples} examples; choose a smaller batch"
        )
    generator = np.random.Generator(np.random.Philox(key=seed & (1 << 64) - 1))
    rows: list[np.ndarray] = []
    while len(rows) < steps:
        epoch = generator.permutation(examples)[: per_epoch * batch_size]
        rows.extend(epoch.reshape(per_epoch, batch_size))
    return np.stack(rows[:steps]).astype(np.int32)


def checked_order(order: np.ndarray, steps: int, batch_size: int, examples: int) -> np.ndarray:
    """``order`` as i32, refused unless it names ``batch_size`` examples for each step."""
    if order.shape != (steps, batch_size):
        raise CaptureError(f"order has shape {order.shape}, expected {(steps, batch_size)}")
    if order.min() < 0 or order.max() >= examples:
        raise CaptureError(
            f"order names examples {order.min()}..{order.max()}, there are {examples}"
        )
    if order.dtype not in (np.dtype(np.int32), np.dtype(np.int64)):
        raise UnsupportedDtype(f"order is {order.dtype}, expected int32")
    return np.ascontiguousarray(order.astype(np.int32))


@dataclass(frozen=True)
class Gather:
    """Where a step's batch comes from: row ``step`` of the order names the examples."""

    writer: Writer
    order: View

    def write(self, source: View, name: str, logical: bool = False) -> View:
        """[batch, ...] of the examples in ``source``; u8 becomes f32 in 0..1 unless ``logical``."""
        scaled = source.dtype is DType.U8 and not logical
        shape = (self.order.shape[1], *source.shape[1:])
        b = FoldBuilder(DType.F32 if scaled else source.dtype, shape)
        step = self.writer.step.load(b, [])
        example = self.order.load(b, [b.word_of(step), b.out(0)])
        rest = [b.out(i) for i in range(1, len(shape))]
        value = source.load(b, [b.word_of(example), *rest])
        if scaled:
            value = b.mul(b.i2f(value), b.f32(U8_SCALE))
        return self.writer.add(b.finish(value), Origin(name, "fwd"), "batch")


def example_batch(array: np.ndarray, batch_size: int, logical: bool = False) -> torch.Tensor:
    """A tensor like the one that the program gathers, for tracing (its values are not read)."""
    dtype = torch.int64 if array.dtype == np.int32 else torch.float32
    shape = (batch_size, *array.shape[1:])
    return torch.zeros(shape, dtype=torch.bool if logical else dtype)


def is_logical(array: Any) -> bool:
    """Does the model see this array as bools, though they are stored as u8?"""
    return array.dtype in (np.dtype(np.bool_), torch.bool) if hasattr(array, "dtype") else False
