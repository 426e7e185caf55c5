"""From flags to a deployment: the endpoint, the deployments file, and an account's outbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.cli.errors import ERRORS_PAGE, Code, UserError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from protocol.chain.deployment import Deployment

GWEI = 10**9


@dataclass(frozen=True)
class Keyring:
    """Where an account's key is, and how its transactions are sent.

    Attributes:
        keystore: The encrypted key.
        password_file: The file with its password; without it the terminal is asked.
        home: Folder of the record of its transactions.
        max_fee_gwei: The most that a transaction offers per gas.
        confirmations: Blocks on top of a receipt before it is final.
    """

    keystore: Path
    password_file: Path | None
    home: Path
    max_fee_gwei: float
    confirmations: int


def connect(rpc: Sequence[str], deployment_file: Path) -> Deployment:
    """Return a deployment that was compared with the chain, for reading only.

    Raises:
        DeployFileError: The file cannot be used.
        WrongChain: The chain or a contract is another than the file says.
        RpcUnreachable: No endpoint answers.
    """
    from protocol.chain.deployfile import DeployFile
    from protocol.chain.endpoints import Endpoints
    from protocol.chain.rpc import RpcChain

    return DeployFile.load(deployment_file).connect(RpcChain(Endpoints(rpc)))


@contextmanager
def connect_account(
    rpc: Sequence[str], deployment_file: Path, keyring: Keyring
) -> Iterator[tuple[Deployment, LocalAccount]]:
    """Open a keystore, and yield a deployment that its account can send to.

    Raises:
        KeysError: The key cannot be used.
        UserError: Another command is sending from this home.
        DeployFileError, WrongChain, RpcUnreachable: As `connect`.
    """
    from filelock import FileLock, Timeout

    from protocol.chain.deployfile import DeployFile
    from protocol.chain.endpoints import Endpoints
    from protocol.chain.fees import FeePolicy
    from protocol.chain.keys import load_account
    from protocol.chain.outbox import Outbox
    from protocol.chain.rpc import RpcChain
    from protocol.chain.txlog import TransactionLog

    file = DeployFile.load(deployment_file)
    account = load_account(keyring.keystore, keyring.password_file, file.chain_id)
    chain = RpcChain(Endpoints(rpc), [account])
    deployment = file.connect(chain)
    keyring.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(keyring.home / "wallet.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"the folder {keyring.home} is in use",
            "another `pinpoint wallet` command is sending transactions from it",
            "wait until it has ended",
            f"{ERRORS_PAGE}#in-use",
            Code.FAILED,
        ) from None
    cap = max(1, round(keyring.max_fee_gwei * GWEI))
    # A devnet that was started anew has the same chain id, and must not be sent old transactions.
    journal = keyring.home / f"wallet-{file.genesis[2:10]}.db"
    txlog = TransactionLog(journal, file.chain_id, account.address)
    try:
        fees = FeePolicy(cap=cap, urgent_cap=cap, tip=min(FeePolicy().tip, cap))
        chain.attach(Outbox(chain, account, txlog, fees, confirmations=keyring.confirmations))
        yield deployment, account
    finally:
        txlog.close()
        lock.release()
