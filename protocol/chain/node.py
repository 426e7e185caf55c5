"""A development node as a child process: Hardhat's or anvil, on loopback, in real time.

Both mine a transaction at once, and an empty block every second, so that the chain's time follows
the clock. Their keys are public: nothing of value may ever be on such a chain.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from web3 import Web3
from web3.providers import HTTPProvider

from protocol.chain.errors import ChainError

DEV_CHAIN_ID: Final = 31337
DEV_MNEMONIC: Final = "test test test test test test test test test test test junk"
LOOPBACK: Final = "127.0.0.1"
KINDS: Final = ("hardhat", "anvil")
START_SECONDS: Final = 90


class NodeError(ChainError):
    """A development node cannot be started."""


@dataclass(frozen=True)
class Node:
    """A running node.

    Attributes:
        kind: which implementation.
        url: its JSON-RPC endpoint.
        pid: its process, which leads a process group of its own.
        log: where its output goes.
    """

    kind: str
    url: str
    pid: int
    log: Path

    def is_alive(self) -> bool:
        """Whether the process exists."""
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        return not _is_zombie(self.pid)

    def stop(self, patience_s: float = 10.0) -> None:
        """End the process and its children; quietly if it is gone."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.pid, how)
            except (ProcessLookupError, PermissionError):
                return
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if not self.is_alive():
                    return
                time.sleep(0.05)


def start_node(
    kind: str,
    log: Path,
    *,
    port: int = 8545,
    block_seconds: int = 1,
    project: Path | None = None,
) -> Node:
    """Start a node and wait until it answers and mines.

    Args:
        kind: ``hardhat`` or ``anvil``.
        log: a file for its output.
        port: on loopback; 0 takes a free one.
        block_seconds: time between empty blocks; 0: none are mined, time stands still between
            transactions.
        project: the checkout with ``hardhat.config.js`` and ``node_modules``; default: where this
            package lies.

    Raises:
        NodeError: not installed, the port is taken, or it does not come up.
    """
    if kind not in KINDS:
        raise NodeError("no such node", f"{kind!r} is none of {', '.join(KINDS)}", "name one")
    project = project or Path(__file__).resolve().parents[2]
    port = port or free_port()
    if not _is_free(port):
        raise NodeError(
            "the node cannot listen",
            f"port {port} of {LOOPBACK} is taken",
            "stop what listens there (another devnet?), or choose another with --port",
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    command = _hardhat(project, port) if kind == "hardhat" else _anvil(project, port)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=project,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    node = Node(kind, f"http://{LOOPBACK}:{port}", process.pid, log)
    try:
        _wait(node, process)
        if block_seconds:
            _mine_every(node, block_seconds)
    except BaseException:
        node.stop()
        process.wait()
        raise
    return node


def request(url: str, method: str, *params: Any) -> Any:
    """One request of a development node's own, such as ``evm_snapshot``. NodeError."""
    answer = HTTPProvider(url).make_request(method, list(params))
    if "error" in answer:
        raise NodeError(f"{method} is refused", str(answer["error"]), "is it a development node?")
    return answer["result"]


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _hardhat(project: Path, port: int) -> list[str]:
    script = project / "node_modules" / "hardhat" / "dist" / "src" / "cli.js"
    if not script.is_file():
        raise NodeError(
            "Hardhat is not installed",
            f"there is no {script}",
            "run `make setup` in a checkout of the repository (an installed package has no "
            "Hardhat), or point --rpc at a node of your own",
        )
    node = Path(sys.executable).with_name("node")
    found = str(node) if node.is_file() else shutil.which("node")
    if found is None:
        raise NodeError(
            "Hardhat cannot run",
            "there is no `node` program beside Python, nor on the PATH",
            "install the extra `pinpoint-protocol[contracts]`",
        )
    return [found, str(script), "node", "--hostname", LOOPBACK, "--port", str(port)]


def _anvil(project: Path, port: int) -> list[str]:
    binaries = sorted((project / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*"))
    found = str(binaries[0]) if binaries else shutil.which("anvil")
    if found is None:
        raise NodeError(
            "anvil is not installed",
            f"there is none in {project}, nor on the PATH",
            "run `make setup` in a checkout of the repository",
        )
    return [found, "--host", LOOPBACK, "--port", str(port), "--hardfork", "prague", "--silent"]


def _environment() -> dict[str, str]:
    """No telemetry, no questions, no colours in the log."""
    return {**os.environ, "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true", "CI": "true", "NO_COLOR": "1"}


def _wait(node: Node, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    w3 = Web3(HTTPProvider(node.url, exception_retry_configuration=None))
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = node.log.read_text(errors="replace").strip().splitlines()[-5:]
            raise NodeError(
                f"{node.kind} does not start",
                f"it ended with {process.returncode}: {' / '.join(last)}",
                f"read {node.log}",
            )
        if w3.is_connected():
            return
        time.sleep(0.1)
    raise NodeError(
        f"{node.kind} does not start",
        f"it does not answer after {START_SECONDS} s",
        f"read {node.log}",
    )


def _mine_every(node: Node, seconds: int) -> None:
    if node.kind == "hardhat":
        request(node.url, "evm_setIntervalMining", seconds * 1000)
    else:
        # anvil gives up mining at once when it mines by the clock; both are wanted.
        request(node.url, "evm_setIntervalMining", seconds)


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"
