"""Sees an account's transactions to their end.

It lives through restarts, dropped and replaced transactions, fee spikes and reorganisations.
Order of things: simulate, write down what is meant and its signed form, send. What was signed is
never forgotten: until its nonce is used up it is sent again, for more if need be, always with the
same nonce, so that nothing happens twice. The owner calls `pump` regularly.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_typing import HexStr
from hexbytes import HexBytes
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError

from protocol.chain.errors import ChainError
from protocol.chain.fees import FeePolicy, Offer, base_fee_of
from protocol.chain.reverts import Reverted
from protocol.chain.txlog import Attempt, Intent, Mined, Status, TransactionLog

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from web3.types import BlockIdentifier, TxParams, TxReceipt

    from protocol.chain.rpc import RpcChain

log = logging.getLogger(__name__)

PLAIN_GAS: Final = 21_000
_KNOWN: Final = ("already known", "known transaction", "already imported", "already in pool")


class AlreadyPending(Exception):
    """The same call is on its way: nothing to do until the chain shows what became of it."""


class InsufficientFunds(ChainError):
    """The account cannot pay for a transaction."""


class NotMined(ChainError):
    """A transaction was not mined in the time that its sender wanted to wait."""


class NonceTaken(ChainError):
    """Another transaction, which this process did not send, took the nonce."""


@dataclass(frozen=True)
class Outcome:
    """An intent that was mined, or lost its nonce (``mined`` is None)."""

    intent: Intent
    mined: Mined | None


class Outbox:
    """Sends the transactions of one account. Not for several threads.

    Args:
        chain: where to.
        key: the account.
        txlog: its transactions, on disk.
        fees: what it pays.
        confirmations: blocks on top of a transaction's block until it counts as final.
        patience_s: how long an offer stands before it is raised.
        clock: seconds; for tests.
        sleep: likewise.
    """

    def __init__(
        self,
        chain: RpcChain,
        key: LocalAccount,
        txlog: TransactionLog,
        fees: FeePolicy | None = None,
        *,
        confirmations: int = 12,
        patience_s: float = 30.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._chain = chain
        self._w3 = chain.w3
        self._key = key
        self._txlog = txlog
        self._fees = fees or FeePolicy()
        self._confirmations = confirmations
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep
        self._sent_at: dict[int, float] = {}  # last time that an intent was sent by this process
        self._checked_head = b""

    @property
    def account(self) -> str:
        """The sender's address."""
        return str(self._key.address)

    @property
    def pending(self) -> list[Intent]:
        """What was sent and is not mined, by nonce."""
        return self._txlog.with_status(Status.SENT)

    def submit(
        self,
        to: str | None,
        data: bytes,
        *,
        value: int = 0,
        gas: int | None = None,
        label: str = "",
        urgent: bool = False,
    ) -> Intent:
        """Send a transaction without waiting for it.

        Args:
            to: the callee; None creates a contract.
            data: calldata or creation code.
            value: wei to send along.
            gas: its limit; estimated if missing, which simulates it too.
            label: what it is, for people.
            urgent: a clock runs: the higher fee cap holds.

        Raises:
            AlreadyPending: the same is on its way.
            Reverted: it would fail; nothing was sent.
            InsufficientFunds: the account cannot pay for it; nothing was sent.
        """
        target = to or ""
        same = self._find_pending(target, data, value)
        if same is not None:
            raise AlreadyPending(f"{label} is pending with nonce {same.nonce}")
        if gas is None:
            gas = self._chain.estimate_gas(self.account, to, data, value)
        offer = self._fees.first(base_fee_of(self._w3), urgent=urgent)
        self._require_funds(label, value + gas * offer.max_fee)
        # Asked before the log is locked: a slow node must not hold up others that share it.
        mined, pooled = self._count("latest"), self._count("pending")
        with self._txlog.together():
            for same in self._txlog.find(Status.SENT, target, data, value):  # since, by another
                raise AlreadyPending(f"{label} is pending with nonce {same.nonce}")
            nonce = self._free_nonce(mined, pooled)
            intent = self._txlog.intend(target, data, value, label, nonce, gas, urgent=urgent)
            attempt = self._sign(intent, offer)
        self._broadcast(intent, attempt)
        return intent

    def send_and_wait(
        self,
        to: str | None,
        data: bytes,
        *,
        value: int = 0,
        gas: int | None = None,
        label: str = "",
        timeout_s: float = 300.0,
        poll_s: float = 0.2,
    ) -> TxReceipt:
        """Send a transaction, or join one of the same content, and wait until it is mined.

        Raises:
            Reverted: it failed, in simulation or mined.
            NotMined: it waits still; it may be mined later.
            NonceTaken: another process uses the account.
            InsufficientFunds: the account cannot pay for it.
        """
        try:
            intent = self.submit(to, data, value=value, gas=gas, label=label)
        except AlreadyPending:
            same = self._find_pending(to or "", data, value)
            if same is None:  # mined this moment
                raise
            self.pump()  # a receipt in the log may be of a branch that is gone
            intent = same
        deadline = self._clock() + timeout_s
        while (found := self._txlog.receipt(intent.number)) is None:
            self.pump()
            if self._txlog.get(intent.number).status is Status.REPLACED:
                raise NonceTaken(
                    f"{label or 'a transaction'} did not happen",
                    f"nonce {intent.nonce} of {self.account} was used by a transaction that is not "
                    "in this journal",
                    "stop the other program that uses this account, or give each its own",
                )
            if self._txlog.receipt(intent.number) is None:
                if self._clock() >= deadline:
                    raise NotMined(
                        f"{label or 'a transaction'} is not mined yet",
                        f"nonce {intent.nonce} of {self.account} waits since {timeout_s:g} s",
                        "run it again to go on waiting, or raise --max-fee-gwei",
                    )
                self._sleep(poll_s)
        if not found.succeeded:
            raise self._reason(intent, found)
        return self._w3.eth.get_transaction_receipt(HexStr(f"0x{found.tx_hash.hex()}"))

    def pump(self) -> list[Outcome]:
        """See to what was sent; what was mined, or lost its nonce, since the last time."""
        recent = self._txlog.with_status(Status.MINED)
        if not recent and not self.pending:
            return []
        head = self._w3.eth.get_block("latest")
        # First what a reorganisation took back: its nonce is free again, and not for a filler.
        if bytes(head["hash"]) != self._checked_head:
            self._confirm(recent, int(head["number"]))
            self._checked_head = bytes(head["hash"])
        waiting = self.pending
        self._fill_gap(waiting)
        return self._look_for_receipts(waiting, int(head["number"]))

    # ------------------------------------------------------------------ sending

    def _find_pending(self, target: str, data: bytes, value: int) -> Intent | None:
        """The same on its way, or mined on a branch that the node does not show now.

        After a reorganisation, or at a node that lags, the chain looks as if it had never been
        sent: it will come back with the nonce that it has.
        """
        for intent in self._txlog.find(Status.SENT, target, data, value):
            return intent
        for intent in self._txlog.find(Status.MINED, target, data, value):
            if self._find_receipt(intent) is None:
                return intent
        return None

    def _free_nonce(self, mined: int, pooled: int) -> int:
        """The lowest nonce that neither the chain, nor the node's pool, nor the log has used.

        Args:
            mined: nonces that the chain has used.
            pooled: the same with the node's pool.
        """
        # With those of mined transactions: a reorganisation gives them back to their intents.
        own = self._txlog.nonces_from(mined)
        nonce = mined
        # What the pool has and the log has not is from another program: leave it its nonce.
        while nonce in own or nonce < pooled:
            nonce += 1
        return nonce

    def _count(self, block: BlockIdentifier) -> int:
        return int(self._w3.eth.get_transaction_count(self._key.address, block))

    def _require_funds(self, label: str, needed: int) -> None:
        balance = int(self._w3.eth.get_balance(self._key.address))
        if balance < needed:
            raise InsufficientFunds(
                f"{label or 'a transaction'} cannot be paid for",
                f"it may cost {needed} wei of the chain's own coin, {self.account} has {balance}",
                "send the account some, or lower --max-fee-gwei",
            )

    def _sign(self, intent: Intent, offer: Offer) -> Attempt:
        """The signed form of an intent, written down."""
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain.chain_id,
            "nonce": intent.nonce,
            "gas": intent.gas,
            "maxFeePerGas": offer.max_fee,
            "maxPriorityFeePerGas": offer.tip,
            "value": intent.value,
            "data": intent.data,
        }
        if intent.target:
            fields["to"] = intent.target
        signed = self._key.sign_transaction(fields)
        return self._txlog.attempt(
            intent, bytes(signed.hash), bytes(signed.raw_transaction), offer, self._clock()
        )

    def _broadcast(self, intent: Intent, attempt: Attempt) -> None:
        """Send a signed form. A node that does not take it is asked again later."""
        self._sent_at[intent.number] = self._clock()
        try:
            self._w3.eth.send_raw_transaction(HexBytes(attempt.raw))
        except Web3RPCError as error:
            reason = _reason_of(error)
            text = reason.lower()
            if any(known in text for known in _KNOWN) or "nonce too low" in text:
                return
            log.warning("%s (nonce %d) not taken: %s", intent.label, intent.nonce, reason)
            if "nonce too high" in text:  # the node queues nothing: when those below are mined
                self._sent_at.pop(intent.number)
        except ConnectionError as error:
            log.warning("%s (nonce %d) not sent yet: %s", intent.label, intent.nonce, error)
            self._sent_at.pop(intent.number)  # as soon as somebody answers

    def _push(self, intent: Intent) -> None:
        """Send an intent again; for more, if its offer has stood long and the cap allows it."""
        last = self._txlog.attempts(intent.number)[-1]
        if self._is_recent(last.sent_at):  # another process, or an earlier life of this one
            self._broadcast(intent, last)
            return
        base_fee = base_fee_of(self._w3)
        offer = self._fees.raised(last.offer, base_fee, urgent=intent.urgent)
        if offer is None:
            log.warning(
                "%s (nonce %d) waits at the fee cap of %d wei, the base fee is %d: raise the cap "
                "if it cannot wait",
                *(intent.label, intent.nonce, self._fees.cap_of(urgent=intent.urgent), base_fee),
            )
            self._broadcast(intent, last)
            return
        log.info("%s (nonce %d) again, for %d wei", intent.label, intent.nonce, offer.max_fee)
        self._broadcast(intent, self._sign(intent, offer))

    def _fill_gap(self, waiting: list[Intent]) -> None:
        """Use up a nonce below all waiting ones, which nobody else will: they cannot go before."""
        if not waiting:
            return
        gap = self._count("latest")
        first = waiting[0]
        if first.nonce <= gap or self._count("pending") > gap or not self._is_due(first):
            return
        log.warning(
            "nonce %d of %s is missing below %d: filling it", gap, self.account, first.nonce
        )
        offer = self._fees.first(base_fee_of(self._w3), urgent=first.urgent)
        with self._txlog.together():
            filler = self._txlog.intend(
                self.account, b"", 0, "fill a nonce gap", gap, PLAIN_GAS, urgent=first.urgent
            )
            attempt = self._sign(filler, offer)
        self._broadcast(filler, attempt)

    def _is_due(self, intent: Intent) -> bool:
        """Whether an offer has stood long enough. After a restart everything is due."""
        return not self._is_recent(self._sent_at.get(intent.number, 0.0))

    def _is_recent(self, then: float) -> bool:
        """Whether patience has not run out since; a time in the future says nothing."""
        return 0 <= self._clock() - then < self._patience_s

    # ------------------------------------------------------------------ what became of it

    def _look_for_receipts(self, waiting: list[Intent], head: int) -> list[Outcome]:
        outcomes = []
        mined_nonces = self._count("latest") if waiting else 0
        for intent in waiting:
            if intent.nonce >= mined_nonces:
                if self._is_due(intent):
                    self._push(intent)
                continue
            found = self._find_receipt(intent)
            if found is not None:
                self._txlog.mined(found)
                self._sent_at.pop(intent.number, None)
                if not found.succeeded:
                    log.warning("%s (nonce %d) failed on chain", intent.label, intent.nonce)
                outcomes.append(Outcome(intent, found))
            elif self._is_nonce_final(intent, head):
                log.error(
                    "%s did not happen: nonce %d of %s was used by a transaction that this journal "
                    "does not know; does another program use the account?",
                    *(intent.label, intent.nonce, self.account),
                )
                self._txlog.mark(intent.number, Status.REPLACED)
                outcomes.append(Outcome(intent, None))
        return outcomes

    def _is_nonce_final(self, intent: Intent, head: int) -> bool:
        """Whether the nonce was used so long ago that no lagging node can explain the silence.

        A node that is just mining counts the nonce at its head before it knows the receipt, so a
        chain that is shorter than the confirmations says nothing yet.
        """
        block = head - self._confirmations
        return block >= 0 and self._count(block) > intent.nonce

    def _confirm(self, recent: list[Intent], head: int) -> None:
        """Whether mined transactions are still on the chain; final, or sent again."""
        for intent in recent:
            known = self._txlog.receipt(intent.number)
            found = self._find_receipt(intent)
            if found is None:
                log.warning("%s (nonce %d) was taken back by a reorg", intent.label, intent.nonce)
                self._txlog.unmined(intent.number)
                self._push(self._txlog.get(intent.number))
            elif found != known:
                self._txlog.mined(found)
            elif head - found.block_number >= self._confirmations:
                self._txlog.mark(intent.number, Status.FINAL)

    def _find_receipt(self, intent: Intent) -> Mined | None:
        for attempt in reversed(self._txlog.attempts(intent.number)):
            try:
                receipt = self._w3.eth.get_transaction_receipt(HexStr(f"0x{attempt.tx_hash.hex()}"))
            except TransactionNotFound:
                continue
            return Mined(
                number=intent.number,
                tx_hash=attempt.tx_hash,
                block_number=int(receipt["blockNumber"]),
                block_hash=bytes(receipt["blockHash"]),
                succeeded=receipt["status"] == 1,
                gas_used=int(receipt["gasUsed"]),
                gas_price=int(receipt["effectiveGasPrice"]),
            )
        return None

    def _reason(self, intent: Intent, mined: Mined) -> Exception:
        """Why a mined transaction failed: the same call on the block before it."""
        fields: TxParams = {
            "from": self._key.address,
            "data": HexBytes(intent.data),
            "gas": intent.gas,
        }
        if intent.target:
            fields["to"] = self._w3.to_checksum_address(intent.target)
        try:
            self._w3.eth.call(fields, mined.block_number - 1)
        except (ContractLogicError, Web3RPCError) as error:
            return self._chain.explain(error)
        return Reverted("FailedOnChain", (intent.label, mined.tx_hash))


def _reason_of(error: Web3RPCError) -> str:
    """A node's own words."""
    told: Any = (error.rpc_response or {}).get("error")
    return str(told.get("message", told) if isinstance(told, dict) else error)
