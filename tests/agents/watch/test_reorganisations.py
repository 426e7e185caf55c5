"""The chain takes blocks back under the agents' feet: what they did is done again, not forgotten.

A journal outlives a branch: salts, prices and roots are those of the first time, so an agent that
acts again commits to the same.
"""

from __future__ import annotations

import pytest

from protocol.agents.conduct import HONEST, Conduct
from protocol.cli.demo.world import OFFER, Stage, World
from protocol.training import Task
from tests.agents.scenes import LIAR, OFFER_ALL, End, is_over, play_out

DEPTH = 4
"""Rounds of play that are undone: about as many blocks."""


def play(world: World, task: Task, conduct: Conduct, every: int | None) -> tuple[End, int]:
    """A task from beginning to end, ``DEPTH`` rounds undone ``every`` so many; and how often."""
    requester = world.requester()
    world.solver(conduct=conduct)
    world.solver("rival", price=OFFER.max_reward)
    world.verifier("verifier")
    task_id = requester.post(task, OFFER_ALL)
    snapshots: list[int] = []
    undone = rounds = 0

    def over() -> bool:
        nonlocal undone, rounds
        rounds += 1
        if every is not None and rounds % every == 0:
            world.chain.revert(snapshots[-DEPTH])
            # Another block in their place: the same height is not the same chain.
            world.chain.transfer(world.chain.accounts[9], rounds, sender=world.chain.accounts[8])
            del snapshots[-DEPTH + 1 :]
            undone += 1
        snapshots.append(world.chain.snapshot())
        return is_over(world, task_id)

    world.play(over)
    return play_out(world, task_id), undone


@pytest.mark.parametrize("conduct", [HONEST, LIAR], ids=["honest", "one ulp"])
def test_agents_on_a_chain_that_takes_blocks_back_come_to_the_same_end(
    stage: Stage, tmp_path, task: Task, conduct: Conduct, caplog
) -> None:
    end, _ = play(World(stage, tmp_path / "calm"), task, conduct, None)
    world = World(stage, tmp_path / "rough")
    rough_end, undone = play(world, task, conduct, every=7)
    assert rough_end == end
    assert undone >= 3
    assert caplog.text.count("was replaced: going back to block") >= undone
    assert "reading all events again" not in caplog.text
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
