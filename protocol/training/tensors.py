"""Lists of tensors in safetensors files, read strictly and written atomically; their roots.

Tensors are numpy arrays of the stored little-endian form, row-major. A file holds `<prefix>.0`,
`<prefix>.1`, ...: the order and the names that people read are in the manifest.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from protocol.merkle import root_of_leaves, tensor_roots
from protocol.program.isa import CANONICAL_NAN, DType
from protocol.program.node import TensorSpec

Tensor = NDArray[Any]

_FILE_DTYPES: Final = {DType.F32: "F32", DType.I32: "I32", DType.U8: "U8"}
_SIGNLESS: Final = 0x7FFFFFFF
_INFINITY: Final = 0x7F800000
_HEADER_BYTES: Final = 1 << 20  # of a file's header, whatever it holds
_HEADER_BYTES_EACH: Final = 512  # and in addition for each tensor: name, dtype, shape, place
_SHOWN: Final = 300  # characters of what a file says, in a message
_PIECE: Final = 1 << 20  # elements looked at together, to bound memory


@runtime_checkable
class Rooted(Protocol):
    """Tensors that hash themselves, where they lie."""

    def roots(self) -> list[bytes]:
        """Tensor root of each tensor."""
        ...


class TensorError(ValueError):
    """A tensor, or a file of tensors, is not what the specification or manifest says."""


def check_tensor(tensor: Tensor, spec: TensorSpec) -> None:
    """TensorError unless dtype, shape and layout are those of ``spec`` and every NaN is canonical.

    Another NaN would be copied by an honest kernel and canonicalised by the judge.
    """
    if tensor.dtype != np.dtype(spec.dtype.numpy):
        raise TensorError(
            f"tensor {spec.name} has dtype {tensor.dtype}, expected {np.dtype(spec.dtype.numpy)}"
        )
    if tensor.shape != spec.shape:
        raise TensorError(f"tensor {spec.name} has shape {tensor.shape}, expected {spec.shape}")
    if not tensor.flags.c_contiguous:
        raise TensorError(
            f"tensor {spec.name} is not row-major: pass numpy.ascontiguousarray of it"
        )
    if spec.dtype is DType.F32:
        words = tensor.reshape(-1).view("<u4")
        for start in range(0, len(words), _PIECE):
            part = words[start : start + _PIECE]
            foreign = ((part & _SIGNLESS) > _INFINITY) & (part != CANONICAL_NAN)
            if foreign.any():
                at = int(np.flatnonzero(foreign)[0])
                raise TensorError(
                    f"tensor {spec.name} holds the NaN {int(part[at]):#010x} at element "
                    f"{start + at}, only {CANONICAL_NAN:#010x} is allowed: replace it"
                )


def read_tensors(path: Path, prefix: str, specs: Sequence[TensorSpec]) -> list[Tensor]:
    """The tensors of a file, in order, read-only. TensorError unless exactly those of ``specs``.

    Names, dtypes and shapes are compared before any tensor is read.
    """
    names = [f"{prefix}.{index}" for index in range(len(specs))]
    try:
        _check_sizes(path, specs)
        with safe_open(path, framework="numpy") as file:
            if sorted(file.keys()) != sorted(names):
                raise TensorError(
                    f"{path.name} holds {len(file.keys())} tensors, expected exactly "
                    f"{prefix}.0 to {prefix}.{len(specs) - 1}"
                )
            for name, spec in zip(names, specs, strict=True):
                part = file.get_slice(name)
                got = (part.get_dtype(), tuple(part.get_shape()))
                expected = (_FILE_DTYPES[spec.dtype], spec.shape)
                if got != expected:
                    raise TensorError(
                        f"{path.name}: {name} ({spec.name}) has dtype and shape "
                        f"{str(got)[:_SHOWN]}, "
                        f"the manifest says {expected}"
                    )
            tensors = [np.ascontiguousarray(file.get_tensor(name)) for name in names]
    except (SafetensorError, OSError) as error:
        raise TensorError(f"cannot read {path}: {str(error)[:_SHOWN]}") from error
    for index, spec in enumerate(specs):
        tensors[index] = tensors[index].reshape(spec.shape)
        check_tensor(tensors[index], spec)
        tensors[index].flags.writeable = False
    return tensors


def _check_sizes(path: Path, specs: Sequence[TensorSpec]) -> None:
    """TensorError if the file or its header is far larger than these tensors need. OSError.

    The library would read up to 100 MB of names, and keep ten times as much of them in memory.
    """
    _require_file(path)
    most = _HEADER_BYTES + _HEADER_BYTES_EACH * len(specs)
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > most:
        raise TensorError(
            f"cannot read {path}: its header has {header} bytes, more than the {most} that "
            f"{len(specs)} tensors can need: write the file again without what it says beside them"
        )
    size, needed = path.stat().st_size, 8 + header + sum(spec.nbytes for spec in specs)
    if size > 2 * needed + _HEADER_BYTES:  # a little too large is told with what differs
        raise TensorError(
            f"cannot read {path}: it has {size} bytes, its header and the tensors of the manifest "
            f"have {needed}: fetch it again"
        )


def _require_file(path: Path) -> None:
    """OSError for a pipe, which would keep a reader waiting, and for a device."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no plain file")


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that a file of tensors has beside them. TensorError if it cannot be read."""
    try:
        _require_file(path)
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise TensorError(f"cannot read {path}: {error}") from error


def write_tensors(
    path: Path, prefix: str, tensors: Sequence[Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a file that `read_tensors` reads; it is there whole, on disk, or not at all."""
    named = {f"{prefix}.{index}": tensor for index, tensor in enumerate(tensors)}
    write_named(path, named, metadata)


def write_named(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors under names for people; the file is there whole, on disk, or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        if metadata is None:
            save_file(dict(tensors), partial)
        else:
            save_file(dict(tensors), partial, metadata)
        put_in_place(partial, path)
    except BaseException:  # a full disk above all: what is half written must not fill it further
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file; it is there whole, on disk, or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    partial.write_bytes(data)
    put_in_place(partial, path)


def put_in_place(partial: Path, path: Path) -> None:
    """Rename ``partial`` to ``path`` after its bytes, and before its name, are on disk."""
    for target in (partial, path.parent):
        if target is not partial:
            os.replace(partial, path)  # noqa: PTH105 - the line that a crash test stops at
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def roots_of(tensors: Sequence[Tensor], threads: int = 1) -> list[bytes]:
    """Tensor root of each tensor: the leaves of a state or data tree."""
    if isinstance(tensors, Rooted):
        return tensors.roots()
    return tensor_roots(tensors, threads=threads) if tensors else []


def state_root(tensors: Sequence[Tensor], threads: int = 1) -> bytes:
    """Root of a state, 32 bytes."""
    return root_of_leaves(roots_of(tensors, threads))
