"""The reference model of the game: all checks of all moves, the clocks and the bonds.

It judges everything else: the contracts must accept and refuse the same moves and end in the same
positions, and both sides' strategies are tested on it. ``apply`` either changes the model as the
contract would change its storage, or raises ``Refusal`` with the custom error's name and changes
nothing. The rules of each group of moves are in ``rules/``, mirroring ``contracts/dispute/``: each
first checks everything and then writes, so that a refusal needs no undoing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from eth_utils.crypto import keccak

from protocol.dispute.claims import Claims, Vault
from protocol.dispute.clock import ChessClock
from protocol.dispute.judge import Judge, ReferenceJudge
from protocol.dispute.moves import Move, PositionMove
from protocol.dispute.queue import WorkQueue
from protocol.dispute.refusal import require
from protocol.dispute.situation import Opened, Situation
from protocol.dispute.state import (
    ZERO_ADDRESS,
    ZERO_ROOT,
    ClaimFacts,
    DisputeState,
    Level,
    NodeShape,
    Position,
    Side,
    StoredRoot,
    fold_path,
    is_final,
    segment_path,
    side_of,
    trace_path,
)
from protocol.dispute.turns import REQUIRED

ONE: Final = 10**18

Recover = Callable[[bytes, bytes, bytes, bytes], str]
"""(claim, path, root, signature) -> the signer's address, ``ZERO_ADDRESS`` if there is none."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Constants of a deployment: budgets and grace in seconds, shares of the bond in 1e18ths."""

    solver_seconds: int
    opener_seconds: int
    grace_seconds: int
    cover_share: int
    unrevealed_share: int


@dataclass(frozen=True, slots=True)
class Commitment:
    """A bond locked for an opening that is not revealed yet."""

    claim_id: bytes
    bond: int
    committed_at: int


@dataclass(frozen=True, slots=True)
class Record:
    """One dispute. ``depth`` counts the roots in use: 1 segment, 2 trace, 3 fold."""

    claim_id: bytes
    opener: str
    bond: int
    clock: ChessClock
    state: DisputeState = DisputeState.NONE
    level: Level = Level.NONE
    kind: int = 0
    depth: int = 0
    turn: int = 0
    segment: int = 0
    step: int = 0
    node: int = 0
    binding: int = 0
    element: int = 0
    term: int = 0
    lo: int = 0
    size: int = 0
    subroot: bytes = ZERO_ROOT
    descriptor_hash: bytes = ZERO_ROOT
    shape: NodeShape = NodeShape(0, 0, 0, 0, 0, 0)  # noqa: RUF009 - frozen


def no_signatures(_claim: bytes, _path: bytes, _root: bytes, _signature: bytes) -> str:
    """A ``Recover`` for games in which the solver sends its own moves."""
    return ZERO_ADDRESS


class Model:
    """All disputes of a market, and what they made of its claims and of the bonds."""

    def __init__(
        self,
        parameters: Parameters,
        claims: Claims,
        judge: Judge | None = None,
        recover: Recover = no_signatures,
    ) -> None:
        self.parameters = parameters
        self.claims = claims
        self.judge: Judge = judge or ReferenceJudge()
        self.recover = recover
        self.vault = Vault()
        self.records: dict[bytes, Record] = {}
        self.roots: dict[tuple[bytes, bytes], StoredRoot] = {}
        self.queues: dict[bytes, WorkQueue] = {}
        self.drawn: dict[tuple[bytes, int], bytes] = {}
        self.commitments: dict[tuple[str, bytes], Commitment] = {}
        self.opened: dict[bytes, Opened] = {}

    # ------------------------------------------------------------------ moves

    def deposit(self, account: str, amount: int) -> None:
        """Token wei that an account brings into the vault."""
        self.vault.credits[account] += amount

    def apply(self, dispute_id: bytes, move: Move, sender: str, now: int) -> None:
        """Play a move. ``dispute_id`` is ignored by CommitOpen, Open and Reclaim.

        Raises:
            Refusal: the contract would revert; nothing has changed.
        """
        from protocol.dispute.rules import RULES

        RULES[type(move)](self, dispute_id, move, sender, now)

    # ------------------------------------------------------------------ views

    def record(self, dispute_id: bytes) -> Record:
        """A dispute. Refusal UnknownDispute."""
        require(dispute_id in self.records, "UnknownDispute", dispute_id.hex())
        return self.records[dispute_id]

    def position(self, dispute_id: bytes) -> Position:
        """The position of a dispute, as the contract's view gives it."""
        d = self.record(dispute_id)
        return Position(
            claim_id=d.claim_id,
            opener=d.opener,
            state=d.state,
            level=d.level,
            kind=d.kind,
            turn=d.turn,
            segment=d.segment,
            step=d.step,
            node=d.node,
            binding=d.binding,
            element=d.element,
            term=d.term,
            lo=d.lo,
            size=d.size,
            subroot=d.subroot,
            descriptor_hash=d.descriptor_hash,
            segment_root=self.segment_root(d).root if d.depth > 0 else ZERO_ROOT,
            trace_root=self.trace_root(d).root if d.depth > 1 else ZERO_ROOT,
            fold_root=self.fold_root(d).root if d.depth > 2 else ZERO_ROOT,
        )

    def situation(self, dispute_id: bytes) -> Situation:
        """All that a side needs to choose its move."""
        d = self.record(dispute_id)
        return Situation(
            self.position(dispute_id),
            self.claims.facts_of(d.claim_id),
            self.segment_root(d),
            self.trace_root(d),
            self.fold_root(d),
            d.shape,
            self.opened.get(dispute_id, Opened()),
        )

    def clock(self, dispute_id: bytes, now: int) -> tuple[Side, int]:
        """Who is on the clock and the first second at which that side has lost.

        NONE when the dispute is over, when the claim has fallen, and before the clocks start; the
        time is then 0, 0 and the start.
        """
        d = self.record(dispute_id)
        if is_final(d.state) or self.claims.is_fallen(d.claim_id):
            return Side.NONE, 0
        if now < d.clock.turn_start:
            return Side.NONE, d.clock.turn_start
        side = side_of(d.state)
        return side, d.clock.deadline(side, self.parameters.grace_seconds)

    def root(self, claim_id: bytes, path: bytes) -> StoredRoot:
        """The root stored for a path; zeros if there is none."""
        return self.roots.get((claim_id, path), StoredRoot())

    def segment_root(self, d: Record) -> StoredRoot:
        """Stored segment root of a dispute's segment."""
        return self.root(d.claim_id, segment_path(d.segment))

    def trace_root(self, d: Record) -> StoredRoot:
        """Stored trace root of a dispute's step."""
        return self.root(d.claim_id, trace_path(d.step))

    def fold_root(self, d: Record) -> StoredRoot:
        """Stored fold root of a dispute's element."""
        return self.root(d.claim_id, fold_path(d.step, d.node, d.element))

    # ------------------------------------------------------------------ what all rules share

    def enter(
        self, dispute_id: bytes, move: PositionMove, sender: str, now: int
    ) -> tuple[Record, ClaimFacts]:
        """The checks of every move within a dispute."""
        d = self.record(dispute_id)
        required = REQUIRED[type(move)]
        require(d.state in required, "WrongState", required[0], d.state)
        side = side_of(d.state)
        require(side is Side.SOLVER or sender == d.opener, "NotOpener", d.opener, sender)
        require(now >= d.clock.turn_start, "NotStarted", d.clock.turn_start, now)
        deadline = d.clock.deadline(side, self.parameters.grace_seconds)
        require(now < deadline, "DeadlinePassed", deadline, now)
        actual = self.position(dispute_id).hash()
        current = actual == move.expected
        require(current, "StalePosition", actual.hex(), move.expected.hex())
        require(self.claims.is_disputable(d.claim_id), "ClaimNotDisputable", d.claim_id.hex())
        # The side on the clock pays for its time, whoever moved.
        passed = d.clock.passed(side, self.parameters.grace_seconds, now)
        return replace(d, clock=passed), self.claims.facts_of(d.claim_id)

    def turn(self, dispute_id: bytes, d: Record, state: DisputeState, extra: int) -> None:
        """End the move: ``d`` with its new members enters ``state``, ``extra`` seconds free."""
        clock = replace(d.clock, extra=extra)
        self.records[dispute_id] = replace(d, state=state, clock=clock, turn=d.turn + 1)

    def wait_for(self, claim_id: bytes, path: bytes, start: int, needed: int) -> int:
        """Queue the work for a path; the free seconds of the turn that waits for it."""
        queue = self.queues.get(claim_id, WorkQueue())
        self.queues[claim_id], extra = queue.wait_for(path, start, needed)
        return extra

    def can_still_win(self, dispute_id: bytes, now: int) -> bool:
        """Whether a dispute is live and its opener has not run out of time."""
        d = self.records.get(dispute_id)
        if d is None or side_of(d.state) is Side.NONE:
            return False
        if side_of(d.state) is Side.SOLVER:
            return True
        return now < d.clock.deadline(Side.OPENER, self.parameters.grace_seconds)

    def conclude(self, dispute_id: bytes, d: Record, now: int, *, solver_won: bool) -> None:
        """A verdict: the bond goes to its winner, and a convicted claim falls."""
        pot = pot_of(d.opener, dispute_id)
        if solver_won:
            cover = d.bond * self.parameters.cover_share // ONE
            self._close(dispute_id, d, DisputeState.SOLVER_WON)
            self.vault.release(pot, self.claims.facts_of(d.claim_id).solver, cover)
            self.vault.burn(pot, d.bond - cover)
            return
        drawn = self.drawn.get((d.claim_id, d.segment), ZERO_ROOT)
        first = self.can_still_win(drawn, now)
        beneficiary = self.records[drawn].opener if first else d.opener
        self._close(dispute_id, d, DisputeState.CHALLENGER_WON)
        self.vault.release(pot, d.opener, d.bond)
        self.claims.convict(d.claim_id, beneficiary)

    def refund(self, dispute_id: bytes, d: Record) -> None:
        """The claim fell by another dispute: nobody lost this one (P25)."""
        self._close(dispute_id, d, DisputeState.REFUNDED)
        self.vault.release(pot_of(d.opener, dispute_id), d.opener, d.bond)

    def _close(self, dispute_id: bytes, d: Record, state: DisputeState) -> None:
        self.records[dispute_id] = replace(d, state=state, turn=d.turn + 1)
        self.claims.open_disputes[d.claim_id] -= 1


def pot_of(opener: str, commitment: bytes) -> bytes:
    """Key of the vault's pot that holds a bond."""
    return keccak(bytes(12) + bytes.fromhex(opener[2:]) + commitment)
