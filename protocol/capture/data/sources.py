"""Training data from files and data sets: safetensors, NumPy, mappings, Hugging Face ``datasets``.

Nothing here runs code of a file: NumPy's pickled objects are refused, and a data set is one that
the requester's own code has made.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from protocol.capture.errors import CaptureError

_READ = "(docs/CAPTURE.md, Data)"


def load_columns(source: Any, *names: str) -> tuple[np.ndarray, ...]:
    """The arrays called ``names`` in ``source``, in this order, as ``data`` of ``task_from``.

    Args:
        source: path of a ``.safetensors``, ``.npz`` or ``.npy`` file (the last is mapped, not read,
            and has one array: give no name); a mapping of arrays; or a ``datasets.Dataset``.
        names: of the columns.

    Raises:
        CaptureError: no such file or column, or one that is no regular array of numbers.
        OSError: a file that cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        return _from_file(Path(source), names)
    if hasattr(source, "column_names") and hasattr(source, "with_format"):
        return _from_dataset(source, names)
    if isinstance(source, Mapping):
        _check_names(names, list(source), f"the {type(source).__name__}")
        return tuple(_checked(source[name], name) for name in names)
    raise CaptureError(
        f"a {type(source).__name__} is no source of data; give the path of a .safetensors, .npz "
        f"or .npy file, a mapping of arrays, or a datasets.Dataset {_READ}"
    )


def _from_file(path: Path, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    if path.suffix == ".safetensors":
        return _from_safetensors(path, names)
    if path.suffix not in (".npy", ".npz"):
        raise CaptureError(
            f"{path.name} ends in {path.suffix or 'nothing'}; what is read are .safetensors, .npz "
            f"and .npy files: convert it first {_READ}"
        )
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix == ".npy":
            if names:
                raise CaptureError(
                    f"{path.name} holds one array without a name, but {list(names)} is asked for; "
                    f"give no name, or an .npz file {_READ}"
                )
            return (_checked(loaded, path.name),)
        with loaded:
            _check_names(names, loaded.files, path.name)
            return tuple(_checked(loaded[name], name) for name in names)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, CaptureError):
            raise
        raise CaptureError(
            f"{path.name} is no file of plain NumPy arrays: {error}; save it again with "
            f"np.save or np.savez and a dtype of numbers {_READ}"
        ) from error


def _from_safetensors(path: Path, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    try:
        with safe_open(path, framework="numpy") as file:
            _check_names(names, list(file.keys()), path.name)
            return tuple(_checked(file.get_tensor(name), name) for name in names)
    except (SafetensorError, TypeError) as error:
        raise CaptureError(
            f"{path.name} cannot be read as safetensors of NumPy's types: {error}; save it again, "
            f"half types as float32 {_READ}"
        ) from error


def _from_dataset(source: Any, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    present = source.column_names
    if isinstance(present, Mapping):
        raise CaptureError(
            f"the data set has the splits {sorted(present)}, a task trains on one; give one of "
            f"them, e.g. dataset[{sorted(present)[0]!r}] {_READ}"
        )
    _check_names(names, present, "the data set")
    plain = source.with_format("numpy")
    return tuple(_checked(plain[name][:], name) for name in names)


def _check_names(names: Sequence[str], present: Sequence[str], where: str) -> None:
    missing = [name for name in names if name not in present]
    if missing or not names:
        asked = f"no column {missing[0]!r}" if missing else "columns, but none is asked for"
        raise CaptureError(
            f"{where} has {asked}; it has {sorted(present)}: give the names of the inputs and "
            f"targets {_READ}"
        )


def _checked(array: Any, name: str) -> np.ndarray:
    try:
        plain: np.ndarray = np.asanyarray(array)  # a mapped file stays one
    except ValueError as error:  # rows of different lengths
        raise CaptureError(
            f"column {name!r} is no regular array: {error}; pad or cut its rows to one length "
            f"{_READ}"
        ) from error
    if plain.dtype.kind not in "fiub":
        raise CaptureError(
            f"column {name!r} holds {plain.dtype}, no plain numbers; tokenise text first, and pad "
            f"or cut rows to one length {_READ}"
        )
    return plain
