"""The requester: posts a task, drives its auction and refund, fetches the trained model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial

from protocol.agents.attempts import Attempts
from protocol.agents.bundle import fetch_tensors, publish_task
from protocol.agents.duties import Due, Duty, claim_duty, requester_duty
from protocol.agents.sender import Sender
from protocol.agents.watch.reader import Reader
from protocol.chain.market import ClaimPhase, TaskPhase, Terms
from protocol.storage import Store
from protocol.training.task import Task
from protocol.training.tensors import Tensor


class NotFinal(RuntimeError):
    """The task has no final result (yet)."""


@dataclass(frozen=True)
class Offer:
    """What a requester pays and how long things may take. Token wei and seconds."""

    max_reward: int
    value_at_risk: int
    verifier_fee: int
    verifiers: int
    segments_per_verifier: int
    bid_seconds: int
    reveal_seconds: int
    run_seconds: int
    window_seconds: int
    segment_seconds: int
    trace_seconds: int


class Requester:
    """Posts tasks of one account and looks after them. ``tick`` does what is due now.

    Args:
        reader: what is on the chain.
        sender: the account.
        store: where tasks are published and results fetched from.
        rounds: of bidding at most, if solvers fail; then the escrow is taken back.
    """

    def __init__(self, reader: Reader, sender: Sender, store: Store, rounds: int = 1) -> None:
        self._reader = reader
        self._sender = sender
        self._store = store
        self._rounds = rounds
        self._attempts = Attempts(reader.now)

    def post(self, task: Task, offer: Offer) -> bytes:
        """Publish and post a task; its id.

        Raises:
            TaskError, TensorError, InvalidProgram: It is not valid, and nobody would bid on it.
            Reverted: The market refuses the terms.
        """
        task.check()
        publish_task(self._store, task)
        terms = terms_of(task, offer)
        known = set(self._reader.book.tasks)
        uri = f"sha256:{task.manifest.root.hex()}"
        self._sender.market("post", terms.to_tuple(), uri)
        book = self._reader.book
        # Somebody else may have posted since.
        own = [t for t, who in book.requesters.items() if who == self._sender.account]
        return next(t for t in own if t not in known and book.tasks[t] == (terms, uri))

    def tick(self) -> bool:
        """Do all that is due for tasks of this account; whether anything was done."""
        with self._reader.one_block():
            own = list(self._reader.book.tasks_of.get(self._sender.account, ()))
            self._reader.prefetch(tasks=own)
            dues = [Due(0, t, partial(self._drive, t), {"task": t}) for t in own]
            return self._attempts.make_all(dues, self._reader.refresh)

    def _drive(self, task_id: bytes) -> bool:
        view = self._reader.task(task_id)
        if view.phase is TaskPhase.SUBMITTED:
            claim = self._reader.claim(view.claim_id)
            if claim_duty(claim, self._reader.block_number(), drawn=True) is not Duty.SETTLE:
                return False
            self._sender.claims(Duty.SETTLE.value, view.claim_id)
            return True
        duty = requester_duty(view, self._rounds)
        if duty is None:
            return False
        self._sender.market(duty.value, task_id)
        return True

    def result(self, task: Task, task_id: bytes) -> list[Tensor]:
        """The final state of a finalised task, checked against the claim's result root.

        Raises:
            NotFinal: The task is not finalised.
            ContentMissing, ContentWrong: The result is not served.
        """
        view = self._reader.task(task_id)
        if view.phase is not TaskPhase.FINALISED:
            raise NotFinal(f"task 0x{task_id.hex()} is {view.phase.name}, expected FINALISED")
        claim = self._reader.claim(view.claim_id)
        if claim.phase is not ClaimPhase.FINALISED:
            raise NotFinal(f"claim 0x{view.claim_id.hex()} is {claim.phase.name}")
        facts = self._reader.facts(view.claim_id)
        return fetch_tensors(self._store, facts.result_root, task.manifest.state)


def terms_of(task: Task, offer: Offer) -> Terms:
    """The terms of a task under an offer."""
    manifest = task.manifest
    return Terms(
        program_root=manifest.program_root,
        data_root=manifest.data_root,
        initial_state_root=manifest.initial_state_root,
        manifest_root=manifest.root,
        steps=manifest.steps,
        interval=manifest.interval,
        node_count=manifest.nodes,
        state_count=len(manifest.state),
        data_count=len(manifest.data),
        **asdict(offer),
    )
