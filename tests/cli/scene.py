"""A played market on the embedded chain, for commands that look at a chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protocol.cli.demo.world import Stage, World
from protocol.cli.live import Live
from tests.agents.scenes import LIAR, OFFER_ALL, play_out
from tests.training.regression import regression_task


@dataclass(frozen=True)
class Scene:
    """What there is to look at.

    Attributes:
        world: its people and the store with the task's files.
        live: the deployment, as commands open it.
        task_id: the one task.
        dispute_id: the dispute that convicted the liar.
    """

    world: World
    live: Live
    task_id: bytes
    dispute_id: bytes

    @property
    def task(self) -> str:
        return f"0x{self.task_id.hex()}"

    @property
    def dispute(self) -> str:
        return f"0x{self.dispute_id.hex()}"

    @property
    def store(self) -> str:
        return str(self.world.folder / "store")

    def account(self, name: str) -> str:
        return self.world.players[name].account


def play_conviction(folder: Path) -> Scene:
    """A task from posting to its refund, with a lying solver and a verifier that finds the lie."""
    world = World(Stage(), folder)
    requester = world.requester()
    world.solver("liar", conduct=LIAR)
    world.verifier("verifier")
    task_id = requester.post(regression_task(steps=11, interval=4, width=40), OFFER_ALL)
    play_out(world, task_id)
    (dispute_id,) = world.reader.book.disputes
    live = Live(world.deployment, world.reader, first_block=0, chain_id=31337)
    return Scene(world, live, task_id, dispute_id)
