"""A market with many tasks on a development node, whose blocks and time are in our hands.

Transactions of the crowd are signed by the node and sent in bulk; those of agents go the way that
they go in earnest, through an outbox. No block is mined while agents act, so that what they do in
one block's time is there at once in the next, and nothing depends on how fast this machine is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eth_account import Account
from web3.providers import HTTPProvider

from protocol.agents.journal import Journal
from protocol.agents.requester import Offer, terms_of
from protocol.agents.sender import QueuedSender
from protocol.agents.watch.reader import Reader
from protocol.chain.deployment import Deployment, deploy_all
from protocol.chain.endpoints import Endpoints
from protocol.chain.node import DEV_CHAIN_ID, DEV_MNEMONIC, Node, request, start_node
from protocol.chain.outbox import Outbox
from protocol.chain.presets import MINIMAL
from protocol.chain.rpc import RpcChain
from protocol.chain.txlog import TransactionLog
from protocol.training.task import Task

TOKEN: Final = 10**18
FUNDS: Final = 10_000_000 * TOKEN
GAS: Final = 1_000_000
"""For one transaction of the crowd."""

PER_BLOCK: Final = 30
"""Transactions that fit into a block of the smaller limit of the two nodes."""

PEOPLE: Final = ("deployer", "requester", "solver", "verifier")

OFFER: Final = Offer(
    max_reward=1_000 * TOKEN,
    value_at_risk=1_000 * TOKEN,
    verifier_fee=0,
    verifiers=0,
    segments_per_verifier=0,
    bid_seconds=240,
    reveal_seconds=240,
    run_seconds=7_200,
    window_seconds=7_200,
    segment_seconds=60,
    trace_seconds=60,
)


class CountingEndpoints(Endpoints):
    """Counts messages (``requests`` has them) and the calls in them."""

    calls = 0

    def make_request(self, method: Any, params: Any) -> Any:
        """One call."""
        self.calls += 1
        return super().make_request(method, params)

    def make_batch_request(self, requests: list[tuple[Any, Any]]) -> Any:
        """Several calls in a message."""
        self.calls += len(requests)
        return super().make_batch_request(requests)


@dataclass
class Person:
    """Somebody with an account and a connection of its own."""

    name: str
    endpoints: CountingEndpoints
    deployment: Deployment
    outbox: Outbox
    journal: Journal

    @property
    def account(self) -> str:
        """The address."""
        return self.outbox.account

    def reader(self, *, keeps_ended: bool = False) -> Reader:
        """A new reader, which has seen nothing yet."""
        return Reader(self.deployment, keeps_ended=keeps_ended)

    def sender(self) -> QueuedSender:
        """What an agent sends with."""
        return QueuedSender(self.deployment, self.outbox, self.name)


class Crowd:
    """A deployed market with people.

    Args:
        node: where.
        folder: for journals.
    """

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        self._folder = folder
        Account.enable_unaudited_hdwallet_features()
        self._keys = [
            Account.from_mnemonic(DEV_MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
            for index in range(len(PEOPLE))
        ]
        chain, outbox = self._connect(0)
        chain.attach(outbox)
        deployed = deploy_all(chain, MINIMAL)
        self.addresses = deployed.addresses
        self.people = {name: self._person(name, i) for i, name in enumerate(PEOPLE)}
        self.deployment = self.people["deployer"].deployment
        # From now on only `mine` mines.
        request(node.url, "evm_setAutomine", False)
        self._fund()

    # ------------------------------------------------------------------ blocks and time

    def mine(self, seconds: int = 1) -> None:
        """One block, so many seconds after the latest."""
        now = self.deployment.chain.now()
        request(self.node.url, "evm_setNextBlockTimestamp", now + seconds)
        request(self.node.url, "evm_mine")

    # ------------------------------------------------------------------ the crowd

    def bulk(self, name: str, to: str, data: Sequence[str]) -> None:
        """Transactions of one person to one contract, mined when this returns.

        Raises:
            RuntimeError: the node refuses one, or it fails.
        """
        sender, provider = self.people[name].account, HTTPProvider(self.node.url)
        w3 = self.deployment.chain.w3
        nonce = w3.eth.get_transaction_count(w3.to_checksum_address(sender))
        sent: list[str] = []
        for at, item in enumerate(data, nonce):
            # One by one: anvil loses transactions of one account that come at the same time; and
            # not too many between two blocks: Hardhat's pool is slow when it is full.
            fields = {"from": sender, "to": to, "data": item, "gas": hex(GAS), "nonce": hex(at)}
            sent.append(_ask(provider, "eth_sendTransaction", fields))
            if len(sent) % PER_BLOCK == 0:
                self.mine()
        while w3.eth.get_transaction_count(w3.to_checksum_address(sender)) < nonce + len(data):
            self.mine()
        receipts = [_ask(provider, "eth_getTransactionReceipt", each) for each in sent]
        failed = [each["transactionHash"] for each in receipts if int(each["status"], 16) != 1]
        if failed:
            raise RuntimeError(f"{len(failed)} transactions failed, the first is {failed[0]}")

    def post(self, task: Task, count: int, offer: Offer = OFFER) -> list[bytes]:
        """Post tasks of the same terms; their ids."""
        reader = self.people["requester"].reader()
        known = set(reader.book.tasks)
        market = self.deployment.market
        terms = terms_of(task, offer).to_tuple()
        call = market.encode_abi("post", [terms, f"sha256:{task.manifest.root.hex()}"])
        self.bulk("requester", str(market.address), [call] * count)
        return [task_id for task_id in reader.book.tasks if task_id not in known]

    def post_and_cancel(self, task: Task, count: int) -> None:
        """Tasks that have ended."""
        market = self.deployment.market
        posted = self.post(task, count)
        calls = [market.encode_abi("cancel", [task_id]) for task_id in posted]
        self.bulk("requester", str(market.address), calls)

    # ------------------------------------------------------------------ people

    def _connect(self, index: int) -> tuple[RpcChain, Outbox]:
        key = self._keys[index]
        chain = RpcChain(CountingEndpoints([self.node.url]), [key])
        path = self._folder / f"{PEOPLE[index]}.sqlite"
        txlog = TransactionLog(path, DEV_CHAIN_ID, key.address)
        # One block more and it counts: nobody reorganises here, and asking costs the test time.
        return chain, Outbox(chain, key, txlog, confirmations=1)

    def _person(self, name: str, index: int) -> Person:
        chain, outbox = self._connect(index)
        chain.attach(outbox)
        deployment = Deployment.connect(chain, MINIMAL, self.addresses)
        journal = Journal(self._folder / f"{name}.sqlite", DEV_CHAIN_ID, outbox.account)
        endpoints = chain.endpoints
        assert isinstance(endpoints, CountingEndpoints)
        return Person(name, endpoints, deployment, outbox, journal)

    def _fund(self) -> None:
        token, vault = self.deployment.token, self.deployment.vault
        for name in PEOPLE[1:]:
            account = self.people[name].account
            give = token.encode_abi("transfer", [account, FUNDS])
            self.bulk("deployer", str(token.address), [give])
            self.bulk(
                name, str(token.address), [token.encode_abi("approve", [vault.address, FUNDS])]
            )
            self.bulk(name, str(vault.address), [vault.encode_abi("deposit", [FUNDS])])


@contextmanager
def open_crowd(kind: str, folder: Path) -> Iterator[Crowd]:
    """A market on a node of its own, which ends with the ``with``."""
    node = start_node(kind, folder / "node.log", port=0, block_seconds=0)
    try:
        yield Crowd(node, folder)
    finally:
        node.stop()


def _ask(provider: HTTPProvider, method: Any, *params: Any) -> Any:
    answer = provider.make_request(method, list(params))
    if "error" in answer:
        raise RuntimeError(f"{method} is refused: {answer['error']}")
    return answer["result"]
