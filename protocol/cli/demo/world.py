"""A market on the embedded chain with its people.

Each player is an agent of its own that meets the others only through the chain and the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from protocol.agents.conduct import HONEST, Conduct
from protocol.agents.journal import Journal
from protocol.agents.requester import Offer, Requester
from protocol.agents.sender import Ledger, Sender
from protocol.agents.solver import Solver
from protocol.agents.verifier import Verifier
from protocol.agents.watch.reader import Reader
from protocol.chain.deployment import Deployment, deploy_all
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.market import Terms
from protocol.chain.presets import MINIMAL
from protocol.storage import ContentStore
from protocol.training.hooks import Hooks
from protocol.training.trainer import Progress

TOKEN: Final = 10**18
FUNDS: Final = 100_000 * TOKEN
STAKE: Final = 5_000 * TOKEN

OFFER: Final = Offer(
    max_reward=1_000 * TOKEN,
    value_at_risk=1_000 * TOKEN,
    verifier_fee=30 * TOKEN,
    verifiers=2,
    segments_per_verifier=1,
    bid_seconds=60,
    reveal_seconds=60,
    run_seconds=3_600,
    window_seconds=3_600,
    segment_seconds=60,
    trace_seconds=60,
)


class Agent(Protocol):
    """Whatever acts in the world."""

    def tick(self) -> bool:
        """Do the first thing that is due; whether there was one."""


@dataclass
class Player:
    """An agent with its account."""

    name: str
    account: str
    agent: Agent
    before: int = 0


@dataclass
class Stage:
    """A deployed market that scenarios start from; each gets it fresh."""

    chain: EmbeddedChain = field(default_factory=EmbeddedChain)

    def __post_init__(self) -> None:
        self.deployment: Deployment = deploy_all(self.chain, MINIMAL)
        accounts = self.chain.accounts[1:9]
        for account in accounts:
            self.deployment.fund(account, FUNDS)
        self._snapshot = self.chain.snapshot()

    def reset(self) -> None:
        """Back to the deployment as it was."""
        self.chain.revert(self._snapshot)


class StuckError(RuntimeError):
    """Nobody can act any more and the task has not ended."""


class World:
    """One scenario: its players, one content store, one ledger of transactions.

    Args:
        stage: the deployed market.
        folder: for the store, the journals and the checkpoints.
    """

    def __init__(self, stage: Stage, folder: Path) -> None:
        stage.reset()
        self.chain = stage.chain
        self.deployment = stage.deployment
        self.folder = folder
        self.store = ContentStore(folder / "store")
        self.ledger = Ledger()
        self.reader = Reader(self.deployment)
        self.players: dict[str, Player] = {}

    # ------------------------------------------------------------------ people

    def requester(self, name: str = "requester") -> Requester:
        """Add a requester."""
        requester = Requester(self.reader, self._sender(name), self.store)
        self._add(name, requester)
        return requester

    def solver(
        self,
        name: str = "solver",
        price: int = 600 * TOKEN,
        conduct: Conduct = HONEST,
        progress: Callable[[Progress], None] | None = None,
    ) -> Solver:
        """Add a solver that asks ``price`` for every task."""

        def ask(_terms: Terms) -> int:
            return price

        solver = Solver(
            self.reader,
            self._sender(name),
            self._journal(name),
            self.store,
            self.folder / name,
            ask,
            conduct,
            progress,
        )
        self._add(name, solver)
        return solver

    def verifier(
        self,
        name: str,
        *,
        staked: bool = True,
        checks_all: bool = False,
        hooks: Hooks | None = None,
    ) -> Verifier:
        """Add a verifier; one that has not staked is an open challenger."""
        verifier = Verifier(
            self.reader,
            self._sender(name),
            self._journal(name),
            self.store,
            checks_all=checks_all,
            hooks=hooks,
            folder=self.folder / name,
        )
        if staked:
            verifier.stake(STAKE)
        self._add(name, verifier)
        return verifier

    def add(
        self, name: str, build: Callable[[Reader, Sender, Journal, ContentStore], Agent]
    ) -> Agent:
        """Add any other agent."""
        agent = build(self.reader, self._sender(name), self._journal(name), self.store)
        self._add(name, agent)
        return agent

    def holdings(self, account: str) -> int:
        """Wallet, vault credit and verifier stake of an account, token wei."""
        registry, token = self.deployment.registry, self.deployment.token
        return (
            int(self.chain.call(token.functions.balanceOf(account)))
            + self.reader.credit(account)
            + int(self.chain.call(registry.functions.stakeOf(account)))
        )

    def gains(self) -> dict[str, int]:
        """What each player has won or lost since the start, token wei."""
        return {p.name: self.holdings(p.account) - p.before for p in self.players.values()}

    def burned(self) -> int:
        """Tokens that this market has burned, wei."""
        return int(self.chain.call(self.deployment.vault.functions.totalBurned()))

    def _sender(self, name: str) -> Sender:
        account = self.chain.accounts[1 + len(self.players)]
        return Sender(self.deployment, account, name, self.ledger)

    def _journal(self, name: str) -> Journal:
        path = self.folder / name / "journal.sqlite"
        chain_id = self.chain.w3.eth.chain_id
        return Journal(path, chain_id, self.chain.accounts[1 + len(self.players)])

    def _add(self, name: str, agent: Agent) -> None:
        account = str(self.chain.accounts[1 + len(self.players)])
        self.players[name] = Player(name, account, agent, self.holdings(account))

    # ------------------------------------------------------------------ time

    def play(self, over: Callable[[], bool], most_rounds: int = 2_000) -> None:
        """Let everybody act, and time pass when nobody can, until ``over``. StuckError."""
        for _ in range(most_rounds):
            if over():
                return
            if not any(player.agent.tick() for player in self.players.values()):
                self._pass_time()
        if over():
            return
        raise StuckError(f"the task has not ended after {most_rounds} rounds")

    def settle(self, most_rounds: int = 200) -> None:
        """After the end: let everybody collect what is theirs, until nobody acts any more."""
        for _ in range(most_rounds):
            if not any(player.agent.tick() for player in self.players.values()):
                return
        raise StuckError(f"somebody still acts {most_rounds} rounds after the end")

    def _pass_time(self) -> None:
        """A block later, or straight to the next deadline if empty blocks change nothing."""
        start = self.chain.w3.eth.block_number
        for _ in range(3):
            self.chain.mine(1)
            if any(player.agent.tick() for player in self.players.values()):
                return
        now = self.chain.now()
        later = [deadline for deadline in self._deadlines() if deadline > now]
        if not later:
            raise StuckError(f"nobody acts and no deadline follows, at block {start}")
        self.chain.advance(min(later) - now)

    def _deadlines(self) -> Sequence[int]:
        book = self.reader.book
        deadlines: list[int] = []
        for task_id in book.tasks:
            task = self.reader.task(task_id)
            deadlines += [task.bid_end, task.reveal_end, task.run_end, task.reopen_end]
        for claim_id in book.claims:
            facts = self.reader.facts(claim_id)
            deadlines += [facts.window_end, facts.reveal_end, facts.clock_start]
        for record in book.disputes.values():
            if record.closed is None:
                deadlines.append(self.reader.clock(record.dispute_id)[1])
        return deadlines
