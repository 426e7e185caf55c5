"""The training data as it is committed: arrays of the stored types, and an order of examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from protocol.capture.errors import CaptureError, UnsupportedDtype
from protocol.capture.shuffling import KEYED, steps_per_epoch
from protocol.capture.values import STORED


def as_stored(array: Any, name: str) -> np.ndarray:
    """``array`` (NumPy or tensor) in one of the stored types: f32, i32 or u8.

    i64 becomes i32 when all its values fit; f64 and half types are refused.
    """
    if isinstance(array, torch.Tensor):
        if array.dtype not in STORED or array.layout is not torch.strided:
            kind = array.dtype if array.dtype not in STORED else array.layout
            raise UnsupportedDtype(
                f"{name} is {str(kind).removeprefix('torch.')}; programs compute in float32, int32 "
                "and uint8, on dense tensors: convert it first, e.g. model.float()"
            )
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


def stored_order(
    order: Any, steps: int, batch_size: int, examples: int, seed: int
) -> np.ndarray | None:
    """The order to commit: the given one, a drawn one, or none if the program shuffles."""
    if isinstance(order, str):
        if order != KEYED:
            raise CaptureError(
                f"order is {order!r}; give {KEYED!r} to shuffle in the program, an array of "
                f"shape {(steps, batch_size)}, or None for a drawn one (docs/CAPTURE.md, Data)"
            )
        steps_per_epoch(examples, batch_size)
        return None
    if order is None:
        order = draw_order(examples, steps, batch_size, seed)
    return checked_order(np.asarray(order), steps, batch_size, examples)


def draw_order(examples: int, steps: int, batch_size: int, seed: int) -> np.ndarray:
    """i32 [steps, batch_size]: whole epochs in random order, their ragged ends left out.

    The order is committed as data, so the generator need not be reproducible elsewhere.
    """
    per_epoch = steps_per_epoch(examples, batch_size)
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
