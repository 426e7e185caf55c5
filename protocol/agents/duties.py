"""What each role owes a task now: pure functions of what a reader shows. No I/O.

A duty is the name of a contract's function, except CHECK, whose result decides between two.
``None`` means: nothing to do until the chain changes or time passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from protocol.chain.market import ClaimPhase, ClaimView, TaskPhase, TaskView

BLOCKHASHES: Final = 256
"""Blocks whose hash a contract can still ask for."""


NO_DEADLINE: Final = 1 << 64
"""Later than every deadline: chains keep seconds in 64 bits."""


class Duty(Enum):
    """Something that a role must do for a task."""

    COMMIT_BID = "commitBid"
    REVEAL_BID = "revealBid"
    ASSIGN = "assign"
    VOID = "void"
    TRAIN = "submit"
    EXPIRE = "expire"
    REOPEN = "reopen"
    REFUND = "refund"
    DRAW = "draw"
    CHECK = "check"
    ATTEST = "attest"
    FINALISE = "finalise"
    SETTLE = "settle"
    COLLECT_FEE = "collectFee"


class Bid(Enum):
    """A sealed bid as the market holds it. NONE: none was made, or it is closed."""

    NONE = 0
    COMMITTED = 1
    REVEALED = 2


class Verdict(Enum):
    """What a verifier's re-execution said of a claim."""

    AGREED = "agreed"
    FALSE = "false"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Due:
    """Something to do now.

    Attributes:
        deadline: the first second at which it is too late; what is tightest comes first.
        key: of the task, claim or dispute that a failure holds up.
        act: does it; whether it did something.
        about: the task, claim or dispute by these names, for the log.
    """

    deadline: int
    key: bytes
    act: Callable[[], bool]
    about: Mapping[str, bytes] = field(default_factory=dict)


def task_at(task: TaskView, now: int) -> TaskView:
    """A task that nothing has happened to, as time has changed it: twin of ``Phases.ofTask``."""
    phase = task.phase
    if phase is TaskPhase.BIDDING and now >= task.bid_end:
        phase = TaskPhase.REVEALING
    if phase is TaskPhase.REVEALING and now >= task.reveal_end:
        phase = TaskPhase.DECIDABLE
    if phase is TaskPhase.RUNNING and now >= task.run_end:
        phase = TaskPhase.OVERDUE
    if phase is TaskPhase.VACANT and now >= task.reopen_end:
        phase = TaskPhase.LAPSED
    return task if phase is task.phase else replace(task, phase=phase)


def claim_at(claim: ClaimView, window_end: int, reveal_end: int, now: int) -> ClaimView:
    """A claim that nothing has happened to, as time has changed it: twin of ``Phases.ofClaim``."""
    phase = claim.phase
    if phase is ClaimPhase.WINDOW and now >= window_end:
        phase = ClaimPhase.REVEALS
    if phase is ClaimPhase.REVEALS and now >= reveal_end:
        phase = ClaimPhase.DECIDED
    return claim if phase is claim.phase else replace(claim, phase=phase)


def solver_duty(task: TaskView, me: str, bid: Bid) -> Duty | None:
    """What a solver owes a task. ``bid``: its own in this round."""
    if task.phase is TaskPhase.BIDDING and bid is Bid.NONE:
        return Duty.COMMIT_BID
    if task.phase is TaskPhase.REVEALING and bid is Bid.COMMITTED:
        return Duty.REVEAL_BID
    if task.phase is TaskPhase.DECIDABLE and bid is not Bid.NONE and task.reveals > 0:
        return Duty.ASSIGN
    if task.phase is TaskPhase.RUNNING and task.solver == me:
        return Duty.TRAIN
    return None


def is_bid_free(task: TaskView, me: str, round_: int, bid: Bid) -> bool:
    """Whether the stake behind a bid of ``round_`` waits to be taken back.

    A winner's bid is closed when its round ends; so what is left of earlier rounds has lost.
    """
    if bid is Bid.NONE:
        return False
    return round_ < task.round or (task.phase >= TaskPhase.RUNNING and task.solver != me)


def claim_duty(claim: ClaimView, block_number: int, *, drawn: bool) -> Duty | None:
    """What anyone may do for a claim, and its solver or requester will.

    ``drawn``: the draw took place or is out of reach.
    """
    if claim.phase is ClaimPhase.WINDOW and not drawn and _is_drawable(claim, block_number):
        return Duty.DRAW
    if claim.phase is ClaimPhase.DECIDED and claim.open_disputes == 0:
        return Duty.FINALISE
    if claim.phase is ClaimPhase.FALLEN and not claim.settled:
        return Duty.SETTLE
    return None


def _is_drawable(claim: ClaimView, block_number: int) -> bool:
    """Whether the hash of the target, or of its one retry, is there now and in the next block."""
    retry = claim.target_block + BLOCKHASHES + 1
    return any(
        target < block_number < target + BLOCKHASHES for target in (claim.target_block, retry)
    )


def requester_duty(task: TaskView, rounds: int = 1) -> Duty | None:
    """What a requester owes its task. ``rounds``: how many rounds of bidding it wants at most."""
    if task.phase is TaskPhase.DECIDABLE:
        return Duty.ASSIGN if task.reveals > 0 else Duty.VOID
    if task.phase is TaskPhase.OVERDUE:
        return Duty.EXPIRE
    if task.phase is TaskPhase.VACANT and task.round + 1 < rounds:
        return Duty.REOPEN
    if task.phase in (TaskPhase.VACANT, TaskPhase.LAPSED):
        return Duty.REFUND
    return None


def verifier_duty(
    claim: ClaimView,
    me: str,
    verdict: Verdict | None,
    *,
    checks: bool,
    attested: bool,
    collected: bool,
) -> Duty | None:
    """What a verifier owes a claim, disputes apart.

    Args:
        claim: as it stands.
        me: the verifier.
        verdict: of its re-execution; None before.
        checks: whether it re-runs claims that it was not drawn for.
        attested: whether it has attested.
        collected: whether its fee was paid.
    """
    drawn = me in claim.verifiers
    if claim.phase is ClaimPhase.WINDOW and (drawn or checks):
        if verdict is None:
            return Duty.CHECK
        if verdict is Verdict.AGREED and drawn and not attested:
            return Duty.ATTEST
    if claim.phase is ClaimPhase.FINALISED and attested and not collected:
        return Duty.COLLECT_FEE
    return None
