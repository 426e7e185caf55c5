"""Third parties that attack an honest solver: a false accuser and a saboteur."""

from __future__ import annotations

from collections.abc import Generator

from protocol.agents.journal import Journal
from protocol.agents.sender import Sender
from protocol.agents.verifier import Verifier
from protocol.agents.watch.reader import DisputeRecord, Reader
from protocol.chain.reverts import Reverted
from protocol.cli.demo.lies import OneUlp, Target
from protocol.dispute.moves import PostSegment
from protocol.dispute.state import ClaimFacts, DisputeState
from protocol.merkle import root_of_leaves
from protocol.storage import Store
from protocol.training.hooks import Hooks
from protocol.training.task import Task
from protocol.training.tensors import Tensor


def false_accuser_hooks(task: Task) -> Hooks:
    """An accuser's run differs from the honest one by one ulp, and it believes itself."""
    return OneUlp(Target.of(task))


class EverythingWrong(Hooks):
    """A run whose every node output is wrong: it differs from the honest one in every leaf."""

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        """The output with a bit of its first element changed."""
        del step, node
        changed = output.copy()
        changed.reshape(-1).view("u1")[0] ^= 1
        return changed


class Saboteur(Verifier):
    """Opens a dispute on every segment at once, and posts garbage in the solver's place."""

    def __init__(self, reader: Reader, sender: Sender, journal: Journal, store: Store) -> None:
        super().__init__(reader, sender, journal, store, checks_all=True, hooks=EverythingWrong())
        self._posted: set[bytes] = set()

    def search(
        self, claim_id: bytes, facts: ClaimFacts, drawn: object
    ) -> Generator[None, None, list[int]]:
        """All of them."""
        del claim_id, drawn
        yield
        return list(range(1, facts.segments + 1))

    def tick(self) -> bool:
        """Play on; before the solver can answer, try to post a garbage root in its place."""
        acted = super().tick()
        for record in list(self._reader.book.disputes.values()):
            self._post_garbage(record)
        return acted

    def _post_garbage(self, record: DisputeRecord) -> None:
        position = self._reader.position(record.dispute_id)
        due = position.state is DisputeState.NEED_SEGMENT
        if not due or record.dispute_id in self._posted or record.opener != self.account:
            return
        self._posted.add(record.dispute_id)
        garbage = root_of_leaves([b"garbage"])
        move = PostSegment(position.hash(), garbage, garbage, garbage, (), (), (), b"\x01" * 65)
        try:
            self._sender.play(move, record.dispute_id)
        except Reverted:
            return  # refused, as the ledger shows
        raise AssertionError("a stranger's root was accepted in the solver's name")
