"""The solver: bids, trains, reports, submits, serves its leaves, defends its claim.

``tick`` does all that is due, the tightest deadline first, and then long things for a while:
training, a look at a new task. It can be called again at any time, also after the process was
killed: what it must remember is in the journal and in the run's folder, all else is read from the
chain. Nothing that a stranger posts makes it raise.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from web3.exceptions import Web3Exception

from protocol.agents.appraisal import Rate, require_enough_time
from protocol.agents.attempts import Attempts
from protocol.agents.bids import Bids
from protocol.agents.bundle import Source, TaskRefused, TaskUnreachable, fetch_task, source_of
from protocol.agents.conduct import HONEST, Conduct
from protocol.agents.duties import NO_DEADLINE, Due, Duty, claim_duty, solver_duty
from protocol.agents.journal import Journal, SecondRootError
from protocol.agents.moves import Moves
from protocol.agents.pace import Pace
from protocol.agents.runs import Run, new_root, submission
from protocol.agents.sender import AlreadyPending, Sender
from protocol.agents.served import Publisher
from protocol.agents.watch.reader import Reader
from protocol.chain.errors import ChainError
from protocol.chain.market import TaskView, Terms
from protocol.chain.reverts import Reverted
from protocol.dispute import defender
from protocol.dispute.execution import Withheld
from protocol.dispute.moves import PositionMove, Timeout
from protocol.dispute.proofs import Prover
from protocol.dispute.situation import Situation
from protocol.dispute.state import Side
from protocol.kernels.devices import AnyExecutor
from protocol.kernels.executor import Executor
from protocol.storage import Store
from protocol.training.checkpoints import CheckpointFolder
from protocol.training.replay import Replay
from protocol.training.trainer import Progress, Trainer

log = logging.getLogger(__name__)

LOG_PATH = b"log"
REFUSED = "task refused"
RETRY_SECONDS = 30

SLICE_SECONDS: Final = 30.0
"""Training in one tick; it ends with the state on disk, so that a shorter one would cost."""

LOOK_SECONDS: Final = 2.0
"""While it trains, the solver looks so often whether a dispute calls it."""

RACES = {"StalePosition", "WrongState", "ClaimNotDisputable", "DeadlinePassed"}
"""Refusals of a right move: somebody was first, or time was."""


class Solver:
    """Trains tasks for one account.

    Args:
        reader: what is on the chain.
        sender: the account.
        journal: its memory, of this chain.
        store: where leaves are served.
        folder: for checkpoints and its own copies of tasks.
        price: token wei that it asks for a task; None: it does not bid.
        conduct: how it behaves; honest by default.
        progress: called after each training step.
        executor: computes the nodes.
        rate: what this machine does in a second; tasks that allow it too little time are refused.
        risks_subnormals: bid also on tasks whose disputes it could not answer in time if all
            numbers became subnormal.
        source: of a task: where it is fetched from; by default the store.
        stop: asked after each training step; True: the state is saved and ``tick`` returns.
        at_once: most tasks that it bids on or trains at a time; None: any number. A machine that
            wins more than it can train pays for no-shows.
        slice_seconds: of training in one tick, if no dispute calls before; 0: one step.
    """

    def __init__(
        self,
        reader: Reader,
        sender: Sender,
        journal: Journal,
        store: Store,
        folder: Path,
        price: Callable[[Terms], int | None],
        conduct: Conduct = HONEST,
        progress: Callable[[Progress], None] | None = None,
        executor: AnyExecutor | None = None,
        rate: Rate | None = None,
        stop: Callable[[], bool] | None = None,
        slice_seconds: float = SLICE_SECONDS,
        source: Source | None = None,
        at_once: int | None = None,
        *,
        risks_subnormals: bool = False,
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._journal = journal
        self._store = store
        self._source = source_of(source or store)
        self._folder = folder
        self._price = price
        self._conduct = conduct
        self._progress = progress
        self._executor = executor or Executor()
        self._rate = rate or Rate()
        self._risks_subnormals = risks_subnormals
        self._stop = stop
        self._at_once = at_once
        self._bids = Bids(reader, sender, journal)
        self._attempts = Attempts(reader.now)
        self._slice_seconds = slice_seconds
        self._moves = Moves()
        self._runs: dict[bytes, Run] = {}
        self._appraised: set[bytes] = set()  # tasks that it can do and defend
        self._indefensible: set[bytes] = set()  # trained, and too slow to be claimed
        self._submissions: dict[bytes, tuple[TaskView, tuple[Any, ...]]] = {}
        self._looked_at: dict[bytes, int] = {}  # dispute: the deadline that it was looked at for
        self._long: list[Due] = []

    @property
    def account(self) -> str:
        """Address of this solver."""
        return self._sender.account

    def tick(self) -> bool:
        """Do all that is due, and long things for a while; whether anything was done.

        Raises:
            ConnectionError: the chain cannot be read.
        """
        with self._reader.one_block():
            self._forget_ended()
            self._long.clear()
            dues = [*self._answers_due(), *self._claims_due(), *self._tasks_due()]
            acted = self._attempts.make_all(dues, self._reader.refresh)
            return self._do_long_things() or acted

    # ------------------------------------------------------------------ what is due

    def _answers_due(self) -> Iterator[Due]:
        """Disputes about its claims that wait for it, or in which the opener missed its clock."""
        book, now = self._reader.book, self._reader.now()
        claims = book.claims_of.get(self.account, ())
        records = book.live_disputes(d for c in claims for d in book.disputes_on.get(c, ()))
        due = [r for r in records if (r.side is Side.SOLVER) == (now < r.deadline)]
        self._reader.prefetch_situations(r.dispute_id for r in due if r.side is Side.SOLVER)
        for record in due:
            act = partial(self._defend, record.dispute_id)
            about = {"claim": record.claim_id, "dispute": record.dispute_id}
            yield Due(record.deadline, record.dispute_id, act, about)

    def _claims_due(self) -> Iterator[Due]:
        book = self._reader.book
        claims = list(book.claims_of.get(self.account, ()))
        self._reader.prefetch(claims=claims)
        for claim_id in claims:
            act = partial(self._push, claim_id)
            yield Due(book.windows[claim_id][0], claim_id, act, {"claim": claim_id})

    def _tasks_due(self) -> Iterator[Due]:
        """A task that has ended may still hold a stake, if this solver bid on it."""
        book, now = self._reader.book, self._reader.now()
        tasks = list(book.open_tasks | self._bids.tasks())
        self._reader.prefetch(tasks=tasks)
        for task_id in tasks:
            terms, _ = book.tasks[task_id]
            round_ = book.rounds.get(task_id)
            deadline = NO_DEADLINE if round_ is None else round_.next_end(now)
            act = partial(self._work, task_id, terms)
            yield Due(deadline, task_id, act, {"task": task_id})

    def _do_long_things(self) -> bool:
        """Long things, the tightest deadline first, until it is time to look at the clocks."""
        until = time.monotonic() + min(LOOK_SECONDS, self._slice_seconds)
        acted = False
        for due in sorted(self._long, key=lambda due: due.deadline):
            acted |= self._attempts.carry_out(due)
            if time.monotonic() >= until:
                break
        return acted

    def _forget_ended(self) -> None:
        """Runs take memory and files; they are needed while the solver has a stake in the task."""
        book, staked = self._reader.book, self._bids.tasks()
        for task_id in [t for t in self._runs if t not in staked]:
            self._runs.pop(task_id).checkpoints.close()
            self._submissions.pop(task_id, None)
            self._indefensible.discard(task_id)
        self._appraised.intersection_update(book.open_tasks)
        claims = book.claims_of.get(self.account, ())
        disputes = {d for c in claims for d in book.disputes_on.get(c, ())}
        self._moves.keep_only(disputes)
        for dispute_id in [d for d in self._looked_at if d not in disputes]:
            del self._looked_at[dispute_id]

    def run_of(self, task_id: bytes) -> Run:
        """The run of a task, with its checkpoints. TaskRefused if the task is not to be had."""
        if task_id not in self._runs:
            terms, _ = self._reader.book.tasks[task_id]
            folder = self._folder / task_id.hex()
            task = fetch_task(self._source(task_id), terms, folder / "task")
            checkpoints = CheckpointFolder(task, folder)
            execution = self._conduct.commit(
                Replay(task, checkpoints, self._executor, self._conduct.hooks)
            )
            publisher = Publisher(self._store, execution)
            pace = Pace(
                self._journal, task_id, task, checkpoints, self._executor, self._conduct.hooks
            )
            self._runs[task_id] = Run(task, folder, Prover(execution), publisher, checkpoints, pace)
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
                act = partial(self._train, task_id, view)
                self._long.append(Due(view.run_end, task_id + b"train", act, {"task": task_id}))
                return False
        return self._bids.reclaim(task_id, view)

    def _bid(self, task_id: bytes, terms: Terms, view: TaskView) -> bool:
        """Bid, if this solver wants to and can; whether it did."""
        price = self._price(terms)
        # A price above the maximum would be refused after the deposit is locked.
        if price is None or not 0 <= price <= terms.max_reward:
            return False
        if self._journal.recall(REFUSED, task_id) is not None:
            return False
        if self._at_once is not None and self._bids.underway(task_id) >= self._at_once:
            return False
        # A claim that fell since the task was looked at says that the look was wrong.
        lost = self._reader.book.fallen_claims_of(task_id, self.account)
        if task_id not in self._appraised or lost:
            act = partial(self._appraise_and_bid, task_id, terms)
            self._long.append(Due(view.bid_end, task_id, act, {"task": task_id}))
            return False
        if self._reader.credit(self.account) < view.required_stake + view.deposit:
            return False
        self._bids.commit(task_id, view, price)
        return True

    def _appraise_and_bid(self, task_id: bytes, terms: Terms) -> bool:
        """Look at a task once, and bid on it if it is good. TaskUnreachable: later."""
        try:
            self._appraise(task_id, terms)
        except TaskUnreachable:
            raise
        except TaskRefused as refusal:
            log.warning("task 0x%s refused: %s", task_id.hex(), refusal)
            self._journal.remember(REFUSED, task_id, str(refusal).encode())
            return True
        self._appraised.add(task_id)
        return self._bid(task_id, terms, self._reader.task(task_id))

    def _appraise(self, task_id: bytes, terms: Terms) -> None:
        """TaskRefused unless this solver can do and defend the task."""
        lost = self._reader.book.fallen_claims_of(task_id, self.account)
        if lost:
            raise TaskRefused(
                f"this solver's claim 0x{lost[0].hex()} on the task fell: its files, its machine "
                "or its connection failed, and would cost another stake"
            )
        task = fetch_task(self._source(task_id), terms, self._folder / task_id.hex() / "task")
        require_enough_time(
            task.program,
            task.manifest.state,
            terms,
            self._rate,
            risks_subnormals=self._risks_subnormals,
        )

    def _train(self, task_id: bytes, view: TaskView) -> bool:
        """On towards the next checkpoint, with a report; the submission after the last one."""
        run = self.run_of(task_id)
        done = run.checkpoints.log.size - 1
        segments = run.task.manifest.segments
        if done < segments:
            trainer = Trainer(run.task, run.folder, self._executor, self._conduct.hooks)
            until = run.task.checkpoint_step(done + 1)
            stopped = trainer.run(until, partial(self._see, run), self._pause()).stopped
            run.pace.keep()
            if stopped is not None:
                return True
        if done + 1 < segments:
            self._report(task_id, run, view)
            return True
        return self._claim(task_id, run, view)

    def _see(self, run: Run, progress: Progress) -> None:
        run.pace.saw(progress)
        if self._progress is not None:
            self._progress(progress)

    def _claim(self, task_id: bytes, run: Run, view: TaskView) -> bool:
        """Submit, unless a dispute would be lost by its clocks; whether anything was done."""
        if task_id in self._indefensible:
            return False
        terms, _ = self._reader.book.tasks[task_id]
        defence = run.pace.defence(terms, self._rate, self._pause())
        if defence is None:
            return True
        if defence.unmet:
            self._indefensible.add(task_id)
            why = defence.refusal(view.required_stake, view.run_end)
            log.error("task 0x%s: %s", task_id.hex(), why)
            return True
        self._submit(task_id, run, view)
        return True

    def _pause(self) -> Callable[[], bool]:
        """Whether to leave off training, asked before each step; not before the first."""
        began = looked = time.monotonic()
        steps = 0

        def pause() -> bool:
            nonlocal looked, steps
            steps += 1
            if self._stop is not None and self._stop():
                return True
            if steps == 1:  # each tick gets on
                return False
            now = time.monotonic()
            if now - began >= self._slice_seconds:
                return True
            if now - looked < LOOK_SECONDS:
                return False
            looked = now
            return self._is_called()

        return pause

    def _is_called(self) -> bool:
        """Whether a dispute waits for this solver that it has not looked at since it turned."""
        try:
            self._reader.refresh()
        except (ConnectionError, ChainError, Web3Exception) as error:
            log.warning("training goes on without a look at the chain: %s", error)
            return False
        book = self._reader.book
        claims = book.claims_of.get(self.account, ())
        records = book.live_disputes(d for c in claims for d in book.disputes_on.get(c, ()))
        waiting = [r for r in records if r.side is Side.SOLVER]
        return any(self._looked_at.get(r.dispute_id) != r.deadline for r in waiting)

    def _report(self, task_id: bytes, run: Run, view: TaskView) -> None:
        trained, old = run.checkpoints.log, view.reported_size
        if not self._conduct.reports or trained.size <= old:
            return
        if self._sender.is_underway("report", task_id):
            return  # a second one would prove growth from where the first has ended that
        proof = trained.consistency_proof(old, trained.size) if old else []
        self._sender.market("report", task_id, trained.size, trained.root, proof)

    def _submit(self, task_id: bytes, run: Run, view: TaskView) -> None:
        if self._sender.is_underway("report", task_id):
            raise AlreadyPending("the submission proves growth from a report that is on its way")
        # A submission that is on its way is sent again as it is, without serving all again.
        before, arguments = self._submissions.get(task_id, (None, ()))
        if before != view:
            root, arguments = submission(task_id, run, view)
            self._stand_for(task_id, task_id + view.round.to_bytes(4, "big"), LOG_PATH, root)
            self._serve(run.publisher.publish_log)
            self._submissions[task_id] = view, arguments
        self._sender.market("submit", *arguments)

    # ------------------------------------------------------------------ claims

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
        self._looked_at[dispute_id] = deadline
        situation = self._reader.situation(dispute_id)
        if not self._conduct.answers(situation.position):
            return False
        move = self._moves.of(dispute_id, situation, partial(self._answer, situation))
        if move is None:
            return False
        try:
            self._sender.play(move, dispute_id)
        except Reverted as refusal:
            self._moves.forget(dispute_id)
            if refusal.name in RACES:
                raise
            # Only a liar has no move that the contract takes; an honest one would want to know.
            log.error("dispute 0x%s: %s refused: %s", dispute_id.hex(), move.function, refusal)
            self._attempts.postpone(dispute_id, RETRY_SECONDS)
            return False
        return True

    def _answer(self, situation: Situation) -> PositionMove | None:
        """The move, for whose new root the journal stands and whose leaves are served."""
        task_id = situation.facts.task_id
        run = self.run_of(task_id)
        move = defender.next_move(situation, run.prover)
        new = None if move is None else new_root(run, situation.position, move)
        if new is not None:
            # Written before it leaves the process. With the leaves served, the challenger needs no
            # bisection.
            self._stand_for(task_id, situation.position.claim_id, new.path, new.root)
            self._serve(new.publish)
        return move

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
