"""A task as a solver holds it: manifest, program, initial state, data; nothing of it is code.

Folder: `manifest.json`, `program.bin` (u32 big-endian length and bytes of each node, then of each
binding), `state.safetensors`, `data.safetensors`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from protocol.merkle import root_of_leaves
from protocol.program.canonical import MalformedBytes, decode_program, encode_program
from protocol.program.isa import MAX_NODE_BYTES
from protocol.program.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestError
from protocol.program.node import Program, TensorSpec
from protocol.program.validate import InvalidProgram, validate_program
from protocol.training.tensors import (
    Tensor,
    TensorError,
    check_tensor,
    read_tensors,
    roots_of,
    write_bytes,
    write_tensors,
)

MANIFEST: Final = "manifest.json"
PROGRAM: Final = "program.bin"
STATE: Final = "state.safetensors"
DATA: Final = "data.safetensors"


class TaskError(ValueError):
    """A task folder, or the parts of a task, do not fit together."""


@dataclass(frozen=True)
class Task:
    """A validated task. All roots of the manifest are those of the parts.

    ``state`` is the initial state; its tensors and those of ``data`` must not be changed.
    """

    manifest: Manifest
    program: Program
    state: tuple[Tensor, ...]
    data: tuple[Tensor, ...]

    @staticmethod
    def create(
        *,
        name: str,
        seed: int,
        steps: int,
        interval: int,
        program: Program,
        state: Sequence[tuple[TensorSpec, Tensor]],
        data: Sequence[tuple[TensorSpec, Tensor]],
        origins: Sequence[str],
        loss_state: int | None = None,
    ) -> Task:
        """A task from its parts, with all roots computed.

        Raises:
            TaskError, TensorError, InvalidProgram, ManifestError: what does not fit, and where.
        """
        state_tensors = tuple(tensor for _, tensor in state)
        data_tensors = tuple(tensor for _, tensor in data)
        manifest = Manifest(
            name=name,
            seed=seed,
            steps=steps,
            interval=interval,
            program_root=root_of_leaves(encode_program(program)),
            data_root=data_root(roots_of(data_tensors)),
            initial_state_root=root_of_leaves(roots_of(state_tensors)),
            state=tuple(spec for spec, _ in state),
            data=tuple(spec for spec, _ in data),
            origins=tuple(origins),
            loss_state=loss_state,
        )
        manifest = Manifest.from_bytes(manifest.to_bytes())  # what others would refuse, refuse here
        task = Task(manifest, program, state_tensors, data_tensors)
        task.check()
        return task

    def check(self) -> None:
        """Raise unless shapes, program and every root are what the manifest says."""
        manifest = self.manifest
        for what, specs, tensors in (
            ("state", manifest.state, self.state),
            ("data", manifest.data, self.data),
        ):
            if len(specs) != len(tensors):
                raise TaskError(f"{len(tensors)} {what} tensors, the manifest has {len(specs)}")
            for spec, tensor in zip(specs, tensors, strict=True):
                check_tensor(tensor, spec)
        check_program(self.program, manifest)
        for what, stated, computed in (
            ("program", manifest.program_root, root_of_leaves(self.program_leaves)),
            ("data", manifest.data_root, data_root(self.data_leaves)),
            ("initial state", manifest.initial_state_root, root_of_leaves(self.state_leaves)),
        ):
            if stated != computed:
                raise TaskError(
                    f"{what} root is 0x{computed.hex()}, the manifest says 0x{stated.hex()}: "
                    "the files are not those of this task; fetch them again"
                )

    @cached_property
    def program_leaves(self) -> list[bytes]:
        """Canonical bytes of every node, then of every binding."""
        return encode_program(self.program)

    @cached_property
    def data_leaves(self) -> list[bytes]:
        """Tensor roots of the data tensors."""
        return roots_of(self.data)

    @cached_property
    def state_leaves(self) -> list[bytes]:
        """Tensor roots of the initial state."""
        return roots_of(self.state)

    def checkpoint_step(self, index: int) -> int:
        """Steps done at entry ``index`` of the checkpoint log: 0, C, 2C, ... and T."""
        return checkpoint_step(self.manifest, index)

    def segment_steps(self, segment: int) -> range:
        """The steps of segment ``segment``, counted from 1; step s leads from state s to s+1."""
        return segment_steps(self.manifest, segment)

    def save(self, folder: Path) -> None:
        """Write the task into ``folder``, the manifest last."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = [struct.pack(">I", len(leaf)) + leaf for leaf in self.program_leaves]
        write_bytes(folder / PROGRAM, b"".join(parts))
        write_tensors(folder / STATE, "state", self.state)
        write_tensors(folder / DATA, "data", self.data)
        write_bytes(folder / MANIFEST, self.manifest.to_bytes())

    @staticmethod
    def load(folder: Path) -> Task:
        """Read a task that a stranger may have written; everything is checked.

        Raises:
            TaskError: a file is missing or malformed, or a root differs.
            TensorError, InvalidProgram: a tensor or the program is refused.
        """
        for name in (MANIFEST, PROGRAM, STATE, DATA):
            if (folder / name).exists() and not (folder / name).is_file():
                raise TaskError(f"{folder / name} is no file: opening a pipe would wait for ever")
        try:
            manifest = Manifest.from_bytes(_read(folder / MANIFEST, MAX_MANIFEST_BYTES))
        except ManifestError as error:
            raise TaskError(f"{folder / MANIFEST}: {error}") from error
        leaves = manifest.nodes + len(manifest.state)
        raw = _read(folder / PROGRAM, leaves * (4 + MAX_NODE_BYTES))
        try:
            program = decode_program(_split(raw, leaves), manifest.nodes)
        except MalformedBytes as error:
            raise TaskError(f"{folder / PROGRAM}: {error}") from error
        for path in (folder / STATE, folder / DATA):
            try:
                _require_plain(path)
            except OSError as error:
                raise TensorError(f"cannot read {path}: {error}") from error
        state = read_tensors(folder / STATE, "state", manifest.state)
        data = read_tensors(folder / DATA, "data", manifest.data)
        task = Task(manifest, program, tuple(state), tuple(data))
        task.check()
        return task


def check_program(program: Program, manifest: Manifest) -> None:
    """TaskError or InvalidProgram unless the program is valid and of the manifest's sizes."""
    if (len(program.nodes), len(program.bindings)) != (manifest.nodes, len(manifest.state)):
        raise TaskError(
            f"program has {len(program.nodes)} nodes and {len(program.bindings)} "
            f"bindings, the manifest {manifest.nodes} and {len(manifest.state)}"
        )
    for index, (binding, spec) in enumerate(zip(program.bindings, manifest.state, strict=True)):
        if (binding.dtype, binding.shape) != (spec.dtype, spec.shape):
            raise TaskError(
                f"state tensor {index} ({spec.name}) is {spec.dtype.label} {spec.shape}, but "
                f"its binding gives {binding.dtype.label} {binding.shape}"
            )
    validate_program(program, manifest.data, manifest.origins)


def checkpoint_step(manifest: Manifest, index: int) -> int:
    """Steps done at entry ``index`` of the checkpoint log: 0, C, 2C, ... and T."""
    if not 0 <= index <= manifest.segments:
        raise IndexError(f"checkpoint {index}: the log has {manifest.segments + 1} entries")
    return min(index * manifest.interval, manifest.steps)


def segment_steps(manifest: Manifest, segment: int) -> range:
    """The steps of segment ``segment``, counted from 1; step s leads from state s to s+1."""
    if segment < 1:
        raise IndexError(f"segment {segment}: segments count from 1")
    return range(checkpoint_step(manifest, segment - 1), checkpoint_step(manifest, segment))


def data_root(leaves: Sequence[bytes]) -> bytes:
    """Root over the data tensors' roots; without data, RFC 9162's hash of the empty tree."""
    return root_of_leaves(leaves) if leaves else hashlib.sha256(b"").digest()


def _read(path: Path, most: int) -> bytes:
    try:
        _require_plain(path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise TaskError(
                    f"{path} is larger than {most} bytes, the most that it can have: it has "
                    f"{size}; fetch it again"
                )
            return file.read(size)
    except OSError as error:
        raise TaskError(f"cannot read {path}: {error}") from error


def _require_plain(path: Path) -> None:
    """TaskError for links, pipes and devices: they may lead anywhere, or never end. OSError."""
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        what = "a link" if stat.S_ISLNK(mode) else "no plain file"
        raise TaskError(
            f"{path} is {what}, a task has plain files only: put a copy of the file in its place"
        )


def _split(raw: bytes, count: int) -> list[bytes]:
    leaves: list[bytes] = []
    at = 0
    while len(leaves) < count:
        length = int.from_bytes(raw[at : at + 4], "big")
        leaf = raw[at + 4 : at + 4 + length]
        if at + 4 + length > len(raw) or len(raw) < at + 4:
            raise TaskError(f"{PROGRAM} ends within leaf {len(leaves)} of {count}")
        leaves.append(leaf)
        at += 4 + length
    if at != len(raw):
        raise TaskError(f"{PROGRAM} has {len(raw) - at} bytes after its {count} leaves")
    return leaves


__all__ = ["InvalidProgram", "Task", "TaskError", "TensorError", "data_root"]
