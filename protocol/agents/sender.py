"""Sends an agent's transactions: simulated first, then sent, then entered in a ledger."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protocol.chain.outbox import AlreadyPending, Outbox
from protocol.chain.reverts import Reverted
from protocol.chain.rpc import call_data
from protocol.dispute.moves import CommitOpen, Move, Open, Reclaim

if TYPE_CHECKING:
    from web3.contract import Contract

    from protocol.chain.deployment import Deployment

log = logging.getLogger(__name__)

__all__ = ["AlreadyPending", "Ledger", "QueuedSender", "Sender", "Transaction"]

URGENT = {"revealBid", "assign", "submit", "attest"}
"""Functions outside disputes whose deadline costs money."""

SELECTOR_BYTES = 4


@dataclass(frozen=True)
class Transaction:
    """One transaction: mined, or (``error``) refused; in simulation, unless it was ``sent``."""

    sender: str
    contract: str
    function: str
    gas: int
    dispute_id: bytes | None = None
    error: str | None = None
    sent: bool = True


@dataclass
class Ledger:
    """The transactions of a session, in order."""

    entries: list[Transaction] = field(default_factory=list)

    def mined(self, dispute_id: bytes | None = None) -> list[Transaction]:
        """Mined transactions, of one dispute if it is named."""
        return [
            entry
            for entry in self.entries
            if entry.error is None and (dispute_id is None or entry.dispute_id == dispute_id)
        ]

    def refused(self) -> list[Transaction]:
        """Transactions that the contracts refused."""
        return [entry for entry in self.entries if entry.error is not None]


class Sender:
    """Transactions of one account. Every method raises Reverted when the contract refuses."""

    def __init__(self, deployment: Deployment, account: str, name: str, ledger: Ledger) -> None:
        self._deployment = deployment
        self._chain = deployment.chain
        self.account = account
        self._name = name
        self._ledger = ledger

    def token(self, function: str, *arguments: Any) -> None:
        """A call of the token."""
        self._send("token", self._deployment.token, function, arguments)

    def vault(self, function: str, *arguments: Any) -> None:
        """A call of the vault."""
        self._send("vault", self._deployment.vault, function, arguments)

    def registry(self, function: str, *arguments: Any) -> None:
        """A call of the verifiers' registry."""
        self._send("registry", self._deployment.registry, function, arguments)

    def market(self, function: str, *arguments: Any) -> None:
        """A call of the market."""
        self._send("market", self._deployment.market, function, arguments)

    def claims(self, function: str, *arguments: Any) -> None:
        """A call of the claims contract: draw, attest, finalise, collectFee."""
        self._send("claims", self._deployment.claims, function, arguments)

    def play(self, move: Move, dispute_id: bytes) -> None:
        """A move of a dispute; opening moves name their dispute only for the ledger."""
        opening = isinstance(move, (CommitOpen, Open, Reclaim))
        arguments = move.arguments() if opening else (dispute_id, *move.arguments())
        self._send("dispute", self._deployment.dispute, move.function, arguments, dispute_id)

    def is_underway(self, function: str, subject: bytes) -> bool:
        """Whether a call of ``function`` about ``subject``, its first argument, is not mined yet.

        Never here, where each call is waited for.
        """
        del function, subject
        return False

    def deposit(self, amount: int) -> None:
        """Move ``amount`` token wei from the account into its vault credit."""
        self.token("approve", self._deployment.vault.address, amount)
        self.vault("deposit", amount)

    def withdraw_all(self) -> int:
        """Take all credit out of the vault; the amount, token wei."""
        credit: int = self._chain.call(self._deployment.vault.functions.credits(self.account))
        if credit:
            self.vault("withdraw", self.account, credit)
        return credit

    def _send(
        self,
        where: str,
        contract: Contract,
        function: str,
        arguments: tuple[Any, ...],
        dispute_id: bytes | None = None,
    ) -> None:
        call = contract.functions[function](*arguments)
        sent = False
        try:
            # A refusal costs nothing in a simulation; sent, it would cost gas and maybe the clock.
            self._chain.call(call, self.account)
            sent = True
            receipt = self._chain.send(call, self.account)
        except Reverted as refusal:
            self._ledger.entries.append(
                Transaction(self._name, where, function, 0, dispute_id, str(refusal), sent)
            )
            raise
        self._ledger.entries.append(
            Transaction(self._name, where, function, receipt["gasUsed"], dispute_id)
        )


class QueuedSender(Sender):
    """A sender that does not wait: the outbox sees each transaction to its end.

    What is on its way already is not sent again: AlreadyPending. The ledger stays empty, since the
    outbox's log on disk has everything.
    """

    def __init__(self, deployment: Deployment, outbox: Outbox, name: str) -> None:
        super().__init__(deployment, outbox.account, name, Ledger())
        self._outbox = outbox

    def is_underway(self, function: str, subject: bytes) -> bool:
        """Whether such a call is in the outbox and not mined yet."""
        return any(
            intent.label == function and intent.data[SELECTOR_BYTES:].startswith(subject)
            for intent in self._outbox.pending
        )

    def _send(
        self,
        where: str,
        contract: Contract,
        function: str,
        arguments: tuple[Any, ...],
        dispute_id: bytes | None = None,
    ) -> None:
        intent = self._outbox.submit(
            contract.address,
            call_data(contract.functions[function](*arguments)),
            label=function,
            urgent=dispute_id is not None or function in URGENT,
        )
        log.info("%s.%s sent with nonce %d", where, function, intent.nonce)
