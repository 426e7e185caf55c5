"""The verifier: re-runs what it was drawn for, attests or challenges, and plays its disputes.

The same agent is the open challenger that nobody drew: it re-runs whole tasks. It accuses only
after a second execution, with another instruction set and thread count, agrees with its first (trap
X16).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence

from protocol.agents.bundle import TaskRefused, fetch_task, fetch_tensors
from protocol.agents.duties import Duty, claim_duty, verifier_duty
from protocol.agents.journal import Journal
from protocol.agents.reader import DisputeRecord, Reader
from protocol.agents.sender import Sender
from protocol.agents.served import StoreServed
from protocol.chain.market import ClaimPhase, ClaimView
from protocol.dispute import challenger
from protocol.dispute.moves import CommitOpen, Open, Reclaim, Refund, Timeout
from protocol.dispute.proofs import Prover
from protocol.dispute.state import ClaimFacts, Side, commitment_of
from protocol.kernels.executor import Executor, instruction_sets
from protocol.merkle import root_of_leaves
from protocol.storage import ContentMissing, ContentStore, ContentWrong
from protocol.training.checkpoints import CheckpointError
from protocol.training.hooks import Hooks
from protocol.training.replay import Replay
from protocol.training.task import Task
from protocol.training.tensors import Tensor

log = logging.getLogger(__name__)

VERDICT = "verdict"
OPENING = "opening"
AGREED = b"agreed"
UNDECIDED = b"undecided"


class UnsureError(RuntimeError):
    """This verifier cannot tell whether a claim is false."""


class Verifier:
    """Checks claims for one account.

    Args:
        reader: what is on the chain.
        sender: the account.
        journal: its memory, of this chain.
        store: where tasks and leaves are fetched from.
        checks_all: re-run every claim whole, drawn or not.
        hooks: changes what it computes; only a false accuser has any.
    """

    def __init__(
        self,
        reader: Reader,
        sender: Sender,
        journal: Journal,
        store: ContentStore,
        *,
        checks_all: bool = False,
        hooks: Hooks | None = None,
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._journal = journal
        self._store = store
        self._served = StoreServed(store)
        self._checks_all = checks_all
        self._hooks = hooks
        self._tasks: dict[bytes, Task] = {}
        self._provers: dict[tuple[bytes, int], Prover] = {}

    @property
    def account(self) -> str:
        """Address of this verifier."""
        return self._sender.account

    def stake(self, amount: int) -> None:
        """Stake token wei out of the vault credit, to be drawn."""
        self._sender.registry("stake", amount)

    def tick(self) -> bool:
        """Do the first thing that is due; whether there was one."""
        for claim_id in list(self._reader.book.claims):
            if self._play(claim_id) or self._open(claim_id) or self._look_after(claim_id):
                return True
        return False

    # ------------------------------------------------------------------ checking

    def _look_after(self, claim_id: bytes) -> bool:
        claim = self._reader.claim(claim_id)
        over = self._reader.is_draw_over(claim_id, claim)
        if claim_duty(claim, self._reader.block_number(), drawn=over) is Duty.DRAW:
            self._sender.claims("draw", claim_id)
            return True
        checked = self._journal.recall(VERDICT, claim_id) is not None
        collected = self._journal.recall("fee collected", claim_id) is not None
        attested = self._journal.recall("attested", claim_id) is not None
        duty = verifier_duty(claim, self.account, checked=checked, attested=attested)
        if duty is Duty.COLLECT_FEE and not collected:
            self._sender.claims("collectFee", claim_id, self.account)
            self._journal.remember("fee collected", claim_id, b"1")
            return True
        wants = self._checks_all and claim.phase is ClaimPhase.WINDOW and over
        if (duty is Duty.CHECK or wants) and not checked:
            return self._check(claim_id, claim)
        return False

    def _check(self, claim_id: bytes, claim: ClaimView) -> bool:
        """Re-run, then attest or commit to an opening."""
        facts = self._reader.facts(claim_id)
        try:
            segments = self.find_false_segments(claim_id, facts, claim.segments_of(self.account))
        except (TaskRefused, UnsureError) as refusal:
            # Neither an attestation nor an accusation: somebody else may know better.
            log.error("claim 0x%s is left alone: %s", claim_id.hex(), refusal)
            self._journal.remember(VERDICT, claim_id, UNDECIDED)
            return False
        for segment in segments:
            self._commit_opening(claim_id, segment)
        verdict = b"".join(segment.to_bytes(8, "big") for segment in segments) or AGREED
        self._journal.remember(VERDICT, claim_id, verdict)
        if not segments and self.account in claim.verifiers:
            self._sender.claims("attest", claim_id)
            self._journal.remember("attested", claim_id, b"1")
        return True

    def find_false_segments(
        self, claim_id: bytes, facts: ClaimFacts, drawn: Sequence[int]
    ) -> list[int]:
        """Segments to open a dispute with; 0 stands for a withheld log. Empty: all agrees.

        Raises:
            TaskRefused: the task is not to be had.
            UnsureError: two executions on this machine disagree about an accusation.
        """
        segment = self._find_false_segment(claim_id, facts, drawn, Executor())
        if segment is None:
            return []
        second = Executor(threads=1, isa=instruction_sets()[-1])
        again = self._find_false_segment(claim_id, facts, drawn, second)
        if again != segment:
            raise UnsureError(
                f"the first execution finds segment {segment} false, the second "
                f"{'nothing' if again is None else f'segment {again}'}: this machine's results "
                "are not to be relied on; check its memory and processor"
            )
        return [segment]

    def _find_false_segment(
        self, claim_id: bytes, facts: ClaimFacts, drawn: Sequence[int], executor: Executor
    ) -> int | None:
        task = self._task(facts)
        logged = self._served.leaves(facts.log_root, facts.segments + 1)
        if logged is None or self._checks_all or not drawn:
            return self._find_in_whole_run(claim_id, facts, task, executor)
        for segment in sorted(drawn):
            try:
                start = fetch_tensors(self._store, logged[segment - 1], task.manifest.state)
            except (ContentMissing, ContentWrong):
                return self._find_in_whole_run(claim_id, facts, task, executor)
            replay = Replay(task, OneCheckpoint(task, segment - 1, start), executor, self._hooks)
            end = task.checkpoint_step(segment)
            self._provers[claim_id, segment] = Prover(replay)
            if root_of_leaves(replay.state_leaves(end)) != logged[segment]:
                return segment
        return None

    def _find_in_whole_run(
        self, claim_id: bytes, facts: ClaimFacts, task: Task, executor: Executor
    ) -> int | None:
        prover = Prover(Replay(task, None, executor, self._hooks))
        self._provers[claim_id, 0] = prover
        return challenger.choose_segment(facts, prover, self._served)

    def _task(self, facts: ClaimFacts) -> Task:
        if facts.task_id not in self._tasks:
            terms, _ = self._reader.book.tasks[facts.task_id]
            self._tasks[facts.task_id] = fetch_task(self._store, terms)
        return self._tasks[facts.task_id]

    def _prover(self, claim_id: bytes, segment: int) -> Prover:
        """What this verifier knows of a segment: its re-run of it, or of the whole task."""
        for key in ((claim_id, segment), (claim_id, 0)):
            if key in self._provers:
                return self._provers[key]
        # After a restart: the whole task again, in the states that a dispute asks for.
        task = self._task(self._reader.facts(claim_id))
        prover = Prover(Replay(task, None, Executor(), self._hooks))
        self._provers[claim_id, 0] = prover
        return prover

    # ------------------------------------------------------------------ disputes

    def _commit_opening(self, claim_id: bytes, segment: int) -> None:
        key = claim_id + segment.to_bytes(8, "big")
        salt = self._journal.remember(OPENING, key, secrets.token_bytes(32))
        commitment = commitment_of(claim_id, self.account, segment, salt)
        self._sender.play(CommitOpen(claim_id, commitment), commitment)

    def _open(self, claim_id: bytes) -> bool:
        """Open what was committed, a block later; take the bond back if the claim has fallen."""
        for key, salt in self._journal.entries(OPENING):
            segment = int.from_bytes(key[32:], "big")
            commitment = commitment_of(claim_id, self.account, segment, salt)
            known = commitment in self._reader.book.disputes
            if key[:32] != claim_id or known or not self._reader.is_committed(commitment):
                continue
            fallen = self._reader.claim(claim_id).phase is ClaimPhase.FALLEN
            late = self._reader.now() >= self._reader.facts(claim_id).reveal_end
            if fallen or late:
                self._sender.play(Reclaim(claim_id, self.account, commitment), commitment)
                return True
            if self._reader.may_open(self.account, commitment):
                self._sender.play(Open(claim_id, segment, salt), commitment)
                return True
        return False

    def _play(self, claim_id: bytes) -> bool:
        for record in self._reader.disputes_of(claim_id):
            own = record.opener == self.account and record.closed is None
            if own and self._advance(claim_id, record):
                return True
        return False

    def _advance(self, claim_id: bytes, record: DisputeRecord) -> bool:
        if self._reader.claim(claim_id).phase is ClaimPhase.FALLEN:
            self._sender.play(Refund(), record.dispute_id)
            return True
        side, deadline = self._reader.clock(record.dispute_id)
        now = self._reader.now()
        if side is Side.SOLVER and now >= deadline:
            self._sender.play(Timeout(), record.dispute_id)
            return True
        if side is not Side.OPENER or now >= deadline:
            return False
        situation = self._reader.situation(record.dispute_id)
        prover = self._prover(claim_id, situation.position.segment)
        move = challenger.next_move(situation, prover, self._served)
        if move is None:
            return False
        self._sender.play(move, record.dispute_id)
        return True


class OneCheckpoint:
    """A segment's start as its solver served it, checked against the log; and the initial state."""

    def __init__(self, task: Task, index: int, state: Sequence[Tensor]) -> None:
        self._task = task
        self._index = index
        self._state = state

    def roots(self) -> list[bytes]:
        """Only the initial state's root is taken for granted."""
        return [self._task.manifest.initial_state_root]

    def state(self, index: int) -> Sequence[Tensor]:
        """The served state, or the initial one. CheckpointError for another."""
        if index == self._index:
            return self._state
        if index == 0:
            return self._task.state
        raise CheckpointError(f"checkpoint {index} was not fetched")
