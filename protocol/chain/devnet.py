"""A devnet in a folder: a node, a deployed market, and people with money and encrypted keys.

Everything that is needed again lies in the folder: ``devnet.json`` (the node's process),
``deployment.json``, and for each person a keystore under ``keys/`` with one common password file.
The keys are the well-known ones of development nodes.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from eth_account import Account
from eth_account.signers.local import LocalAccount

from protocol.chain.deployfile import DeployFile, describe
from protocol.chain.deployment import Deployment, deploy_all
from protocol.chain.endpoints import Endpoints
from protocol.chain.errors import ChainError
from protocol.chain.keys import write_keystore
from protocol.chain.node import DEV_MNEMONIC, Node, start_node
from protocol.chain.outbox import Outbox
from protocol.chain.presets import Preset
from protocol.chain.rpc import RpcChain
from protocol.chain.txlog import TransactionLog

log = logging.getLogger(__name__)

TOKEN: Final = 10**18
FUNDS: Final = 100_000 * TOKEN
STAKE: Final = 5_000 * TOKEN

PEOPLE: Final = (
    *("requester", "solver", "solver-2", "verifier", "verifier-2"),
    *("challenger", "stranger"),
)
"""Who gets a key and money, in the order of the node's accounts after the deployer's."""

STAKED: Final = ("verifier", "verifier-2")

HOMES: Final = "homes"
STATE_FILE: Final = "devnet.json"
DEPLOYMENT_FILE: Final = "deployment.json"
PASSWORD_FILE: Final = "password"  # noqa: S105 - the name of a file
READ: Final = "docs/operate/devnet.md"


class DevnetError(ChainError):
    """A devnet cannot be started, or is not there."""


@dataclass(frozen=True)
class Devnet:
    """A devnet's folder and its running node."""

    folder: Path
    node: Node

    @property
    def deployment_file(self) -> Path:
        """The deployments file."""
        return self.folder / DEPLOYMENT_FILE

    @property
    def password_file(self) -> Path:
        """The password of all keystores."""
        return self.folder / PASSWORD_FILE

    def keystore(self, person: str) -> Path:
        """The keystore of one of `PEOPLE`."""
        return self.folder / "keys" / f"{person}.json"

    def home(self, role: str) -> Path:
        """Where an agent of this devnet lives."""
        return self.folder / HOMES / role

    def stop(self) -> None:
        """Stop the node; the chain is gone with it."""
        self.node.stop()
        (self.folder / STATE_FILE).unlink(missing_ok=True)


def dev_account(index: int) -> LocalAccount:
    """An account of the development mnemonic."""
    Account.enable_unaudited_hdwallet_features()
    account: LocalAccount = Account.from_mnemonic(
        DEV_MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}"
    )
    return account


def load(folder: Path) -> Devnet | None:
    """The devnet of a folder; None if there is none, or its node is gone."""
    try:
        state: dict[str, Any] = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DevnetError(
            "the devnet's folder is damaged",
            f"{folder / STATE_FILE}: {error}",
            "stop its node by hand and remove the folder",
            READ,
        ) from error
    node = Node(**{**state, "log": Path(state["log"])})
    return Devnet(folder, node) if node.is_alive() else None


def up(folder: Path, kind: str, port: int, block_seconds: int, preset: Preset) -> Devnet:
    """Start a node, deploy, and give everybody a key and money.

    Raises:
        DevnetError: one is running already.
        NodeError: the node does not start.
    """
    running = load(folder)
    if running is not None:
        raise DevnetError(
            "a devnet is up already",
            f"{running.node.kind} at {running.node.url}, process {running.node.pid}",
            "use it, or end it with `pinpoint devnet down`",
            READ,
        )
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / HOMES, ignore_errors=True)  # what agents knew of the chain before
    node = start_node(kind, folder / "node.log", port=port, block_seconds=block_seconds)
    devnet = Devnet(folder, node)
    try:
        (folder / STATE_FILE).write_text(json.dumps({**asdict(node), "log": str(node.log)}) + "\n")
        _write_keys(devnet)
        keys = [dev_account(index) for index in range(1 + len(PEOPLE))]
        chain = connect(node.url, keys)
        deployment = deploy_all(chain, preset)
        _fund(deployment, keys[1:])
        describe(deployment, chain, first_block=0).save(devnet.deployment_file)
    except BaseException:
        devnet.stop()
        raise
    return devnet


def connect(url: str, keys: list[LocalAccount]) -> RpcChain:
    """A chain that sends from these accounts and remembers nothing: for devnets and tests."""
    chain = RpcChain(Endpoints([url]), keys)
    for key in keys:
        txlog = TransactionLog(":memory:", chain.chain_id, key.address)
        chain.attach(Outbox(chain, key, txlog, confirmations=1, patience_s=10.0))
    return chain


def connect_all(devnet: Devnet) -> Deployment:
    """The deployment with the keys of all people: for scripts and tests."""
    keys = [dev_account(index) for index in range(1 + len(PEOPLE))]
    return DeployFile.load(devnet.deployment_file).connect(connect(devnet.node.url, keys))


def _write_keys(devnet: Devnet) -> None:
    """Keystores are kept when the devnet is started anew: they hold the same keys."""
    password = devnet.password_file
    if not password.exists():
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16) + "\n", encoding="utf-8")
    for index, person in enumerate(PEOPLE, start=1):
        if not devnet.keystore(person).exists():
            text = password.read_text(encoding="utf-8").strip()
            write_keystore(devnet.keystore(person), bytes(dev_account(index).key), text)


def _fund(deployment: Deployment, keys: list[LocalAccount]) -> None:
    """Vault credit for everybody, and a stake for the verifiers that are to be drawn."""
    for person, key in zip(PEOPLE, keys, strict=True):
        deployment.fund(key.address, FUNDS)
        if person in STAKED:
            stake = deployment.registry.functions.stake(STAKE)
            deployment.chain.send(stake, key.address)
