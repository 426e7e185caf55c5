"""How a solver behaves where the protocol leaves it a choice. The default is honest.

A dishonest solver of the tests and of the demo is the honest one with another conduct: the agent's
code has no other seam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.dispute.execution import Execution
from protocol.dispute.state import Position
from protocol.training.hooks import Hooks


def _as_it_is(execution: Execution) -> Execution:
    return execution


def _always(_position: Position) -> bool:
    return True


@dataclass(frozen=True)
class Conduct:
    """What a solver computes, commits to, serves and answers.

    Attributes:
        hooks: changes what the training computes.
        commit: changes what is committed to, after the training.
        reports: whether it reports progress while it trains.
        serves: whether leaves are put where others find them.
        answers: whether a position is answered.
    """

    hooks: Hooks = field(default_factory=Hooks)
    commit: Callable[[Execution], Execution] = _as_it_is
    reports: bool = True
    serves: bool = True
    answers: Callable[[Position], bool] = _always


HONEST = Conduct()
