"""`pinpoint deploy`: goes on after an interruption, and deploys nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.chain.deployfile import DeployFile
from protocol.chain.deployment import DeploymentPlan
from protocol.chain.devnet import connect, dev_account
from protocol.chain.keys import write_keystore
from protocol.chain.node import Node, start_node
from protocol.chain.rpc import RpcChain
from protocol.cli.errors import Code
from tests.cli.conftest import Pinpoint

DEPLOYER = 9  # an account that nobody else uses


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    up = start_node("anvil", tmp_path_factory.mktemp("node") / "log", port=0, block_seconds=0)
    yield up
    up.stop()


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text("a password of a test")
    write_keystore(folder / "key.json", bytes(dev_account(DEPLOYER).key), "a password of a test")
    return folder / "key.json"


@pytest.fixture
def deploy(pinpoint: Pinpoint, node: Node, keystore: Path, tmp_path: Path):
    def call(*flags: str):
        return pinpoint(
            *("deploy", "--rpc", node.url, "--home", str(tmp_path / "home")),
            *("--keystore", str(keystore)),
            *("--password-file", str(keystore.with_name("password"))),
            *("--deployment", "d.json", "--json", *flags),
        )

    return call


def sent(node: Node) -> int:
    """Transactions of the deployer so far."""
    chain = connect(node.url, [])
    return int(chain.w3.eth.get_transaction_count(dev_account(DEPLOYER).address))


def test_deploy_writes_a_file_that_connects(deploy, node: Node, tmp_path: Path) -> None:
    result = deploy("--preset", "local")
    assert result.code == 0, result.stderr
    assert result.json["present"] == sorted(result.json["addresses"])
    file = DeployFile.load(tmp_path / "d.json")
    assert file.connect(connect(node.url, [])).addresses == result.json["addresses"]
    assert not (tmp_path / "d.json.begun").exists()


def test_deploy_over_a_deployments_file_is_refused(deploy, node: Node, tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text("what cannot be had again")
    before = sent(node)
    result = deploy()
    assert result.code == Code.USAGE
    assert "exists" in result.error["why"]
    assert ((tmp_path / "d.json").read_text(), sent(node)) == ("what cannot be had again", before)


def test_dry_run_sends_and_writes_nothing(deploy, node: Node, tmp_path: Path) -> None:
    before = sent(node)
    result = deploy("--dry-run")
    assert (result.code, result.json["present"], sent(node)) == (0, [], before)
    assert not (tmp_path / "d.json").exists()
    assert deploy().json["addresses"] == result.json["addresses"]


@pytest.mark.parametrize("after", range(7))
def test_deploy_that_was_killed_goes_on_and_deploys_nothing_twice(
    after: int, deploy, node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The process is gone."""

    real, done = RpcChain.deploy, []

    def mortal(self, *arguments, **options):
        if len(done) == after:
            raise Killed
        done.append(arguments[0])
        return real(self, *arguments, **options)

    before = sent(node)
    monkeypatch.setattr(RpcChain, "deploy", mortal)
    with pytest.raises(Killed):
        deploy("--preset", "local")
    assert not (tmp_path / "d.json").exists()
    monkeypatch.setattr(RpcChain, "deploy", real)
    result = deploy("--preset", "local")
    assert result.code == 0, result.stderr
    assert sent(node) - before == 7
    DeployFile.load(tmp_path / "d.json").connect(connect(node.url, []))


def test_interrupted_deployment_with_other_flags_is_refused_with_both(
    deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The process is gone."""

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(DeploymentPlan, "carry_out", die)
        with pytest.raises(Killed):
            deploy("--preset", "local")
    result = deploy("--preset", "devnet")
    assert result.code == Code.USAGE
    assert "preset was local, now devnet" in result.error["why"]
    assert deploy("--preset", "local").code == 0


def test_transaction_in_between_is_told_and_leaves_no_file(
    deploy, node: Node, tmp_path: Path
) -> None:
    begun = tmp_path / "d.json.begun"
    chain = connect(node.url, [dev_account(DEPLOYER)])
    genesis = f"0x{chain.genesis().hex()}"
    begun.write_text(
        json.dumps(
            {
                "chain": genesis,
                "deployer": dev_account(DEPLOYER).address,
                "first_nonce": sent(node),
                "preset": "local",
                "token": None,
                "first_block": 0,
            }
        )
    )
    chain.transfer(dev_account(0).address, 1)
    before = sent(node)
    result = deploy("--preset", "local")
    assert result.code == Code.CHAIN
    assert "sent other transactions in between" in result.error["why"]
    assert not (tmp_path / "d.json").exists()
    assert sent(node) == before, "nothing is paid for what would point nowhere"


def test_preset_that_does_not_exist_is_refused(deploy) -> None:
    result = deploy("--preset", "mainnet")
    assert (result.code, "mainnet" in result.error["why"]) == (Code.USAGE, True)
