"""An agent that is killed anywhere goes on to the same end, and never stands for two roots."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.agents.conduct import HONEST, Conduct
from protocol.agents.journal import Journal
from protocol.agents.sender import Sender
from protocol.agents.solver import Solver
from protocol.agents.verifier import Verifier
from protocol.agents.watch.reader import Reader
from protocol.chain.market import ClaimPhase
from protocol.cli.demo.world import OFFER, STAKE, Stage, World
from protocol.storage import ContentStore
from protocol.training import Task
from tests.agents.mortals import DeathAtLines, DeathAtTransactions, NoDeath, add_mortal
from tests.agents.scenes import LIAR, OFFER_ALL, PRICE, End, play_out

LINES_OF = (
    "solver",
    "bids",
    "openings",
    "moves",
    "pace",
    "runs",
    "verifier",
    "checking",
    "requester",
    "duties",
    "attempts",
    "journal",
    "sender",
    "bundle",
    "served",
)


def play(world: World, task: Task, conduct: Conduct, death: NoDeath) -> tuple[End, int]:
    """Solver, rival and verifier under ``death``; the end, and how often somebody died."""

    def solver(price: int, conduct: Conduct):
        def make(
            reader: Reader, sender: Sender, journal: Journal, store: ContentStore, folder: Path
        ) -> Solver:
            return Solver(reader, sender, journal, store, folder / "runs", lambda _: price, conduct)

        return make

    def verifier(
        reader: Reader, sender: Sender, journal: Journal, store: ContentStore, folder: Path
    ) -> Verifier:
        return Verifier(reader, sender, journal, store, folder=folder / "tasks")

    requester = world.requester()
    mortals = [
        add_mortal(world, "solver", solver(PRICE, conduct), death),
        add_mortal(world, "rival", solver(OFFER.max_reward, HONEST), death),
        add_mortal(world, "verifier", verifier, death),
    ]
    stake = world.deployment.registry.functions.stake(STAKE)
    world.chain.send(stake, world.players["verifier"].account)
    task_id = requester.post(task, OFFER_ALL)
    return play_out(world, task_id), sum(mortal.deaths for mortal in mortals)


@pytest.fixture(scope="module", params=["honest", "one ulp"])
def undisturbed(request, stage: Stage, task: Task, tmp_path_factory) -> tuple[Conduct, End]:
    conduct = HONEST if request.param == "honest" else LIAR
    world = World(stage, tmp_path_factory.mktemp("undisturbed"))
    end, deaths = play(world, task, conduct, NoDeath())
    assert deaths == 0
    expected = ClaimPhase.FINALISED if conduct is HONEST else ClaimPhase.FALLEN
    assert [phase for phase, _, _ in end.claims] == [expected]
    assert not world.ledger.refused()
    return conduct, end


def test_agents_killed_around_every_transaction_come_to_the_same_end(
    undisturbed, world: World, task: Task
) -> None:
    conduct, end = undisturbed
    killed_end, deaths = play(world, task, conduct, DeathAtTransactions())
    assert killed_end == end
    mined = [entry for entry in world.ledger.mined() if entry.sender != "requester"]
    assert deaths >= 2 * len(mined)  # who dies before a move may find it done by somebody else
    assert not world.ledger.refused()


@pytest.fixture(scope="module")
def line_by_line() -> DeathAtLines:
    """Shared by the scenarios: nobody dies twice at a line."""
    return DeathAtLines(LINES_OF)


def test_agents_killed_at_every_line_come_to_the_same_end(
    undisturbed, world: World, task: Task, line_by_line: DeathAtLines
) -> None:
    conduct, end = undisturbed
    before = line_by_line.lines
    killed_end, deaths = play(world, task, conduct, line_by_line)
    assert killed_end == end
    assert deaths == line_by_line.lines - before > 50
    assert not world.ledger.refused()
