"""Gas of a whole dispute, from a task's sizes: each move at its dearest, and the judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.dispute.bounds import rounds

MOVES: Final = {
    "commitOpen": 190_000,
    "open": 397_000,
    "postSegment": 154_000,
    "pointStep": 103_000,
    "postTrace": 151_000,
    "pointNode": 137_000,
    "openTensor": 88_000,
    "openChunk": 99_000,
    "pointElement": 164_000,
    "pointBoundElement": 76_000,
    "postFold": 141_000,
    "pointTerm": 75_000,
    "openTerm": 77_000,
    "pointKind": 73_000,
    "bisect": 82_000,
    "pick": 170_000,
    "reveal": 110_000,
}
"""The dearest of each move in docs/GAS.md, rounded up."""

_SERVED: Final = (
    *("commitOpen", "open", "postSegment", "pointStep", "postTrace", "pointElement"),
    *("postFold", "pointTerm"),
)
_UNSERVED: Final = (
    *("commitOpen", "open", "postSegment", "postTrace", "pointNode", "openTensor", "openChunk"),
    *("pointBoundElement", "postFold", "openTerm", "pointKind"),
)


@dataclass(frozen=True)
class DisputeGas:
    """Gas of both sides together, from the challenge to the verdict.

    Attributes:
        served: if each side serves what the other asks for.
        longest: if neither serves anything, so that every level is bisected.
    """

    served: int
    longest: int


def dispute_gas(
    *, checkpoints: int, steps: int, nodes: int, chunks: int, terms: int, judgement: int
) -> DisputeGas:
    """What a dispute about a task costs at most.

    Args:
        checkpoints: of a claim.
        steps: of a segment.
        nodes: of the program, or its state tensors if these are more.
        chunks: of the largest node output.
        terms: of the longest fold.
        judgement: gas of the dearest one.
    """
    levels = (checkpoints, steps, nodes, chunks, terms)
    bisections = sum(
        MOVES["bisect"] + rounds(size) * (MOVES["reveal"] + MOVES["pick"]) for size in levels
    )
    return DisputeGas(
        served=sum(MOVES[move] for move in _SERVED) + judgement,
        longest=sum(MOVES[move] for move in _UNSERVED) + bisections + judgement,
    )
