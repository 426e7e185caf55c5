"""What the scenarios of this folder share: an offer, a lie that is sure to matter, the ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol.agents.conduct import HONEST, Conduct
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.cli.demo.lies import OneUlp, Target
from protocol.cli.demo.world import OFFER, TOKEN, StuckError, World

OFFER_ALL = replace(OFFER, verifiers=1, segments_per_verifier=3)
"""One verifier checks all three segments: who finds what does not depend on the draw."""

# The loss after step 7 is in the checkpoint that ends segment 2.
LIE = Target(step=7, node=4, element=0)
FALSE_SEGMENT = 2

LIAR = Conduct(hooks=OneUlp(LIE))
PRICE = 600 * TOKEN


@dataclass(frozen=True)
class End:
    """What a scenario came to."""

    claims: tuple[tuple[ClaimPhase, bytes, bytes], ...]  # phase, log root, result root
    gains: dict[str, int]
    burned: int


def is_over(world: World, task_id: bytes) -> bool:
    """Whether the task has ended."""
    return world.reader.task(task_id).phase in (TaskPhase.FINALISED, TaskPhase.REFUNDED)


def play_out(world: World, task_id: bytes) -> End:
    """Play to the end; what it came to."""
    try:
        world.play(lambda: is_over(world, task_id))
    except StuckError:
        if not is_over(world, task_id):  # else a stranger ended it
            raise
    world.settle()
    reader = world.reader
    claims = []
    for claim_id in reader.book.claims:
        facts = reader.facts(claim_id)
        claims.append((reader.claim(claim_id).phase, facts.log_root, facts.result_root))
    return End(tuple(claims), world.gains(), world.burned())


__all__ = ["FALSE_SEGMENT", "HONEST", "LIAR", "LIE", "OFFER_ALL", "PRICE", "End", "play_out"]
