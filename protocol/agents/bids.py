"""An account's sealed bids: the secret is in the journal, everything else on the chain.

The salt and the price are written before the commitment is sent. Whether a bid was committed,
revealed or taken back is read from the chain each time: a killed agent cannot be wrong about it.
"""

from __future__ import annotations

import secrets

from protocol.agents.duties import Bid, is_bid_free
from protocol.agents.journal import Journal
from protocol.agents.sender import Sender
from protocol.agents.watch.reader import Reader
from protocol.chain.market import TaskPhase, TaskView

BID = "bid"


class Bids:
    """Commits, reveals and takes back bids of one account."""

    def __init__(self, reader: Reader, sender: Sender, journal: Journal) -> None:
        self._reader = reader
        self._sender = sender
        self._journal = journal
        self._decided: set[bytes] | None = None  # tasks, as far as they may be underway

    def state(self, task_id: bytes, round_: int) -> Bid:
        """The account's bid in a round. Without its secret it cannot be used: NONE."""
        bid = self._reader.bid(task_id, round_, self._sender.account)
        if bid is Bid.NONE or self._journal.recall(BID, _key(task_id, round_)) is None:
            return Bid.NONE
        return bid

    def tasks(self) -> dict[bytes, None]:
        """Tasks that this account has a stake in, in any round; for a set: the order is kept."""
        held = self._reader.book.bids_of.get(self._sender.account, {})
        return dict.fromkeys(task_id for task_id, _ in held)

    def underway(self, but: bytes) -> int:
        """Other tasks that this account has decided to bid on, or trains now.

        Each may ask for the machine's time. Decisions count, whether the chain shows them yet or
        not: they are in the journal before anything is sent.
        """
        if self._decided is None:
            self._decided = {key[:32] for key, _ in self._journal.entries(BID)}
        self._decided = {task_id for task_id in self._decided if self._is_underway(task_id)}
        return len(self._decided - {but})

    def _is_underway(self, task_id: bytes) -> bool:
        if task_id not in self._reader.book.open_tasks:
            return False
        view = self._reader.task(task_id)
        if view.phase is TaskPhase.RUNNING:
            return view.solver == self._sender.account
        if self._journal.recall(BID, _key(task_id, view.round)) is None:
            return False  # decided on in an earlier round
        late = view.phase in (TaskPhase.REVEALING, TaskPhase.DECIDABLE)
        committed = self._reader.bid(task_id, view.round, self._sender.account) is not Bid.NONE
        return view.phase is TaskPhase.BIDDING or (late and committed)

    def commit(self, task_id: bytes, view: TaskView, price: int) -> None:
        """Seal a bid of ``price`` token wei, or the one that was decided on before."""
        secret = secrets.token_bytes(32) + price.to_bytes(32, "big")
        secret = self._journal.remember(BID, _key(task_id, view.round), secret)
        if self._decided is not None:
            self._decided.add(task_id)
        salt, price = secret[:32], int.from_bytes(secret[32:], "big")
        account = self._sender.account
        commitment = self._reader.bid_commitment(task_id, view.round, account, price, salt)
        self._sender.market("commitBid", task_id, commitment)

    def reveal(self, task_id: bytes, view: TaskView) -> None:
        """Open this round's bid."""
        secret = self._journal.recall(BID, _key(task_id, view.round))
        assert secret is not None, "a bid whose state is not NONE has its secret in the journal"
        price = int.from_bytes(secret[32:], "big")
        self._sender.market("revealBid", task_id, price, secret[:32])

    def reclaim(self, task_id: bytes, view: TaskView) -> bool:
        """Take back one stake that did not win, of any round; whether there was one."""
        held = self._reader.book.bids_of.get(self._sender.account, {})
        for round_ in [round_ for task, round_ in held if task == task_id]:
            # As the market holds it: a stake is taken back without the bid's secret, too.
            bid = self._reader.bid(task_id, round_, self._sender.account)
            if is_bid_free(view, self._sender.account, round_, bid):
                self._sender.market("reclaim", task_id, round_, self._sender.account)
                return True
        return False


def _key(task_id: bytes, round_: int) -> bytes:
    return task_id + round_.to_bytes(4, "big")
