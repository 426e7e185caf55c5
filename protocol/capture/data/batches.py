"""The training data as it is committed: arrays of the stored types, and an order of examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from protocol.capture.data.shuffling import KEYED, steps_per_epoch
from protocol.capture.errors import COMPLEX, CaptureError, UnsupportedDtype
from protocol.program.validate import MAX_ELEMENTS

_READ = "(docs/CAPTURE.md, Data)"


def as_stored(array: Any, name: str) -> np.ndarray:
    """``array`` (NumPy or tensor) in one of the stored types: f32, i32 or u8.

    Integers of other types become i32 when all their values fit; f64 and half types are refused,
    and tensors without values or not dense.
    """
    if isinstance(array, torch.Tensor):
        array = _from_tensor(array, name)
    try:
        array = np.asarray(array)
    except ValueError as error:  # rows of different lengths
        raise CaptureError(
            f"{name} is no regular array: {error}; pad or cut its rows to one length {_READ}"
        ) from error
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype.kind in "iu" and array.dtype != np.uint8:
        if array.size and (array.min() < -(1 << 31) or array.max() >= 1 << 31):
            raise UnsupportedDtype(
                name,
                f"{array.dtype} with values {array.min()}..{array.max()}, beyond the 32 bits of an "
                "int32",
                "make the values smaller, e.g. count from 0",
            )
        array = array.astype(np.int32)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.float32:
        nan = np.isnan(array)
        if nan.any():  # only the canonical NaN may be committed
            array = np.where(nan, np.uint32(0x7FC00000).view(np.float32), array)
    elif array.dtype not in (np.int32, np.uint8):
        raise UnsupportedDtype(name, str(array.dtype), _advice(array.dtype))
    if array.size == 0:
        raise CaptureError(f"{name} of shape {array.shape} has no elements; give at least one")
    return np.array(array, order="C")  # ascontiguousarray would make a scalar a vector


def _from_tensor(tensor: torch.Tensor, name: str) -> np.ndarray:
    """The tensor's values. CaptureError if it has none, UnsupportedDtype if NumPy has no type."""
    if is_lazy(tensor):
        raise CaptureError(
            f"{name} has no shape yet: its module is lazy; call the model once on a batch before "
            f"the optimiser is made {_READ}"
        )
    if tensor.is_meta:
        raise CaptureError(
            f"{name} is on the meta device, which has no values; load weights into the model, or "
            f"make it outside of torch.device('meta') {_READ}"
        )
    if tensor.layout is not torch.strided:
        kind = str(tensor.layout).removeprefix("torch.")
        raise UnsupportedDtype(name, kind, "give a dense tensor: tensor.to_dense()")
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.dtype.is_complex:
        raise UnsupportedDtype(name, kind, COMPLEX)
    if tensor.is_quantized or (tensor.is_floating_point() and tensor.dtype != torch.float32):
        raise UnsupportedDtype(name, kind, "convert it first, e.g. model.float() or tensor.float()")
    array: np.ndarray = tensor.detach().cpu().resolve_conj().resolve_neg().numpy()
    return array


def _advice(dtype: np.dtype) -> str:
    if dtype.kind == "f":
        return "convert it first, e.g. array.astype('float32')"
    return COMPLEX if dtype.kind == "c" else "make numbers of it, e.g. tokens of text"


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
    if order is None and steps * batch_size > MAX_ELEMENTS:
        raise CaptureError(
            f"an order of {steps:,} steps of {batch_size:,} examples has {steps * batch_size:,} "
            f"elements, at most {MAX_ELEMENTS:,} are stored; give order={KEYED!r}, which stores "
            f"none {_READ}"
        )
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
        raise UnsupportedDtype("order", str(order.dtype), "convert it: order.astype('int32')")
    return np.ascontiguousarray(order.astype(np.int32))
