"""What an agent stands on as a process of its own: key, chain, journal, outbox, store, metrics.

Opened in this order, each with a clear error: the lock on the home folder, the key, the chain and
its contracts, the home's own chain, the journal. Two agents never share a home or an account.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from filelock import FileLock, Timeout

from protocol.agents.journal import Journal
from protocol.agents.sender import QueuedSender
from protocol.agents.watch.reader import Reader
from protocol.chain.deployfile import DeployFile
from protocol.chain.endpoints import Endpoints
from protocol.chain.errors import ChainError
from protocol.chain.fees import FeePolicy
from protocol.chain.heads import MAX_AGE_S, MAX_AHEAD_S, HeadGuard
from protocol.chain.keys import DEVELOPMENT_CHAIN_ID, load_account
from protocol.chain.outbox import Outbox
from protocol.chain.rpc import RpcChain
from protocol.chain.txlog import TransactionLog
from protocol.storage import LayeredStore, Limits, Store, open_store
from protocol.training.tensors import write_bytes

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from protocol.storage.server import ContentServer

log = logging.getLogger(__name__)

JOURNAL: Final = "journal.sqlite"
IDENTITY: Final = "chain.json"
LOCK: Final = "agent.lock"
STORE: Final = "store"
READ: Final = "docs/operate/errors.md#home"


class HomeError(ChainError):
    """An agent's folder is in use, or belongs to another chain or account."""


@dataclass(frozen=True)
class Operator:
    """What an operator decides about a process.

    Attributes:
        rpc: endpoints, in order of preference.
        deployment: the deployments file.
        home: the agent's folder.
        keystore: its encrypted key.
        password_file: the file with the password; None: the terminal is asked.
        store: where it puts what it serves: a folder or a URL; None: a folder in its home.
        read_stores: further stores to read from.
        serve: host and port to serve the own store at; None: it is reached some other way.
        fees: what it pays.
        confirmations: blocks on top of a transaction until it is final.
        patience_s: how long an offer for gas stands.
        max_head_age_s: how old the chain's head may be; None: the default, and any age on a devnet.
    """

    rpc: tuple[str, ...]
    deployment: Path
    home: Path
    keystore: Path
    password_file: Path | None = None
    store: str | None = None
    read_stores: tuple[str, ...] = ()
    serve: tuple[str, int] | None = None
    fees: FeePolicy = field(default_factory=FeePolicy)
    confirmations: int = 12
    patience_s: float = 30.0
    max_head_age_s: int | None = None


@contextmanager
def open_account(operator: Operator) -> Iterator[RpcChain]:
    """A chain that the operator's account can send to, before there is a deployment.

    Raises:
        KeysError, RpcUnreachable: as they say.
    """
    endpoints = Endpoints(operator.rpc)
    chain_id = RpcChain(endpoints).chain_id
    key = load_account(operator.keystore, operator.password_file, chain_id)
    chain = RpcChain(endpoints, [key])
    # A devnet that was started anew has the same chain id, and must not be sent old transactions.
    journal = operator.home / f"deploy-{chain.genesis().hex()[:8]}.db"
    txlog = TransactionLog(journal, chain_id, key.address)
    try:
        chain.attach(make_outbox(operator, chain, key, txlog))
        yield chain
    finally:
        txlog.close()


def make_outbox(
    operator: Operator, chain: RpcChain, key: LocalAccount, txlog: TransactionLog
) -> Outbox:
    """The outbox of the operator's account."""
    return Outbox(
        chain,
        key,
        txlog,
        operator.fees,
        confirmations=operator.confirmations,
        patience_s=operator.patience_s,
    )


class Runtime:
    """An opened process. Use in a ``with``.

    Args:
        operator: what was decided.
        role: what the agent is, for messages.
        exclusive: whether no other agent may use the home; a command that only sends something may
            do so beside the agent.

    Raises:
        HomeError, KeysError, DeployFileError, WrongChain, RpcUnreachable, StoreUnusable.
    """

    def __init__(self, operator: Operator, role: str, *, exclusive: bool = True) -> None:
        self.operator = operator
        self.role = role
        self._stack = ExitStack()
        try:
            self._open(exclusive=exclusive)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything; what matters is on disk."""
        self._stack.close()

    @property
    def account(self) -> str:
        """The agent's address."""
        return self.outbox.account

    def store_of(self, task_id: bytes) -> Store:
        """The store, which also reads where the task's requester and solvers announced theirs."""
        return self.store.also(lambda: self.reader.announced_stores(task_id))

    def _open(self, *, exclusive: bool) -> None:
        operator = self.operator
        operator.home.mkdir(parents=True, exist_ok=True)
        if exclusive:
            self._lock()
        file = DeployFile.load(operator.deployment)
        key = load_account(operator.keystore, operator.password_file, file.chain_id)
        self.chain = RpcChain(Endpoints(operator.rpc), [key])
        self.deployment = file.connect(self.chain)
        self._identify(file, str(key.address))
        path = operator.home / JOURNAL
        self.journal = Journal(path, file.chain_id, key.address)
        self._stack.callback(self.journal.close)
        txlog = TransactionLog(path, file.chain_id, key.address)
        self._stack.callback(txlog.close)
        self.outbox = make_outbox(operator, self.chain, key, txlog)
        self.chain.attach(self.outbox)
        self.guard = self._guard(file)
        # An agent runs for months; a command may be asked about anything.
        self.reader = Reader(self.deployment, file.first_block, keeps_ended=not exclusive)
        self.sender = QueuedSender(self.deployment, self.outbox, self.role)
        self.store = self._open_store(file)
        self.server = self._serve()

    def _lock(self) -> None:
        lock = FileLock(self.operator.home / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise HomeError(
                "the home folder is in use",
                f"another agent holds {self.operator.home / LOCK}",
                "stop it, or give this agent a --home of its own",
                READ,
            ) from error
        self._stack.callback(lock.release)

    def _identify(self, file: DeployFile, account: str) -> None:
        """Bind the home to one account of one deployment: its journal is about nothing else."""
        own = {
            "chain_id": file.chain_id,
            "genesis": file.genesis,
            "market": file.addresses["market"],
            "account": account,
        }
        path = self.operator.home / IDENTITY
        try:
            known: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            # Whole or not at all: an agent killed here must not find a damaged home.
            write_bytes(path, (json.dumps(own, indent=2) + "\n").encode())
            return
        except ValueError as error:
            raise HomeError(
                "the home folder is damaged",
                f"{path} is not JSON: {error}",
                "restore it, or start with a new --home if nothing of this one is at stake",
                READ,
            ) from error
        if known != own:
            different = sorted(key for key in own if known.get(key) != own[key])
            raise HomeError(
                "the home folder belongs to something else",
                "; ".join(f"{key} there is {known.get(key)}, here {own[key]}" for key in different),
                "give each account on each deployment a --home of its own",
                READ,
            )

    def _guard(self, file: DeployFile) -> HeadGuard:
        is_devnet = file.chain_id == DEVELOPMENT_CHAIN_ID
        age = self.operator.max_head_age_s
        if age is None:
            age = 0 if is_devnet else MAX_AGE_S
        return HeadGuard(
            self.chain.endpoints, max_age_s=age, max_ahead_s=0 if is_devnet else MAX_AHEAD_S
        )

    def _open_store(self, file: DeployFile) -> LayeredStore:
        own = self.operator.store or str(self.operator.home / STORE)
        # On a devnet everybody is on this machine.
        limits = Limits(allow_private=file.chain_id == DEVELOPMENT_CHAIN_ID)
        return open_store(own, self.operator.read_stores, limits)

    def _serve(self) -> ContentServer | None:
        if self.operator.serve is None:
            return None
        from protocol.storage.server import ContentServer

        host, port = self.operator.serve
        server = ContentServer(self.operator.store or self.operator.home / STORE, host, port)
        server.start()
        self._stack.callback(server.stop)
        log.info("serving %s at %s", server.folder, server.url)
        return server
