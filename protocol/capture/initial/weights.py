"""Initial weights from a safetensors file: what a model starts from is checked before it moves."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from protocol.capture.errors import CaptureError

_READ = "(docs/CAPTURE.md, Data)"
_WIDENED = (torch.float16, torch.bfloat16)  # every value of theirs is an f32


def load_weights(model: torch.nn.Module, path: str | Path) -> None:
    """Copy the tensors of a safetensors file into ``model``; names as in its ``state_dict``.

    Half types are widened, which is exact. A tied weight may stand under any one of its names. The
    model is left alone unless everything fits.

    Raises:
        CaptureError: not such a file; missing or left-over names; other shapes or types.
        OSError: the file cannot be read.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            given = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CaptureError(
            f"{path.name} is no whole safetensors file: {error}; save the weights again, e.g. with "
            f"safetensors.torch.save_model {_READ}"
        ) from error
    own = model.state_dict()
    _check_names(path.name, own, given)
    for name, tensor in given.items():
        _check_tensor(path.name, name, own[name], tensor)
    with torch.no_grad():
        for name, tensor in given.items():
            own[name].copy_(tensor)


def _check_names(file: str, own: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> None:
    present = {_place(own[name]) for name in given if name in own}
    missing = [n for n, t in own.items() if n not in given and _place(t) not in present]
    extra = [name for name in given if name not in own]
    if missing or extra:
        raise CaptureError(
            f"{file} does not belong to this model: it lacks {_few(missing)} and has "
            f"{_few(extra)} left over ({len(given)} tensors, the model has {len(own)}); build the "
            f"model that the weights were saved from, or rename them {_READ}"
        )


def _place(tensor: torch.Tensor) -> tuple[object, ...]:
    """Equal for two names of one tensor."""
    where = tensor.untyped_storage().data_ptr()
    return where, tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())


def _few(names: Collection[str]) -> str:
    if not names:
        return "nothing"
    first = ", ".join(list(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"


def _check_tensor(file: str, name: str, own: torch.Tensor, given: torch.Tensor) -> None:
    if own.shape != given.shape:
        raise CaptureError(
            f"{name} has shape {tuple(own.shape)} in the model but {tuple(given.shape)} in {file}; "
            f"give the model the sizes of the weights {_READ}"
        )
    is_widened = own.dtype is torch.float32 and given.dtype in _WIDENED
    if own.dtype is not given.dtype and not is_widened:
        raise CaptureError(
            f"{name} is {own.dtype} in the model but {given.dtype} in {file}; convert one of them, "
            f"e.g. model.float() {_READ}"
        )
