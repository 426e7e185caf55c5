"""The solver: bids, trains, reports, submits, serves its leaves, defends its claim.

``tick`` does the first thing that is due and returns; it can be called again at any time, also
after the process was killed: what it must remember is in the journal and in the run's folder.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protocol.agents.bundle import TaskRefused, fetch_task
from protocol.agents.conduct import HONEST, Conduct
from protocol.agents.duties import Duty, claim_duty, solver_duty
from protocol.agents.journal import Journal
from protocol.agents.reader import DisputeRecord, Reader
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
BID_SALT = "bid salt"
BID_REVEALED = "bid revealed"
REFUSED = "task refused"
RETRY_SECONDS = 30


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
        folder: for checkpoints.
        price: token wei that it asks for a task; None: it does not bid.
        conduct: how it behaves; honest by default.
        progress: called after each training step.
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
        self._runs: dict[bytes, Run] = {}
        self._retry_at: dict[bytes, int] = {}

    @property
    def account(self) -> str:
        """Address of this solver."""
        return self._sender.account

    def tick(self) -> bool:
        """Do the first thing that is due; whether there was one."""
        book = self._reader.book
        for claim_id in list(book.claims):
            if self._reader.facts(claim_id).solver == self.account and self._mind(claim_id):
                return True
        return any(self._work(task_id, terms) for task_id, (terms, _) in list(book.tasks.items()))

    def run_of(self, task_id: bytes) -> Run:
        """The run of a task, with its checkpoints. TaskRefused if the task is not to be had."""
        if task_id not in self._runs:
            terms, _ = self._reader.book.tasks[task_id]
            task = fetch_task(self._store, terms)
            folder = self._folder / task_id.hex()
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
        key = task_id + view.round.to_bytes(4, "big")
        salt = self._journal.recall(BID_SALT, key)
        duty = solver_duty(
            view,
            self.account,
            committed=salt is not None,
            revealed=self._journal.recall(BID_REVEALED, key) is not None,
        )
        match duty:
            case Duty.COMMIT_BID:
                return self._commit_bid(task_id, key, terms)
            case Duty.REVEAL_BID:
                assert salt is not None, "a committed bid has its salt in the journal"
                price = self._price(terms)
                assert price is not None, "the price of a committed bid is still known"
                self._sender.market("revealBid", task_id, price, salt)
                self._journal.remember(BID_REVEALED, key, b"1")
                return True
            case Duty.ASSIGN:
                self._sender.market("assign", task_id)
                return True
            case Duty.TRAIN:
                self._train(task_id, view)
                return True
            case Duty.RECLAIM_BID:
                if self._journal.recall("bid reclaimed", key) is not None:
                    return False
                self._sender.market("reclaim", task_id, view.round, self.account)
                self._journal.remember("bid reclaimed", key, b"1")
                return True
        return False

    def _commit_bid(self, task_id: bytes, key: bytes, terms: Terms) -> bool:
        price = self._price(terms)
        if price is None or self._journal.recall(REFUSED, task_id) is not None:
            return False
        try:
            self.run_of(task_id)
        except TaskRefused as refusal:
            log.warning("task 0x%s refused: %s", task_id.hex(), refusal)
            self._journal.remember(REFUSED, task_id, str(refusal).encode())
            return False
        view = self._reader.task(task_id)
        if self._reader.credit(self.account) < view.required_stake + view.deposit:
            return False
        salt = self._journal.remember(BID_SALT, key, secrets.token_bytes(32))
        commitment = self._reader.bid_commitment(task_id, view.round, self.account, price, salt)
        self._sender.market("commitBid", task_id, commitment)
        return True

    def _train(self, task_id: bytes, view: TaskView) -> None:
        """One checkpoint interval further, with a report; the submission after the last one."""
        run = self.run_of(task_id)
        done = run.checkpoints.log.size - 1
        segments = run.task.manifest.segments
        if done < segments:
            trainer = Trainer(run.task, run.folder, self._executor, self._conduct.hooks)
            trainer.run(run.task.checkpoint_step(done + 1), self._progress)
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
        key = task_id + view.round.to_bytes(4, "big")
        self._journal.bind_root(key, LOG_PATH, tree.root)
        if self._conduct.serves:
            run.publisher.publish_log()
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
        claim = self._reader.claim(claim_id)
        for record in self._reader.disputes_of(claim_id):
            if record.closed is None and self._defend(record):
                return True
        block = self._reader.block_number()
        duty = claim_duty(claim, block, drawn=self._reader.is_draw_over(claim_id, claim))
        if duty is None:
            return False
        self._sender.claims(duty.value, claim_id)
        return True

    def _defend(self, record: DisputeRecord) -> bool:
        side, deadline = self._reader.clock(record.dispute_id)
        now = self._reader.now()
        if side is Side.OPENER and now >= deadline:
            self._sender.play(Timeout(), record.dispute_id)
            return True
        if side is not Side.SOLVER or now >= deadline:
            return False
        if now < self._retry_at.get(record.dispute_id, 0):
            return False
        situation = self._reader.situation(record.dispute_id)
        if not self._conduct.answers(situation.position):
            return False
        run = self.run_of(situation.facts.task_id)
        move = defender.next_move(situation, run.prover)
        if move is None:
            return False
        self._stand_for(situation.position, move)
        if self._conduct.serves:
            _publish(run.publisher, situation.position, move)
        try:
            self._sender.play(move, record.dispute_id)
        except Reverted as refusal:
            # Only a liar has no move that the contract takes; an honest one would want to know.
            log.error(
                "dispute 0x%s: %s refused: %s", record.dispute_id.hex(), move.function, refusal
            )
            self._retry_at[record.dispute_id] = now + RETRY_SECONDS
            return False
        return True

    def _stand_for(self, position: Position, move: PositionMove) -> None:
        """Write a new root into the journal before it leaves the process."""
        if isinstance(move, PostSegment):
            path, root = segment_path(position.segment), move.segment_root
        elif isinstance(move, PostTrace):
            path, root = trace_path(position.step), move.trace_root
        elif isinstance(move, PostFold):
            path = fold_path(position.step, position.node, position.element)
            root = move.fold_root
        else:
            return
        self._journal.bind_root(position.claim_id, path, root)


def _publish(publisher: Publisher, position: Position, move: PositionMove) -> None:
    """Serve what a posted root commits to; the challenger then needs no bisection."""
    try:
        if isinstance(move, PostSegment):
            publisher.publish_segment(position.segment)
        elif isinstance(move, PostTrace):
            publisher.publish_trace(position.step)
        elif isinstance(move, PostFold):
            publisher.publish_fold(position.step, position.node, position.element)
    except Withheld:
        return
