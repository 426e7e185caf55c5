"""Development nodes and outboxes for tests of transactions: time and mining in our hands.

A reorganisation is a revert to a snapshot and other blocks in place of those that are gone: the
same on both nodes. Unlike real ones it also empties the pool, which is the harder case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from protocol.chain.devnet import dev_account
from protocol.chain.endpoints import Endpoints
from protocol.chain.fees import GWEI, FeePolicy
from protocol.chain.node import KINDS, Node, request, start_node
from protocol.chain.outbox import Outbox
from protocol.chain.rpc import RpcChain
from protocol.chain.txlog import Attempt, Intent, TransactionLog

__all__ = ["GWEI", "KINDS", "PAYEE", "Clock", "Desk", "NodeControl", "open_desk", "running_node"]

PAYEE = "0x000000000000000000000000000000000000bEEF"


class Clock:
    """Seconds, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Time passes at once."""
        self.now += seconds


class NodeControl:
    """What development nodes can be told, whichever they are."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.url = node.url
        self.kind = node.kind
        self.mines = True

    def ask(self, method: str, *params: Any) -> Any:
        """A request. NodeError."""
        return request(self.url, method, *params)

    def automine(self, on: bool) -> None:
        """Whether each transaction is mined at once."""
        self.mines = on
        self.ask("evm_setAutomine", on)

    def settle(self, tx_hash: bytes) -> None:
        """Wait until what is mined at once is mined: anvil answers a moment before."""
        if self.kind != "anvil" or not self.mines:
            return
        empty = 0  # how often in a row: it was refused, or waits for a nonce below
        while empty < 5 and self.receipt(tx_hash) is None:
            empty = empty + 1 if self.ask("txpool_status")["pending"] == "0x0" else 0
            time.sleep(0.01)

    def mine(self, blocks: int = 1) -> None:
        """Mine what is in the pool, and so many blocks."""
        for _ in range(blocks):
            self.ask("evm_mine")

    def drop(self, tx_hash: bytes) -> None:
        """Take a transaction out of the pool."""
        self.ask(f"{self.kind}_dropTransaction", f"0x{tx_hash.hex()}")

    def empty_pool(self) -> None:
        """Take everything out of the pool; Hardhat's is emptied by a revert."""
        if self.kind == "anvil":
            self.ask("anvil_dropAllTransactions")

    def base_fee(self, wei: int) -> None:
        """Of the next block."""
        self.ask(f"{self.kind}_setNextBlockBaseFeePerGas", hex(wei))

    def head(self) -> int:
        """Number of the latest block."""
        return int(self.ask("eth_blockNumber"), 16)

    def receipt(self, tx_hash: bytes) -> Any:
        """A receipt as the node has it."""
        return self.ask("eth_getTransactionReceipt", f"0x{tx_hash.hex()}")

    def snapshot(self) -> str:
        """A mark to `revert` to, once."""
        return str(self.ask("evm_snapshot"))

    def revert(self, mark: str) -> None:
        """Take back all blocks since the mark, and what the pool had."""
        self.ask("evm_revert", mark)


@contextmanager
def running_node(kind: str, folder: Path) -> Iterator[NodeControl]:
    """A node that mines transactions at once, and nothing else."""
    node = start_node(kind, folder / f"{kind}.log", port=0, block_seconds=0)
    try:
        yield NodeControl(node)
    finally:
        node.stop()


class Desk:
    """One account's outbox, which can be opened again after a crash."""

    def __init__(self, url: str, index: int, path: Path | str, **options: Any) -> None:
        self.url = url
        self.key = dev_account(index)
        self.path = path
        self.clock = options.pop("clock", None) or Clock()
        self._settle: Callable[[bytes], None] = options.pop("settle", lambda _: None)
        self.options = {"confirmations": 3, "patience_s": 30.0, **options}
        self.open()

    def open(self, urls: tuple[str, ...] = ()) -> None:
        """A new process: everything that is not on disk is forgotten."""
        self.chain = RpcChain(Endpoints(urls or (self.url,), timeout_s=5.0), [self.key])
        self.txlog = TransactionLog(self.path, 31337, self.key.address)
        self.outbox = Outbox(
            self.chain,
            self.key,
            self.txlog,
            self.options.get("fees") or FeePolicy(cap=100 * GWEI, urgent_cap=500 * GWEI),
            confirmations=self.options["confirmations"],
            patience_s=self.options["patience_s"],
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        self.chain.attach(self.outbox)
        broadcast = self.outbox._broadcast

        def broadcast_and_settle(intent: Intent, attempt: Attempt) -> None:
            broadcast(intent, attempt)
            self._settle(attempt.tx_hash)

        self.outbox._broadcast = broadcast_and_settle  # type: ignore[method-assign]

    @property
    def account(self) -> str:
        """Its address."""
        return str(self.key.address)

    def nonce(self, block: str = "latest") -> int:
        """Transactions of the account."""
        return int(self.chain.w3.eth.get_transaction_count(self.key.address, block))

    def pay(self, wei: int, **options: Any):
        """Submit a transfer of so many wei: each amount is another content."""
        return self.outbox.submit(PAYEE, b"", value=wei, label=f"pay {wei}", **options)

    def received(self) -> int:
        """What the payee has, wei."""
        return int(self.chain.w3.eth.get_balance(self.chain.w3.to_checksum_address(PAYEE)))

    def last_hash(self, number: int) -> bytes:
        """Of the latest signed form of an intent."""
        return self.txlog.attempts(number)[-1].tx_hash


def open_desk(control: NodeControl, index: int, path: Path | str, **options: Any) -> Desk:
    """An outbox at a node."""
    return Desk(control.url, index, path, settle=control.settle, **options)
