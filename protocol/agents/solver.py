"""The solver: bids, trains, reports, submits, serves its leaves, defends its claim.

``tick`` does the first thing that is due and returns; it can be called again at any time, also
after the process was killed: what it must remember is in the journal and in the run's folder, all
else is read from the chain. Nothing that a stranger posts makes it raise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from protocol.agents.appraisal import Rate, require_enough_time
from protocol.agents.attempts import Attempts
from protocol.agents.bids import Bids
from protocol.agents.bundle import TaskRefused, TaskUnreachable, fetch_task
from protocol.agents.conduct import HONEST, Conduct
from protocol.agents.duties import Duty, claim_duty, solver_duty
from protocol.agents.journal import Journal, SecondRootError
from protocol.agents.reader import Reader
from protocol.agents.sender import Sender
from protocol.agents.served import Publisher
from protocol.chain.market import TaskView, Terms
from protocol.chain.reverts import Reverted
from protocol.dispute import defender
from protocol.dispute.execution import Withheld
from protocol.dispute.moves import PositionMove, PostFold, PostSegment, PostTrace, Timeout
from protocol.dispute.proofs import Prover
from protocol.dispute.state import Position, Side, fold_path, segment_path, trace_path
from protocol.kernels.executor import Executor
from protocol.merkle import MerkleTree
from protocol.storage import ContentStore
from protocol.training.checkpoints import CheckpointFolder
from protocol.training.replay import Replay
from protocol.training.task import Task
from protocol.training.trainer import Progress, Trainer

log = logging.getLogger(__name__)

LOG_PATH = b"log"
REFUSED = "task refused"
RETRY_SECONDS = 30
RACES = {"StalePosition", "WrongState", "ClaimNotDisputable", "DeadlinePassed"}
"""Refusals of a right move: somebody was first, or time was."""


@dataclass
class Run:
    """A task that this solver trains or has trained."""

    task: Task
    folder: Path
    prover: Prover
    publisher: Publisher
    checkpoints: CheckpointFolder


class Solver:
    """Trains tasks for one account.

    Args:
        reader: what is on the chain.
        sender: the account.
        journal: its memory, of this chain.
        store: where tasks are fetched from and leaves served.
        folder: for checkpoints and its own copies of tasks.
        price: token wei that it asks for a task; None: it does not bid.
        conduct: how it behaves; honest by default.
        progress: called after each training step.
        executor: computes the nodes.
        rate: what this machine does in a second; tasks that allow it too little time are refused.
        stop: asked after each training step; True: the state is saved and ``tick`` returns.
    """

    def __init__(
        self,
        reader: Reader,
        sender: Sender,
        journal: Journal,
        store: ContentStore,
        folder: Path,
        price: Callable[[Terms], int | None],
        conduct: Conduct = HONEST,
        progress: Callable[[Progress], None] | None = None,
        executor: Executor | None = None,
        rate: Rate | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._journal = journal
        self._store = store
        self._folder = folder
        self._price = price
        self._conduct = conduct
        self._progress = progress
        self._executor = executor or Executor()
        self._rate = rate or Rate()
        self._stop = stop
        self._bids = Bids(reader, sender, journal)
        self._attempts = Attempts(reader.now)
        self._runs: dict[bytes, Run] = {}

    @property
    def account(self) -> str:
        """Address of this solver."""
        return self._sender.account

    def tick(self) -> bool:
        """Do the first thing that is due; whether there was one."""
        book = self._reader.book
        ended = book.finalised | book.settled
        for claim_id in [c for c in book.claims if book.solvers[c] == self.account]:
            if claim_id not in ended and self._mind(claim_id):
                return True
        # A task that has ended may still hold a stake, if this solver bid on it.
        tasks = [t for t in book.tasks if t not in book.closed or self._bids.has_any(t)]
        return any(
            self._attempts.make(task_id, partial(self._work, task_id, book.tasks[task_id][0]))
            for task_id in tasks
        )

    def run_of(self, task_id: bytes) -> Run:
        """The run of a task, with its checkpoints. TaskRefused if the task is not to be had."""
        if task_id not in self._runs:
            terms, _ = self._reader.book.tasks[task_id]
            folder = self._folder / task_id.hex()
            task = fetch_task(self._store, terms, folder / "task")
            checkpoints = CheckpointFolder(task, folder)
            execution = self._conduct.commit(
                Replay(task, checkpoints, self._executor, self._conduct.hooks)
            )
            publisher = Publisher(self._store, execution)
            self._runs[task_id] = Run(task, folder, Prover(execution), publisher, checkpoints)
        return self._runs[task_id]

    # ------------------------------------------------------------------ tasks

    def _work(self, task_id: bytes, terms: Terms) -> bool:
        view = self._reader.task(task_id)
        match solver_duty(view, self.account, self._bids.state(task_id, view.round)):
            case Duty.COMMIT_BID if self._bid(task_id, terms, view):
                return True
            case Duty.REVEAL_BID:
                self._bids.reveal(task_id, view)
                return True
            case Duty.ASSIGN:
                self._sender.market("assign", task_id)
                return True
            case Duty.TRAIN:
                self._train(task_id, view)
                return True
        return self._bids.reclaim(task_id, view)

    def _bid(self, task_id: bytes, terms: Terms, view: TaskView) -> bool:
        """Bid, if this solver wants to and can; whether it did. Raises TaskUnreachable."""
        price = self._price(terms)
        # A price above the maximum would be refused after the deposit is locked.
        if price is None or not 0 <= price <= terms.max_reward:
            return False
        if self._journal.recall(REFUSED, task_id) is not None:
            return False
        try:
            self._appraise(task_id, terms)
        except TaskUnreachable:
            raise
        except TaskRefused as refusal:
            log.warning("task 0x%s refused: %s", task_id.hex(), refusal)
            self._journal.remember(REFUSED, task_id, str(refusal).encode())
            return False
        if self._reader.credit(self.account) < view.required_stake + view.deposit:
            return False
        self._bids.commit(task_id, view, price)
        return True

    def _appraise(self, task_id: bytes, terms: Terms) -> None:
        """TaskRefused unless this solver can do and defend the task."""
        lost = self._reader.book.fallen_claims_of(task_id, self.account)
        if lost:
            raise TaskRefused(
                f"this solver's claim 0x{lost[0].hex()} on the task fell: its files, its machine "
                "or its connection failed, and would cost another stake"
            )
        task = self.run_of(task_id).task
        require_enough_time(task.program, task.manifest.state, terms, self._rate)

    def _train(self, task_id: bytes, view: TaskView) -> None:
        """One checkpoint interval further, with a report; the submission after the last one."""
        run = self.run_of(task_id)
        done = run.checkpoints.log.size - 1
        segments = run.task.manifest.segments
        if done < segments:
            trainer = Trainer(run.task, run.folder, self._executor, self._conduct.hooks)
            until = run.task.checkpoint_step(done + 1)
            if trainer.run(until, self._progress, self._stop).stopped is not None:
                return
        if done + 1 < segments:
            self._report(task_id, run, view)
        else:
            self._submit(task_id, run, view)

    def _report(self, task_id: bytes, run: Run, view: TaskView) -> None:
        trained, old = run.checkpoints.log, view.reported_size
        if not self._conduct.reports or trained.size <= old:
            return
        proof = trained.consistency_proof(old, trained.size) if old else []
        self._sender.market("report", task_id, trained.size, trained.root, proof)

    def _submit(self, task_id: bytes, run: Run, view: TaskView) -> None:
        leaves = run.prover.execution.log_leaves()
        tree = MerkleTree(leaves)
        size = len(leaves)
        old = view.reported_size
        self._stand_for(task_id, task_id + view.round.to_bytes(4, "big"), LOG_PATH, tree.root)
        self._serve(run.publisher.publish_log)
        self._sender.market(
            "submit",
            task_id,
            tree.root,
            leaves[-1],
            tree.consistency_proof(old) if 0 < old < size else [],
            tree.inclusion_proof(0),
            tree.inclusion_proof(size - 1),
        )

    # ------------------------------------------------------------------ claims

    def _mind(self, claim_id: bytes) -> bool:
        fallen = claim_id in self._reader.book.fallen
        for record in self._reader.disputes_of(claim_id):
            answer = partial(self._defend, record.dispute_id)
            live = record.closed is None and not fallen
            if live and self._attempts.make(record.dispute_id, answer):
                return True
        return self._attempts.make(claim_id, partial(self._push, claim_id))

    def _push(self, claim_id: bytes) -> bool:
        """Draw or finalise."""
        claim = self._reader.claim(claim_id)
        block = self._reader.block_number()
        duty = claim_duty(claim, block, drawn=self._reader.is_draw_over(claim_id, claim))
        if duty is None:
            return False
        self._sender.claims(duty.value, claim_id)
        return True

    def _defend(self, dispute_id: bytes) -> bool:
        side, deadline = self._reader.clock(dispute_id)
        now = self._reader.now()
        if side is Side.OPENER and now >= deadline:
            self._sender.play(Timeout(), dispute_id)
            return True
        if side is not Side.SOLVER or now >= deadline:
            return False
        situation = self._reader.situation(dispute_id)
        if not self._conduct.answers(situation.position):
            return False
        run = self.run_of(situation.facts.task_id)
        move = defender.next_move(situation, run.prover)
        if move is None:
            return False
        self._prepare(situation.facts.task_id, run, situation.position, move)
        try:
            self._sender.play(move, dispute_id)
        except Reverted as refusal:
            if refusal.name in RACES:
                raise
            # Only a liar has no move that the contract takes; an honest one would want to know.
            log.error("dispute 0x%s: %s refused: %s", dispute_id.hex(), move.function, refusal)
            self._attempts.postpone(dispute_id, RETRY_SECONDS)
            return False
        return True

    def _prepare(self, task_id: bytes, run: Run, position: Position, move: PositionMove) -> None:
        """Write a new root into the journal before it leaves the process, and serve its leaves.

        The challenger then needs no bisection.
        """
        p, publisher = position, run.publisher
        if isinstance(move, PostSegment):
            path, root = segment_path(p.segment), move.segment_root
            publish = partial(publisher.publish_segment, p.segment)
        elif isinstance(move, PostTrace):
            path, root = trace_path(p.step), move.trace_root
            publish = partial(publisher.publish_trace, p.step)
        elif isinstance(move, PostFold):
            path, root = fold_path(p.step, p.node, p.element), move.fold_root
            publish = partial(publisher.publish_fold, p.step, p.node, p.element)
        else:
            return
        self._stand_for(task_id, p.claim_id, path, root)
        self._serve(publish)

    def _stand_for(self, task_id: bytes, claim: bytes, path: bytes, root: bytes) -> None:
        """Bind the journal to a root. SecondRootError; the next attempt computes all again."""
        try:
            self._journal.bind_root(claim, path, root)
        except SecondRootError:
            self._runs.pop(task_id).checkpoints.close()
            raise

    def _serve(self, publish: Callable[[], None]) -> None:
        """Put leaves where others find them. A store that fails must not cost the stake."""
        if not self._conduct.serves:
            return
        try:
            publish()
        except Withheld:
            return
        except Exception:
            log.warning("leaves are not served", exc_info=True)
