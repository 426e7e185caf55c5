"""From flags to a deployment: the endpoint, the deployments file, and an account's outbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.cli.errors import ERRORS_PAGE, Code, UserError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from protocol.chain.deployment import Deployment
    from protocol.cli.flags import SendFlags


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
def connect_account(flags: SendFlags) -> Iterator[tuple[Deployment, LocalAccount]]:
    """Open a keystore, and yield a deployment that its account can send to.

    With the home of an agent, the record of transactions is the agent's: it may run meanwhile, and
    no nonce is given out twice. Any other home gets a record of its own.

    Raises:
        KeysError: The key cannot be used.
        UserError: Another command is sending from this home.
        DeployFileError, WrongChain, RpcUnreachable: As `connect`.
    """
    from filelock import FileLock, Timeout

    from protocol.agents.process.runtime import IDENTITY, JOURNAL, make_outbox
    from protocol.chain.deployfile import DeployFile
    from protocol.chain.endpoints import Endpoints
    from protocol.chain.keys import load_account
    from protocol.chain.rpc import RpcChain
    from protocol.chain.txlog import TransactionLog

    file = DeployFile.load(flags.deployment)
    account = load_account(flags.keystore, flags.password_file, file.chain_id)
    chain = RpcChain(Endpoints(flags.rpc), [account])
    deployment = file.connect(chain)
    home = flags.home
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "wallet.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"the folder {home} is in use",
            "another `pinpoint wallet` command is sending transactions from it",
            "wait until it has ended",
            f"{ERRORS_PAGE}#in-use",
            Code.FAILED,
        ) from None
    # A devnet that was started anew has the same chain id, and must not be sent old transactions.
    own = JOURNAL if (home / IDENTITY).exists() else f"wallet-{file.genesis[2:10]}.db"
    txlog = TransactionLog(home / own, file.chain_id, account.address)
    try:
        chain.attach(make_outbox(flags.operator(), chain, account, txlog))
        yield deployment, account
    finally:
        txlog.close()
        lock.release()
