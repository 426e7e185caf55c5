"""The manifest of a task: its names, sizes and roots, as canonical JSON.

Canonical means sorted keys, no spaces, UTF-8, integers only; the manifest root is the SHA-256 of
those bytes. Reading is strict and total: anything unexpected is a ManifestError that names the
field.
"""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from dataclasses import dataclass
from typing import Any, Final

from protocol.program.isa import MAX_RANK, DType
from protocol.program.node import TensorSpec
from protocol.program.strict_json import read_json
from protocol.program.validate import MAX_DATA_TENSORS, MAX_ELEMENTS, MAX_STATE_TENSORS, Limits

VERSION: Final = 1
MAX_MANIFEST_BYTES: Final = 64 << 20
MAX_TEXT: Final = 512
TENSOR_NAME: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,200}")
OUTPUT_PREFIX: Final = "outputs."
"""What begins the names of the state tensors that hold a row for each example."""
_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80
_REPR.maxlist = _REPR.maxdict = 16
_FIELDS: Final = {
    "version", "name", "seed", "steps", "interval", "nodes", "program_root", "data_root",
    "initial_state_root", "state", "data", "origins", "loss_state",
}  # fmt: skip


class ManifestError(ValueError):
    """A manifest that is malformed; the message names the field and both values."""


@dataclass(frozen=True)
class Manifest:
    """What a task says of itself. Roots are 32 bytes; ``origins`` has one text per node.

    ``loss_state`` is the index of the state tensor that holds the last loss, or None.
    """

    name: str
    seed: int
    steps: int
    interval: int
    program_root: bytes
    data_root: bytes
    initial_state_root: bytes
    state: tuple[TensorSpec, ...]
    data: tuple[TensorSpec, ...]
    origins: tuple[str, ...]
    loss_state: int | None = None

    @property
    def nodes(self) -> int:
        """Number of nodes N."""
        return len(self.origins)

    @property
    def segments(self) -> int:
        """Number of checkpoint intervals M = ceil(T / C)."""
        return -(-self.steps // self.interval)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The state tensors that hold a row for each example; none if a model is trained."""
        return tuple(spec for spec in self.state if spec.name.startswith(OUTPUT_PREFIX))

    @property
    def root(self) -> bytes:
        """SHA-256 of the canonical bytes."""
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        fields: dict[str, Any] = {
            "version": VERSION,
            "name": self.name,
            "seed": self.seed,
            "steps": self.steps,
            "interval": self.interval,
            "nodes": self.nodes,
            "program_root": self.program_root.hex(),
            "data_root": self.data_root.hex(),
            "initial_state_root": self.initial_state_root.hex(),
            "state": [_spec_fields(spec) for spec in self.state],
            "data": [_spec_fields(spec) for spec in self.data],
            "origins": list(self.origins),
            "loss_state": self.loss_state,
        }
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Read canonical JSON. ManifestError unless every field is as the format says."""
        if len(data) > MAX_MANIFEST_BYTES:
            raise ManifestError(f"manifest has {len(data)} bytes, the most is {MAX_MANIFEST_BYTES}")
        try:
            fields = read_json(data)
        except ValueError as error:
            raise ManifestError(f"manifest is not JSON: {error}") from error
        if not isinstance(fields, dict) or set(fields) != _FIELDS:
            got = sorted(fields) if isinstance(fields, dict) else type(fields).__name__
            raise ManifestError(f"manifest fields are {_brief(got)}, expected {sorted(_FIELDS)}")
        if fields["version"] != VERSION:
            raise ManifestError(f"manifest version {_brief(fields['version'])}, expected {VERSION}")
        steps = _integer(fields, "steps", 1, (1 << 63) - 1)
        state = _specs(fields["state"], "state", 1, MAX_STATE_TENSORS)
        origins = fields["origins"]
        nodes = _integer(fields, "nodes", 1, Limits().nodes)
        if not isinstance(origins, list) or len(origins) != nodes:
            raise ManifestError(f"origins must be a list of {nodes} texts, one per node")
        loss_state = fields["loss_state"]
        if loss_state is not None:
            loss_state = _integer(fields, "loss_state", 0, len(state) - 1)
        manifest = Manifest(
            name=_name(_text(fields["name"], "name"), "name"),
            seed=_integer(fields, "seed", 0, (1 << 63) - 1),
            steps=steps,
            interval=_integer(fields, "interval", 1, steps),
            program_root=_root(fields, "program_root"),
            data_root=_root(fields, "data_root"),
            initial_state_root=_root(fields, "initial_state_root"),
            state=state,
            data=_specs(fields["data"], "data", 0, MAX_DATA_TENSORS),
            origins=tuple(_text(origin, "origin") for origin in origins),
            loss_state=loss_state,
        )
        if manifest.to_bytes() != data:
            raise ManifestError("manifest is not canonical JSON: sort keys, no spaces, UTF-8")
        return manifest


def _spec_fields(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype.label, "shape": list(spec.shape)}


def _specs(value: Any, field: str, least: int, most: int) -> tuple[TensorSpec, ...]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise ManifestError(f"{field} must be a list of {least}..{most} tensors")
    specs = tuple(_spec(item, field) for item in value)
    names = [spec.name for spec in specs]
    if len(set(names)) != len(names):
        raise ManifestError(f"{field} has two tensors of one name")
    return specs


def _spec(value: Any, field: str) -> TensorSpec:
    if not isinstance(value, dict) or set(value) != {"name", "dtype", "shape"}:
        raise ManifestError(
            f"a tensor of {field} must have name, dtype and shape, got {_brief(value)}"
        )
    name, shape = value["name"], value["shape"]
    if not isinstance(name, str) or not TENSOR_NAME.fullmatch(name):
        raise ManifestError(
            f"tensor name {_brief(name)} of {field} does not match {TENSOR_NAME.pattern}"
        )
    _name(name, f"tensor name of {field}")
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_RANK
        or any(type(dim) is not int or not 1 <= dim <= MAX_ELEMENTS for dim in shape)
    ):
        raise ManifestError(f"shape {_brief(shape)} of {field} {name}: up to {MAX_RANK} sizes >= 1")
    try:
        return TensorSpec(name, DType.from_label(value["dtype"]), tuple(shape))
    except ValueError:
        raise ManifestError(
            f"{field} tensor {name} has dtype {_brief(value['dtype'])}: expected f32, i32 or u8"
        ) from None


def _brief(value: Any) -> str:
    """The value as Python shows it, cut short: it is a stranger's, and goes into a log."""
    return _REPR.repr(value)


def _name(name: str, field: str) -> str:
    """The name, unless as a path it would lead out of a folder: somebody may make one of it."""
    parts = re.split(r"[/\\]", name)
    if not {".", ".."}.isdisjoint(parts) or (len(parts) > 1 and "" in parts):
        raise ManifestError(
            f"{field} is {_brief(name)}: no part of it between slashes may be empty, '.' or '..'"
        )
    return name


def _integer(fields: dict[str, Any], field: str, least: int, most: int) -> int:
    value = fields[field]
    if type(value) is not int or not least <= value <= most:
        raise ManifestError(f"{field} is {_brief(value)}, expected an integer in {least}..{most}")
    return value


def _root(fields: dict[str, Any], field: str) -> bytes:
    value = fields[field]
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ManifestError(f"{field} is {_brief(value)}, expected 64 lower-case hex digits")
    return bytes.fromhex(value)


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_TEXT:
        raise ManifestError(f"{field} must be a printable text of at most {MAX_TEXT} characters")
    return value
