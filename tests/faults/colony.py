"""Agents as processes around a node whose time is in our hands, and which are started again.

Time stands still while anybody has something to do. So however often processes die, and however
slow the machine is, no clock runs out unless an agent lets it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from eth_account import Account

from protocol.agents.requester import Requester
from protocol.agents.sender import Ledger, Sender
from protocol.agents.watch.reader import Reader
from protocol.chain.deployfile import describe
from protocol.chain.deployment import Deployment, deploy_all
from protocol.chain.devnet import connect, dev_account
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.chain.presets import MINIMAL
from protocol.cli.demo.world import FUNDS, OFFER, STAKE
from protocol.storage import ContentStore
from protocol.training import Task
from protocol.training.trainer import Trainer
from tests.faults.mortal import HITS, IDLE, NAMES
from tests.faults.nodes import NodeControl
from tests.faults.points import Point

ROOT: Final = Path(__file__).resolve().parents[2]
PASSWORD: Final = "only for tests"
PEOPLE: Final = ("requester", "solver", "verifier")
PATIENCE_S: Final = 240.0
"""Real time without any block: somebody hangs."""

MOST_IDLE_BLOCKS: Final = 200
"""Blocks and deadlines without anybody acting: it will not end."""

TERMS: Final = replace(
    OFFER,
    verifiers=1,
    segments_per_verifier=3,
    bid_seconds=600,
    reveal_seconds=600,
)
"""One verifier checks all; the auction is longer than the lives that are spent in it."""


class ColonyError(AssertionError):
    """Somebody ended otherwise than by a kill, or nobody gets on."""


@dataclass(frozen=True)
class End:
    """What a scenario came to."""

    claims: tuple[tuple[ClaimPhase, bytes, bytes], ...]  # phase, log root, result root
    gains: dict[str, int]
    burned: int


def honest_end(task: Task, folder: Path) -> End:
    """What an honest task comes to: the roots of a run without a chain, and what was offered.

    The only bid wins at the most that the task pays; one verifier attests.
    """
    outcome = Trainer(task, folder).run()
    paid, fee = TERMS.max_reward, TERMS.verifier_fee
    return End(
        ((ClaimPhase.FINALISED, outcome.log_root, outcome.state_root),),
        {"requester": -paid - fee, "solver": paid, "verifier": fee},
        burned=0,
    )


@dataclass
class Resident:
    """An agent's process, in its present life."""

    name: str
    folder: Path
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0

    @property
    def log(self) -> Path:
        """Everything that it has told in all its lives."""
        return self.folder / "log"

    @property
    def hits(self) -> list[str]:
        """Points that it has died at."""
        path = self.folder / HITS
        return path.read_text().splitlines() if path.exists() else []

    def start(self) -> None:
        """Begin a life."""
        (self.folder / IDLE).unlink(missing_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PINPOINT_")}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def revive(self) -> bool:
        """Start it again if it was killed; whether it was. ColonyError if it ended otherwise."""
        code = None if self.process is None else self.process.poll()
        if code is None:
            return False
        if code != -9:
            raise ColonyError(f"{self.name} ended with {code}:\n{self.tail()}")
        self.deaths += 1
        self.start()
        return True

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def idle_at(self) -> int:
        """The block at which it had nothing to do; -1: it has not said."""
        try:
            return int((self.folder / IDLE).read_text())
        except (FileNotFoundError, ValueError):
            return -1

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class Colony:
    """A market with its people, solver and verifier in processes of their own."""

    folder: Path
    node: NodeControl
    scene: str
    residents: dict[str, Any] = field(default_factory=dict)  # Resident, or alike
    after_block: Callable[[], None] = lambda: None
    stride_s: int = 1 << 32  # most that idle time leaps at once

    def __post_init__(self) -> None:
        self.chain = connect(self.node.url, [dev_account(index) for index in range(4)])
        self.deployment: Deployment = deploy_all(self.chain, MINIMAL)
        for person in PEOPLE:
            self.deployment.fund(self.account(person), FUNDS)
        stake = self.deployment.registry.functions.stake(STAKE)
        self.chain.send(stake, self.account("verifier"))
        self.deployment_file = self.folder / "deployment.json"
        describe(self.deployment, self.chain, first_block=0).save(self.deployment_file)
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)
        self.reader = Reader(self.deployment)
        self.requester = Requester(
            self.reader,
            Sender(self.deployment, self.account("requester"), "requester", Ledger()),
            ContentStore(self.published),
        )
        self.before = {person: self.holdings(person) for person in PEOPLE}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for resident in self.residents.values():
            resident.kill()

    @property
    def published(self) -> Path:
        """The requester's store."""
        return self.folder / "published"

    def account(self, person: str) -> str:
        """A person's address."""
        return str(dev_account(1 + PEOPLE.index(person)).address)

    def holdings(self, person: str) -> int:
        """Wallet, vault credit and verifier stake, token wei."""
        registry, token = self.deployment.registry, self.deployment.token
        account = self.account(person)
        return (
            int(self.chain.call(token.functions.balanceOf(account)))
            + self.reader.credit(account)
            + int(self.chain.call(registry.functions.stakeOf(account)))
        )

    # ------------------------------------------------------------------ processes

    def move_in(self, person: str, points: list[Point], *flags: str) -> Resident:
        """Start a person's agent, which dies at these points."""
        folder = self.folder / person
        folder.mkdir(exist_ok=True)
        (folder / NAMES).write_text("".join(f"{point.name}\n" for point in points))
        keystore = write_light_keystore(self.folder, person, bytes(dev_account_of(person).key))
        command = [
            *(sys.executable, "-m", "tests.faults.mortal", str(folder), self.scene),
            *(person, "run", "--home", str(folder / "home"), "--keystore", str(keystore)),
            *("--password-file", str(self.password_file), "--rpc", self.node.url),
            *("--deployment", str(self.deployment_file), "--poll-seconds", "0.05"),
            *("--read-store", str(self.published), "--confirmations", "2", "--threads", "1"),
            *flags,
        ]
        self.residents[person] = resident = Resident(person, folder, command)
        resident.start()
        return resident

    def move_in_all(self, points: Callable[[str], list[Point]]) -> None:
        """Solver and verifier; the verifier reads what the solver serves."""
        self.move_in("solver", points("solver"), "--price", "600")
        served = self.folder / "solver" / "home" / "store"
        self.move_in("verifier", points("verifier"), "--read-store", str(served))

    # ------------------------------------------------------------------ time

    def play(self, over: Callable[[], bool]) -> None:
        """Let everybody act, and time pass while nobody can, until ``over``. ColonyError."""
        moved_at, head, idle_blocks = time.monotonic(), self.node.head(), 0
        while not over():
            revived = [r for r in self.residents.values() if r.revive()]
            now = self.node.head()
            if now != head:
                self.after_block()
                now = self.node.head()
            if revived or now != head:
                moved_at, head, idle_blocks = time.monotonic(), now, 0
            elif all(resident.idle_at() == head for resident in self.residents.values()):
                # The requester comes last: what agents are to do is not done for them.
                if not self.requester.tick():
                    idle_blocks += 1
                    self._pass_time(idle_blocks)
                self.after_block()
                moved_at, head = time.monotonic(), self.node.head()
            elif time.monotonic() - moved_at > PATIENCE_S or idle_blocks > MOST_IDLE_BLOCKS:
                told = "\n".join(f"--- {r.name}\n{r.tail()}" for r in self.residents.values())
                raise ColonyError(f"nobody gets on at block {now}\n{told}")
            time.sleep(0.02)

    def _pass_time(self, idle_blocks: int) -> None:
        """A block; after some that changed nothing, straight to the next deadline."""
        if idle_blocks > 3:
            now = self.chain.now()
            later = [deadline for deadline in self._deadlines() if deadline > now]
            if later:
                self.node.ask("evm_increaseTime", min(min(later) - now, self.stride_s))
        self.node.mine()

    def _deadlines(self) -> Iterator[int]:
        book = self.reader.book
        for task_id in book.open_tasks:
            task = self.reader.task(task_id)
            yield from (task.bid_end, task.reveal_end, task.run_end, task.reopen_end)
        for claim_id in book.open_claims:
            facts = self.reader.facts(claim_id)
            yield from (facts.window_end, facts.reveal_end, facts.clock_start)
        for record in book.disputes.values():
            if record.closed is None:
                yield record.deadline

    # ------------------------------------------------------------------ the end

    def play_out(self, task_id: bytes) -> End:
        """Play until the task has ended and nobody acts any more; what it came to."""

        def over() -> bool:
            return self.reader.task(task_id).phase in (TaskPhase.FINALISED, TaskPhase.REFUNDED)

        self.play(over)
        rest = self.node.head() + 8  # to be collected, confirmed, and told
        self.play(lambda: self.node.head() >= rest)
        claims = []
        for claim_id in self.reader.book.claims:
            facts = self.reader.facts(claim_id)
            phase = self.reader.claim(claim_id).phase
            claims.append((phase, facts.log_root, facts.result_root))
        gains = {person: self.holdings(person) - self.before[person] for person in PEOPLE}
        burned = int(self.chain.call(self.deployment.vault.functions.totalBurned()))
        return End(tuple(claims), gains, burned)


def dev_account_of(person: str) -> Any:
    """A person's key."""
    return dev_account(1 + PEOPLE.index(person))


def write_light_keystore(folder: Path, person: str, key: bytes) -> Path:
    """A keystore that costs no second to open: it is opened in each life."""
    path = folder / f"{person}.json"
    path.write_text(json.dumps(Account.encrypt(key, PASSWORD, kdf="pbkdf2", iterations=1)))
    path.chmod(0o600)
    return path


@contextmanager
def colony(folder: Path, node: NodeControl, scene: str) -> Iterator[Colony]:
    """A market on a fresh node."""
    with Colony(folder, node, scene) as found:
        yield found


def play_scene(
    folder: Path,
    node: NodeControl,
    task: Task,
    scene: str,
    points: Callable[[str], list[Point]] = lambda _role: [],
) -> tuple[End, Colony]:
    """A task from beginning to end; its agents die at ``points`` of their roles."""
    with colony(folder, node, scene) as found:
        task_id = found.requester.post(task, TERMS)
        found.move_in_all(points)
        return found.play_out(task_id), found
