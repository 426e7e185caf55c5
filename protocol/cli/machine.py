"""Is this machine fit to run an agent: bits, hashes, clock, disk, journal, ports."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from protocol.cli.checks import Area, Finding, examine, fail, ok, warn
from protocol.cli.machine_code import machine_code

LEAST_PYTHON: Final = (3, 11)
LEAST_FREE_BYTES: Final = 1 << 29
GOOD_FREE_BYTES: Final = 5 << 30
GIB: Final = 1 << 30
UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC of adjtimex(2)
STATUS_OFFSET: Final = 40  # of `status` in struct timex where long has 8 bytes
TIMEX_BYTES: Final = 512  # more than the kernel writes

JOURNALS: Final = ("journal.sqlite", "wallet.db")
LOCK: Final = "agent.lock"


def machine_findings() -> Iterator[Finding]:
    """Everything about the machine that needs neither home nor chain."""
    yield from examine(Area.MACHINE, "python", _python)
    yield from examine(Area.MACHINE, "hashing", _hashing)
    yield from examine(Area.MACHINE, "bits", _bits)
    yield from examine(Area.MACHINE, "machine code", machine_code)
    yield from examine(Area.MACHINE, "subnormal numbers", _subnormals)
    yield from examine(Area.MACHINE, "clock", _clock)


def home_findings(home: Path) -> Iterator[Finding]:
    """The agent's folder: writable, durable, roomy, its journals whole."""
    yield from examine(Area.HOME, "home", lambda: _writable(home))
    yield from examine(Area.HOME, "disk", lambda: _disk(home))
    for name in JOURNALS:
        yield from examine(Area.HOME, f"journal {name}", partial(_journal, home / name))


def port_findings(ports: dict[str, tuple[str, int]], *, running: bool) -> Iterator[Finding]:
    """Whether the agent can listen where it shall. ``running``: it listens there already."""
    for flag, (host, port) in ports.items():
        check = partial(_port, host, port, running=running)
        yield from examine(Area.MACHINE, f"port of {flag}", check)


def is_agent_running(home: Path) -> bool:
    """Whether an agent holds the lock of this home."""
    from filelock import FileLock, Timeout

    if not (home / LOCK).exists():
        return False
    lock = FileLock(home / LOCK, timeout=0)
    try:
        with lock:
            return False
    except Timeout:
        return True


# ---------------------------------------------------------------------------- the machine


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < LEAST_PYTHON:
        return fail(
            Area.MACHINE,
            "python",
            f"Python {found}, 3.11 or newer is needed",
            "install a newer one",
        )
    return ok(Area.MACHINE, "python", f"Python {found}")


def _hashing() -> Finding:
    """The native SHA-256 and tree against hashlib."""
    from protocol.merkle.hashing import leaf_hash, node_hash
    from protocol.merkle.tree import MerkleTree

    values = [bytes([i]) * (i * 37) for i in range(5)]
    leaves = [hashlib.sha256(b"\0" + value).digest() for value in values]
    pairs = [hashlib.sha256(b"\1" + leaves[i] + leaves[i + 1]).digest() for i in (0, 2)]
    left = hashlib.sha256(b"\1" + pairs[0] + pairs[1]).digest()
    root = hashlib.sha256(b"\1" + left + leaves[4]).digest()
    wrong = [i for i, value in enumerate(values) if leaf_hash(value) != leaves[i]]
    if wrong or node_hash(leaves[0], leaves[1]) != pairs[0] or MerkleTree(values).root != root:
        return fail(
            Area.MACHINE,
            "hashing",
            f"the native hashes are not those of hashlib (leaves {wrong or 'agree, the tree not'})",
            "build the native modules again: `make native`; if it stays, do not use this machine",
        )
    return ok(Area.MACHINE, "hashing", "native SHA-256 and trees agree with hashlib")


def _bits() -> Finding:
    """A small fold on every instruction set and with several threads, against the reference."""
    import numpy as np

    from protocol.kernels import Executor, instruction_sets
    from protocol.kernels.reference.evaluator import evaluate_node
    from protocol.program.builder import FoldBuilder
    from protocol.program.isa import DType
    from protocol.program.node import Operand, OperandKind

    rows, inner, columns = 5, 67, 9
    builder = FoldBuilder(DType.F32, (rows, columns), (inner,))
    shapes = ((rows, inner), (inner, columns))
    operands = [Operand(OperandKind.STATE, i, DType.F32, shape) for i, shape in enumerate(shapes)]
    a = builder.load(operands[0], [builder.out(0).axis(rows, inner), builder.red(0).axis(inner, 1)])
    b = builder.load(
        operands[1], [builder.red(0).axis(inner, columns), builder.out(1).axis(columns, 1)]
    )
    node = builder.finish(builder.fma(a, b, builder.acc))
    # Large and tiny numbers of both signs, denormals among them: where lax machines differ.
    random = np.random.default_rng(1)
    scales = np.float32(10) ** random.integers(-20, 19, rows * inner + inner * columns)
    numbers = random.standard_normal(len(scales), np.float32) * scales.astype(np.float32)
    numbers[::13] = np.float32(1e-42)
    inputs = [
        part.reshape(shape)
        for part, shape in zip(np.split(numbers, [rows * inner]), shapes, strict=True)
    ]
    expected = evaluate_node(node, [each.reshape(-1).view(np.uint32).tolist() for each in inputs])
    sets = instruction_sets()
    for isa in sets:
        for threads in (1, 2):
            got = Executor(threads, isa, grain=1).run(node, inputs)
            if got.reshape(-1).view(np.uint32).tolist() != expected:
                return fail(
                    Area.MACHINE,
                    "bits",
                    f"{isa} with {threads} threads computes other bits than the reference",
                    "run no agent on this machine: it would be convicted, or accuse the innocent",
                )
    return ok(Area.MACHINE, "bits", f"{', '.join(sets)} agree with the reference")


def _subnormals() -> Finding:
    """How much slower the machine computes when results are subnormal; the bits are the same."""
    from protocol.agents.appraisal import SUBNORMAL_WORK
    from protocol.kernels import Executor
    from protocol.kernels.probe import measure_subnormals

    speed = measure_subnormals(Executor())
    text = (
        f"they make this machine {speed.slowdown:.3g} times slower, to {speed.work:.2g} float "
        "instructions a second: a solver refuses tasks whose disputes allow too little time for "
        "that (docs/operate/solver.md, section 6)"
    )
    if speed.work < SUBNORMAL_WORK:
        return warn(
            Area.MACHINE,
            "subnormal numbers",
            f"{text}; requesters reckon with {SUBNORMAL_WORK:.2g}",
            "expect to refuse tasks, or solve on a machine with more threads or wider vectors",
        )
    return ok(Area.MACHINE, "subnormal numbers", text)


def _clock() -> Finding | None:
    """Whether the kernel's clock follows a time server. Nothing is said where that is unknown."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = ctypes.create_string_buffer(TIMEX_BYTES)
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        return None
    status = int.from_bytes(timex.raw[STATUS_OFFSET : STATUS_OFFSET + 4], sys.byteorder)
    if status & UNSYNCHRONISED:
        return warn(
            Area.MACHINE,
            "clock",
            "the kernel says that its clock follows no time server",
            "start a time service (chrony, systemd-timesyncd): fresh blocks are told by the clock",
        )
    return ok(Area.MACHINE, "clock", "the clock follows a time server")


# ---------------------------------------------------------------------------- the home


def _writable(home: Path) -> Finding:
    home.mkdir(parents=True, exist_ok=True)
    probe = home / f".doctor-{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(b"pinpoint")
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(home, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        probe.unlink(missing_ok=True)
    return ok(Area.HOME, "home", f"{home} can be written, and fsync works")


def _disk(home: Path) -> Finding:
    free = shutil.disk_usage(home).free
    text = f"{free / GIB:.1f} GiB are free at {home}"
    if free < LEAST_FREE_BYTES:
        return fail(
            Area.HOME,
            "disk",
            f"{text}, at least {LEAST_FREE_BYTES / GIB:.1f} are needed",
            "free some",
        )
    if free < GOOD_FREE_BYTES:
        todo = "make room, or lower --keep-days: checkpoints and traces take space"
        return warn(Area.HOME, "disk", f"{text}, {GOOD_FREE_BYTES / GIB:.0f} are comfortable", todo)
    return ok(Area.HOME, "disk", text)


def _journal(path: Path) -> Finding | None:
    if not path.exists():
        return None
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        (answer,) = database.execute("PRAGMA integrity_check").fetchone()
    finally:
        database.close()
    if answer != "ok":
        return fail(
            Area.HOME,
            f"journal {path.name}",
            f"{path}: {answer}",
            "stop the agent and restore the file from a backup. Do not start without it: it keeps "
            "you from standing for a second root",
        )
    return ok(Area.HOME, f"journal {path.name}", f"{path} is intact")


# ---------------------------------------------------------------------------- ports


def _port(host: str, port: int, *, running: bool) -> Finding:
    name = f"port {host}:{port}"
    if port == 0:
        return ok(Area.MACHINE, name, "a free port is taken at start")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE and running:
                return ok(Area.MACHINE, name, "in use, and the agent of this home is running")
            todo = "choose another port, or stop what listens there"
            return fail(Area.MACHINE, name, str(error.strerror), todo)
    return ok(Area.MACHINE, name, "free")
