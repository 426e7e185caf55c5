"""Hostile task folders: one thing of a good task is changed, then its roots are made to fit.

Most changes are sealed (the manifest's roots are those of the changed parts), or a wrong root would
hide what lies behind it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import socket
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from protocol.merkle import root_of_leaves
from protocol.program.canonical import decode_node, encode_node
from protocol.program.isa import DType
from protocol.program.node import LOADED_WORD, Axis, Guard, Load, Node, Operand, Term
from protocol.training.task import DATA, MANIFEST, PROGRAM, STATE

FILES = (MANIFEST, PROGRAM, STATE, DATA)
INTEGERS = (0, 1, 2, 7, 255, 256, 65535, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
NUMBERS = (*INTEGERS, -1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
TEXTS = (
    "", "../../etc/passwd", "/etc/passwd", "a\0b", "\u202egnp.exe", "a\nb", "\ud800", "x" * 10_000,
    "con", "__import__('os').system('id')", "cposix\nsystem\n(S'id'\ntR.", "{0.__class__}", "%s%n",
    "\x1b[2J", "e\u0301", "\uff0e\uff0e/", ".", "a" * 513, "<script>", "${HOME}", "`id`",
)  # fmt: skip
RAW = ("1e999999", "-1e999999", "NaN", "Infinity", "-0", "1.0", "1e2", "9" * 5000, "0x10", "01",
       "true", "null", "[" * 100_000, '{"a":' * 100_000, "[[]]", '"\\u0000"', "{}")  # fmt: skip
PLACE = "\0here\0"

Mutation = Callable[[random.Random, Path], None]


def mutate(seed: int, folder: Path) -> str:
    """Change the good task in ``folder``; the name of what was done."""
    rng = random.Random(seed)
    mutation = MUTATIONS[seed % len(MUTATIONS)]
    mutation(rng, folder)
    return mutation.__name__


def leaves_of(folder: Path) -> list[bytes]:
    """Leaves of the program in a folder that is good so far."""
    raw, leaves, at = (folder / PROGRAM).read_bytes(), [], 0
    while at < len(raw):
        (length,) = struct.unpack_from(">I", raw, at)
        leaves.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    return leaves


def put_leaves(folder: Path, leaves: list[bytes], **fields: Any) -> None:
    """Write a program with the root that belongs to it."""
    packed = [struct.pack(">I", len(leaf)) + leaf for leaf in leaves]
    (folder / PROGRAM).write_bytes(b"".join(packed))
    root = root_of_leaves(leaves).hex() if leaves else hashlib.sha256(b"").hexdigest()
    put_manifest(folder, program_root=root, **fields)


def put_manifest(folder: Path, **fields: Any) -> None:
    """Change fields of the manifest, which stays canonical."""
    known = json.loads((folder / MANIFEST).read_bytes()) | fields
    text = json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    (folder / MANIFEST).write_bytes(text.encode(errors="surrogatepass"))


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes with some of them flipped, cut away, repeated, or overwritten by a number."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at:] = b""
            case 2:
                changed[at:at] = rng.randbytes(rng.randint(1, 9))
            case 3:
                changed[at : at + rng.randint(1, 40)] = b""
            case _:
                width = rng.choice((1, 4, 8))
                word = rng.choice(NUMBERS) % (1 << 8 * width)
                changed[at : at + width] = word.to_bytes(width, rng.choice(("big", "little")))
    return bytes(changed)


def node_bytes(rng: random.Random, folder: Path) -> None:
    """Damaged bytes of one leaf."""
    leaves = leaves_of(folder)
    k = rng.randrange(len(leaves))
    leaves[k] = damaged(rng, leaves[k])
    put_leaves(folder, leaves)


def program_order(rng: random.Random, folder: Path) -> None:
    """Leaves swapped, doubled or left out: forward references, cycles, bindings among nodes."""
    leaves = leaves_of(folder)
    a, b = rng.randrange(len(leaves)), rng.randrange(len(leaves))
    fields: dict[str, Any] = {}
    match rng.randrange(5):
        case 0:
            leaves[a], leaves[b] = leaves[b], leaves[a]
        case 1:
            leaves.insert(a, leaves[b])
            origins = ["x"] * (len(leaves) - 5)
            fields = {"nodes": len(origins), "origins": origins}
        case 2:
            del leaves[a]
        case 3:
            leaves = [b""] * len(leaves)
        case _:
            leaves[a] = leaves[b]
    put_leaves(folder, leaves, **fields)


def node_field(rng: random.Random, folder: Path) -> None:
    """One field of a node has a value that its bytes can hold and a program should not."""
    leaves = leaves_of(folder)
    k = rng.randrange(len(leaves) - 5)
    try:
        leaves[k] = encode_node(changed_node(rng, decode_node(leaves[k]), k))
    except ValueError:  # too wide for its field
        leaves[k] = damaged(rng, leaves[k])
    put_leaves(folder, leaves)


def changed_node(rng: random.Random, node: Node, own: int) -> Node:
    """The node with another field; ``own`` is its number."""
    number = rng.choice(INTEGERS)
    match rng.randrange(9):
        case 0:
            return replace(node, shape=_changed_shape(rng, node.shape))
        case 1:
            return replace(node, domain=_changed_shape(rng, node.domain))
        case 2:
            return replace(node, dtype=rng.choice(list(DType)))
        case 3 if node.operands:
            return _with_operand(rng, node, own)
        case 4:
            return replace(node, guards=(*node.guards, Guard(number % 256, number % 7)))
        case 5:
            return replace(node, result=rng.randrange(256))
        case 6:
            return replace(node, init=rng.choice((0x7FC00001, 0xFFC00000, number)))
        case _ if node.loads:
            k = rng.randrange(len(node.loads))
            loads = list(node.loads)
            loads[k] = _changed_load(rng, loads[k])
            return replace(node, loads=tuple(loads))
    return replace(node, operands=node.operands * 2, loads=node.loads * 2)


def _with_operand(rng: random.Random, node: Node, own: int) -> Node:
    slot = rng.randrange(len(node.operands))
    operand = node.operands[slot]
    changed = (
        replace(operand, index=rng.choice((own, own + 1, rng.choice(INTEGERS)))),
        replace(operand, kind=rng.choice(list(type(operand.kind)))),
        replace(operand, dtype=rng.choice(list(DType))),
        replace(operand, shape=_changed_shape(rng, operand.shape)),
    )
    operands: list[Operand] = list(node.operands)
    operands[slot] = rng.choice(changed)
    return replace(node, operands=tuple(operands))


def _changed_shape(rng: random.Random, shape: tuple[int, ...]) -> tuple[int, ...]:
    at = rng.randrange(len(shape) + 1)
    return (*shape[:at], rng.choice(INTEGERS), *shape[at + rng.randrange(2) :])


def _changed_load(rng: random.Random, load: Load) -> Load:
    number = rng.choice(NUMBERS)
    if not load.axes or rng.random() < 0.2:
        return replace(load, offset=number % (1 << 64), axes=load.axes * rng.randrange(3))
    at = rng.randrange(len(load.axes))
    axis = load.axes[at]
    changed = (
        replace(axis, size=number % (1 << 32)),
        replace(axis, stride=number % (1 << 64)),
        replace(axis, divisor=number % (1 << 32)),
        replace(axis, const=(number + (1 << 63)) % (1 << 64) - (1 << 63)),
        replace(axis, terms=(Term(LOADED_WORD | rng.randrange(16)), *axis.terms)),
        replace(axis, terms=tuple(Term(c, rng.choice((1, -1, 1 << 30))) for c in range(4))),
    )
    axes: list[Axis] = list(load.axes)
    axes[at] = rng.choice(changed)
    return replace(load, axes=tuple(axes), skip=rng.random() < 0.3)


def manifest_field(rng: random.Random, folder: Path) -> None:
    """One value of the manifest is something else, in canonical JSON or not."""
    fields = json.loads((folder / MANIFEST).read_bytes())
    target: Any = fields
    while isinstance(target, dict | list) and target:
        keys = list(target) if isinstance(target, dict) else list(range(len(target)))
        key = rng.choice(keys)
        if not isinstance(target[key], dict | list) or not target[key] or rng.random() < 0.3:
            break
        target = target[key]
    is_raw = rng.random() < 0.4
    target[key] = PLACE if is_raw else rng.choice((*NUMBERS, *TEXTS, [], {}, None, True, [1] * 99))
    ascii_only = rng.random() < 0.2
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only)
    if is_raw:
        text = text.replace(json.dumps(PLACE), rng.choice(RAW))
    (folder / MANIFEST).write_bytes(text.encode(errors="surrogatepass"))


def manifest_text(rng: random.Random, folder: Path) -> None:
    """The manifest is no canonical JSON, or not JSON at all."""
    good = (folder / MANIFEST).read_bytes()
    text = good.decode()
    hidden = '["\u2200",' + "[" * 50_000 + "]" * 50_000 + ',"\u2200"]'
    forms = (
        b"\xef\xbb\xbf" + good,
        text.encode("utf-16"),
        text.encode("utf-32-le"),
        hidden.encode("utf-16-le"),
        good[:-1] + b',"name":"twice"}',
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b"[" * 70 + b'"' + b'\\"' * 200_000,
        b"[" + b"[]," * 300_000 + b"[]]",
        b'{"version":' + b"9" * 1_000_000 + b"}",
        damaged(rng, good),
        gzip.compress(good),
        zipped(1 << 24),
        good + b"\n",
        b"",
        b"\x80\x04cposix\nsystem\n(S'id'\ntR.",
    )
    (folder / MANIFEST).write_bytes(rng.choice(forms))


def zipped(nbytes: int) -> bytes:
    """A zip archive of so many zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(nbytes))
    return out.getvalue()


def tensor_header(rng: random.Random, folder: Path) -> None:
    """Offsets, shapes, dtypes, names or length of a safetensors header are others."""
    path = folder / rng.choice((STATE, DATA))
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header, body = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    name = rng.choice([key for key in header if key != "__metadata__"])
    text = ""
    match rng.randrange(6):
        case 0:
            begin = rng.choice((*NUMBERS, 4))
            header[name]["data_offsets"] = [begin, rng.choice((begin + 4, *NUMBERS))]
        case 1:
            header[name]["shape"] = [rng.choice(NUMBERS)] * rng.randint(0, 70)
        case 2:
            header[name]["dtype"] = rng.choice(("F64", "BF16", "I64", "BOOL", "F8_E4M3", "", "U8"))
        case 3:
            header[rng.choice((*TEXTS, "state.5", "state.00"))] = header.pop(name)
        case 4:
            header |= {f"x{i}": header[name] for i in range(20_000)}
        case _:
            text = json.dumps(header)[:-1] + f',"{name}":' + json.dumps(header[name]) + "}"
            text = rng.choice((text, rng.choice(RAW), text.replace("0", rng.choice(RAW), 1)))
    packed = (text or json.dumps(header)).encode(errors="surrogatepass")
    stated = len(packed) if rng.random() < 0.8 else rng.choice(NUMBERS) % (1 << 64)
    path.write_bytes(stated.to_bytes(8, "little") + packed + body)


def tensor_bytes(rng: random.Random, folder: Path) -> None:
    """Words of tensors are others (NaN payloads), or the file is damaged anywhere."""
    path = folder / rng.choice((STATE, DATA))
    raw = path.read_bytes()
    if rng.random() < 0.5:
        at = len(raw) - 4 * rng.randint(1, 20)
        word = rng.choice((0x7FC00001, 0xFFFFFFFF, 0x7F800001))
        path.write_bytes(raw[:at] + struct.pack("<I", word) + raw[at + 4 :])
    else:
        path.write_bytes(damaged(rng, raw))


def file_kind(rng: random.Random, folder: Path) -> None:
    """A file is no file, is far larger than its content, or is a link."""
    path = folder / rng.choice(FILES)
    kept = folder / "elsewhere"
    match rng.randrange(9):
        case 0:
            path.unlink()
        case 1:
            path.unlink()
            path.mkdir()
        case 2:
            path.unlink()
            os.mkfifo(path)
        case 3:
            path.rename(kept)
            path.symlink_to(kept)
        case 4:
            path.rename(kept)
            path.hardlink_to(kept)
        case 5:
            path.unlink()
            path.symlink_to(rng.choice(("/dev/zero", "/proc/self/mem", "/dev/stdin", path.name)))
        case 6:
            path.unlink()
            with socket.socket(socket.AF_UNIX) as own:
                own.bind(os.path.relpath(path))
        case 7:
            with path.open("r+b") as file:
                file.truncate(1 << 40)
        case _:
            path.write_bytes(rng.choice((zipped(1 << 22), gzip.compress(bytes(1 << 22)))))


MUTATIONS: tuple[Mutation, ...] = (
    node_field, node_bytes, manifest_field, tensor_header, node_field, program_order,
    manifest_text, tensor_bytes, node_field, file_kind,
)  # fmt: skip
