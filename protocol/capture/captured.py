"""What a capture gives: a program and its tensors, ready to become a task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from protocol.capture.errors import CaptureError
from protocol.program import manifest
from protocol.program.isa import DType
from protocol.program.node import Program, TensorSpec

MODEL_PREFIX: Final = "model."
"""What begins the names of the tensors of the model: its parameters and buffers."""

OUTPUT_PREFIX: Final = manifest.OUTPUT_PREFIX

DTYPES: Final = {
    np.dtype(np.float32): DType.F32,
    np.dtype(np.int32): DType.I32,
    np.dtype(np.uint8): DType.U8,
}

Tensors = list[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Captured:
    """A captured run: everything that a task commits to.

    ``state`` and ``data`` are in program order; ``origins`` has one text per node;
    ``loss_state`` is the state tensor that holds the last step's loss, None where nothing is
    trained.
    """

    name: str
    program: Program
    state: Tensors
    data: Tensors
    origins: list[str]
    loss_state: int | None
    steps: int
    interval: int
    batch_size: int
    seed: int

    def parts(self) -> dict[str, Any]:
        """The arguments of ``protocol.training.task.Task.create``."""
        return {
            "name": self.name,
            "seed": self.seed,
            "steps": self.steps,
            "interval": self.interval,
            "program": self.program,
            "state": list(zip(self.state_specs(), (a for _, a in self.state), strict=True)),
            "data": list(zip(self.data_specs(), (a for _, a in self.data), strict=True)),
            "origins": self.origins,
            "loss_state": self.loss_state,
        }

    def data_specs(self) -> list[TensorSpec]:
        """Name, dtype and shape of each data tensor."""
        return _specs(self.data)

    def state_specs(self) -> list[TensorSpec]:
        """Name, dtype and shape of each state tensor."""
        return _specs(self.state)


def load_into(model: torch.nn.Module, state: Iterable[tuple[str, np.ndarray]]) -> None:
    """Copy final state tensors (names as in ``Captured.state``) into a plain module."""
    arrays = {n.removeprefix(MODEL_PREFIX): a for n, a in state if n.startswith(MODEL_PREFIX)}
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if own and not arrays:
        raise CaptureError(
            "the state holds no weights, since nothing was trained; outputs_of gives what was "
            "computed (docs/CAPTURE.md, Inference)"
        )
    missing, extra = sorted(own.keys() - arrays.keys()), sorted(arrays.keys() - own.keys())
    if missing or extra:
        raise CaptureError(
            f"the state does not belong to this model: missing {missing}, left over {extra}"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            if tuple(arrays[name].shape) != tuple(tensor.shape):
                raise CaptureError(
                    f"{name} has shape {tuple(tensor.shape)}, the state {arrays[name].shape}"
                )
            tensor.copy_(torch.from_numpy(np.array(arrays[name])))


def outputs_of(state: Iterable[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What a task without training computed, by the names of its outputs, a row per example.

    ``state`` are the final state tensors with names as in ``Captured.state``. CaptureError if it
    has no outputs.
    """
    pairs = list(state)
    found = {n.removeprefix(OUTPUT_PREFIX): a for n, a in pairs if n.startswith(OUTPUT_PREFIX)}
    if not found:
        names = ", ".join(name for name, _ in pairs[:4]) or "nothing"
        raise CaptureError(
            f"the state has no outputs: found {names}, expected {OUTPUT_PREFIX}<name>; was it "
            "trained? then load_into puts it into a model (docs/CAPTURE.md, Inference)"
        )
    return found


def _specs(tensors: Tensors) -> list[TensorSpec]:
    return [TensorSpec(name, DTYPES[array.dtype], array.shape) for name, array in tensors]
