"""`kill -9` of real processes at named points: started again, they come to the same end.

The end is the phase, log root and result root of each claim, and what everybody has won or lost.
"""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from protocol.agents.bundle import fetch_task
from protocol.agents.process.runtime import JOURNAL
from protocol.chain.deployfile import DeployFile
from protocol.chain.deployment import CONTRACTS
from protocol.chain.devnet import dev_account
from protocol.chain.endpoints import Endpoints
from protocol.chain.market import ClaimPhase
from protocol.chain.rpc import RpcChain
from protocol.cli.demo.world import TOKEN
from protocol.storage import ContentStore
from protocol.training import Task
from tests.faults.colony import (
    PASSWORD,
    TERMS,
    Colony,
    End,
    Resident,
    honest_end,
    play_scene,
    write_light_keystore,
)
from tests.faults.mortal import NAMES
from tests.faults.nodes import running_node
from tests.faults.points import COMMANDS, DISPUTE, POINTS, SENDING, WORK, Point, points_of
from tests.training.regression import regression_task

QUICK = (
    "solver: after the intent is written",
    "solver: between receipt and status",
    "solver: checkpoint cut in half",
    "solver: between checkpoint and log entry",
    "solver: after the log's root is bound",
    "solver: before sending submit",
    "verifier: before the signed transaction is sent",
    "verifier: after its verdict is written",
)
"""One of each kind, for the default suite."""

SHARED = {"assign", "draw", "finalise", "settle"}
"""Whoever comes first does them: the other's transaction may fail."""


@pytest.fixture(scope="module")
def task() -> Task:
    """Eleven steps in three segments, eight nodes."""
    return regression_task(steps=11, interval=4, width=40)


def play(
    folder: Path, task: Task, scene: str, points: list[Point], kind: str = "anvil"
) -> tuple[End, Colony]:
    """A task whose people die at the points; everybody got on, and stands for one root."""
    folder.mkdir(exist_ok=True)
    with running_node(kind, folder) as node:
        end, colony = play_scene(
            folder, node, task, scene, lambda role: [p for p in points if p.role == role]
        )
        stands_for_what_the_chain_has(colony)
        has_died_at(colony, points)
        records = colony.reader.book.disputes.values()
        assert all("Judged" in record.judged["judged"] for record in records)  # no clock ran out
    return end, colony


def stands_for_what_the_chain_has(colony: Colony) -> None:
    """The solver's journal has one root for each path, and it is the chain's."""
    book, chain = colony.reader.book, colony.reader
    roots = rows(colony, "solver", "SELECT claim, path, root FROM root")
    assert roots
    for claim, path, root in roots:
        if path == b"log":
            (claim_id,) = (c for c, task_id in book.claims.items() if claim.startswith(task_id))
            assert chain.facts(claim_id).log_root == root
        elif chain.stored_root(claim, path).root != bytes(32):
            assert chain.stored_root(claim, path).root == root


def rows(colony: Colony, person: str, query: str) -> list[tuple]:
    database = sqlite3.connect(colony.folder / person / "home" / JOURNAL)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def has_died_at(colony: Colony, points: list[Point]) -> None:
    """Each point was really hit, and no life ended otherwise or did what must not be."""
    for person, resident in colony.residents.items():
        wanted = [point.name for point in points if point.role == person]
        assert sorted(resident.hits) == sorted(wanted)
        assert resident.deaths == len(wanted)
        told = resident.log.read_text(errors="replace")
        assert "second root" not in told
        assert "Traceback" not in told
        failed = rows(
            colony,
            person,
            "SELECT label FROM intent JOIN receipt ON intent = number WHERE succeeded = 0",
        )
        assert {label for (label,) in failed} <= SHARED
        assert not rows(colony, person, "SELECT label FROM intent WHERE status = 'replaced'")


@pytest.fixture(scope="module")
def calm(task: Task, tmp_path_factory) -> End:
    """What an honest task comes to if nobody dies."""
    return honest_end(task, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def calm_dispute(task: Task, tmp_path_factory) -> End:
    """A lie that falls in a dispute that nobody dies in."""
    end, _ = play(tmp_path_factory.mktemp("calm"), task, DISPUTE, [])
    assert [phase for phase, _, _ in end.claims] == [ClaimPhase.FALLEN]
    assert end.gains["solver"] < 0
    assert end.burned > 0
    return end


def test_points_are_many_and_have_a_name_of_their_own() -> None:
    names = [point.name for point in POINTS]
    assert len(names) == len(set(names)) >= 40
    scenes = (WORK, SENDING, DISPUTE, COMMANDS)
    listed = [p for role in roles() for scene in scenes for p in points_of(role, scene)]
    assert len(listed) == len(POINTS)
    assert set(QUICK) <= set(names)


def roles() -> set[str]:
    return {point.role for point in POINTS}


def test_agents_killed_at_one_point_of_each_kind_come_to_the_same_end(
    task: Task, tmp_path: Path, calm: End
) -> None:
    points = [point for point in POINTS if point.name in QUICK]
    end, _ = play(tmp_path, task, WORK, points)
    assert end == calm


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("scene", "kind"), [(WORK, "anvil"), (SENDING, "hardhat")])
def test_agents_killed_at_every_point_of_an_honest_task_come_to_the_same_end(
    task: Task, tmp_path: Path, calm: End, scene: str, kind: str
) -> None:
    points = [point for point in POINTS if point.scene == scene]
    end, _ = play(tmp_path, task, scene, points, kind)
    assert end == calm


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_agents_killed_at_every_point_of_a_dispute_come_to_the_same_end(
    task: Task, tmp_path: Path, calm_dispute: End
) -> None:
    points = [point for point in POINTS if point.scene == DISPUTE]
    end, _ = play(tmp_path, task, DISPUTE, points)
    assert end == calm_dispute


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_deployer_killed_at_every_point_deploys_each_contract_once(tmp_path: Path) -> None:
    with running_node("anvil", tmp_path) as node:
        deployed = tmp_path / "deployment.json"
        flags = (
            *("--preset", "minimal", "--deployment", str(deployed), "--rpc", node.url),
            *("--home", str(tmp_path / "home"), "--password-file", str(tmp_path / "password")),
            *("--keystore", str(write_light_keystore(tmp_path, "deployer", key_of(0)))),
            *("--confirmations", "1"),
        )
        write_password(tmp_path / "password")
        lives = live_until_done(tmp_path / "deployer", COMMANDS, "deployer", "deploy", *flags)
        assert lives.deaths == len(points_of("deployer", COMMANDS))
        chain = RpcChain(Endpoints([node.url]))
        deployment = DeployFile.load(deployed).connect(chain)  # code, wiring and constants
        assert chain.w3.eth.get_transaction_count(dev_account(0).address) == len(CONTRACTS)
        assert not deployed.with_name(f"{deployed.name}.begun").exists()
        assert deployment.preset.name == "minimal"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_requester_killed_at_every_point_posts_the_task_once(task: Task, tmp_path: Path) -> None:
    task.save(tmp_path / "task")
    offer = {
        name.replace("_", "-"): value if value < TOKEN else f'"{value // TOKEN}"'
        for name, value in asdict(TERMS).items()
    }
    lines = "".join(f"{name} = {value}\n" for name, value in offer.items())
    (tmp_path / "task" / "offer.toml").write_text(lines)
    (tmp_path / "colony").mkdir()
    with (
        running_node("anvil", tmp_path) as node,
        Colony(tmp_path / "colony", node, COMMANDS) as colony,
    ):
        flags = (
            *("--deployment", str(colony.deployment_file), "--rpc", node.url),
            *("--home", str(tmp_path / "home"), "--password-file", str(colony.password_file)),
            *("--keystore", str(write_light_keystore(tmp_path, "requester", key_of(1)))),
            *("--confirmations", "1"),
        )
        command = ("post", str(tmp_path / "task"), *flags)
        # Its last life finds that the one before has posted, and says so: that is no new task.
        lives = live_until_done(tmp_path / "requester", COMMANDS, "requester", *command, code=2)
        assert "the task is open already" in lives.log.read_text()
        assert lives.deaths == len(points_of("requester", COMMANDS))
        (task_id,) = colony.reader.book.tasks
        assert f"0x{task_id.hex()}" in lives.log.read_text()
        terms, _ = colony.reader.book.tasks[task_id]
        fetched = fetch_task(ContentStore(tmp_path / "home" / "store"), terms)
        assert fetched.manifest == task.manifest


def key_of(index: int) -> bytes:
    """A development account's key."""
    return bytes(dev_account(index).key)


def write_password(path: Path) -> None:
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)


def live_until_done(folder: Path, scene: str, role: str, *command: str, code: int = 0) -> Resident:
    """Run a command again and again, until it ends by itself, with the code that it must."""
    folder.mkdir()
    points = points_of(role, scene)
    (folder / NAMES).write_text("".join(f"{point.name}\n" for point in points))
    group = () if role == "deployer" else (role,)
    mortal = [sys.executable, "-m", "tests.faults.mortal", str(folder), scene]
    lives = Resident(role, folder, [*mortal, *group, *command])
    lives.start()
    while lives.process is not None and lives.process.wait(300) == -9:
        assert lives.revive()
    assert lives.process is not None
    assert lives.process.returncode == code, lives.tail()
    assert sorted(lives.hits) == sorted(point.name for point in points)
    return lives
