"""A devnet with its people, each a process of its own with a log file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocol.agents.watch.reader import Reader
from protocol.chain.deployment import Deployment
from protocol.chain.devnet import PEOPLE, Devnet, connect_all, dev_account, load
from protocol.chain.endpoints import RpcUnreachable

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "digits"
BID_SECONDS = "8"
PINPOINT = [sys.executable, "-m", "protocol.cli.main"]


class TownError(AssertionError):
    """Something did not end as it must."""


@dataclass
class Town:
    """People around one devnet.

    Attributes:
        folder: where everything happens; `pinpoint.toml` is there.
        devnet: the chain.
        deployment: its contracts, with the keys of all people.
        reader: what has happened.
    """

    folder: Path
    devnet: Devnet
    deployment: Deployment
    reader: Reader
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def pinpoint(self, *arguments: str) -> str:
        """Run a command as its user would; what it printed on stdout. TownError."""
        done = subprocess.run(
            [*PINPOINT, *arguments], cwd=self.folder, env=environment(), capture_output=True
        )
        if done.returncode != 0:
            raise TownError(
                f"pinpoint {' '.join(arguments)}: exit code {done.returncode}\n"
                + done.stderr.decode(errors="replace")
            )
        return done.stdout.decode()

    def run(self, name: str, *command: str) -> None:
        """Start a process; its log is ``NAME.log``."""
        with (self.folder / f"{name}.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def agent(self, name: str, *command: str) -> None:
        """Start `pinpoint COMMAND` as a person of the devnet."""
        flags = (
            *("--home", str(self.devnet.home(name))),
            *("--keystore", str(self.devnet.keystore(name))),
        )
        self.run(name, "-m", "protocol.cli.main", *command, *flags)

    def liar(self, name: str, lie: str) -> None:
        """Start a lying solver as a person of the devnet."""
        home, keystore = str(self.devnet.home(name)), str(self.devnet.keystore(name))
        self.run(name, "-m", "scripts.devnet.liar", lie, "pinpoint.toml", home, keystore)

    def wait_until_up(self, *names: str) -> None:
        """Wait until people have announced their stores, which is what they begin with."""
        accounts = {str(dev_account(1 + PEOPLE.index(name)).address) for name in names}
        self.wait(f"{names} to be up", lambda: accounts <= set(self.reader.book.stores), 120)

    def post(self, folder: Path = EXAMPLE, **flags: str) -> bytes:
        """Post a task, with little time for bids since everybody is up; the task's id."""
        given = {"bid-seconds": BID_SECONDS, **flags}
        extra = [part for key, value in given.items() for part in (f"--{key}", value)]
        printed = self.pinpoint("requester", "post", str(folder), "--again", "--json", *extra)
        return bytes.fromhex(json.loads(printed)["task_id"][2:])

    def stop(self, name: str) -> None:
        """End a process as its operator would."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise TownError(f"{name} does not stop within 60 s of SIGTERM") from error
        if code != 0:
            raise TownError(f"{name} ended with {code}, see {self.folder / name}.log")

    def kill(self, name: str) -> None:
        """End a process without a word (SIGKILL)."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop_all(self) -> None:
        """End all processes."""
        for name in list(self.processes):
            self.stop(name)

    def wait(self, what: str, over: Callable[[], bool], seconds: float) -> None:
        """Wait until something has happened. TownError if it does not, or somebody died.

        A node on a busy machine may leave a question without an answer: it is asked again.
        """
        deadline = time.monotonic() + seconds
        while not _is_over(over):
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise TownError(
                        f"{name} ended with {process.returncode} while waiting for {what}:\n"
                        + _tail(self.folder / f"{name}.log")
                    )
            if time.monotonic() > deadline:
                logs = "\n".join(
                    f"--- {name}\n{_tail(self.folder / f'{name}.log')}" for name in self.processes
                )
                raise TownError(f"{what} has not happened after {seconds:g} s\n{logs}")
            time.sleep(0.5)

    def demand(self, holds: object, what: str) -> None:
        """TownError unless something holds."""
        if not holds:
            raise TownError(f"it does not hold that {what}")


def _is_over(over: Callable[[], bool]) -> bool:
    """What `over` says, and no as long as the chain does not answer."""
    try:
        return over()
    except RpcUnreachable:
        return False


@contextlib.contextmanager
def town(folder: Path, kind: str = "hardhat") -> Iterator[Town]:
    """A devnet in a folder, and an end of everything."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [*PINPOINT, "devnet", "up", "--node", kind, "--port", "0"]
    subprocess.run(command, cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)
    devnet = load(folder / ".pinpoint" / "devnet")
    if devnet is None:
        raise TownError(f"the devnet in {folder} did not come up")
    found: Town | None = None
    try:
        deployment = connect_all(devnet)
        found = Town(folder, devnet, deployment, Reader(deployment))
        yield found
    finally:
        for process in found.processes.values() if found else ():
            process.kill()
            process.wait()
        devnet.stop()


def environment() -> dict[str, str]:
    """Of child processes: this checkout first, and no settings from elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PINPOINT_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def read_json(text: str) -> Any:
    """A command's JSON."""
    return json.loads(text)
