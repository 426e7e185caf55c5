"""A deployments file is read strictly, and believed only after comparing all with the chain."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocol.chain.deployfile import (
    MAX_BYTES,
    DeployFile,
    DeployFileError,
    WrongContract,
    describe,
)
from protocol.chain.deployment import deploy_all
from protocol.chain.devnet import connect, dev_account
from protocol.chain.presets import LOCAL, MINIMAL
from protocol.chain.rpc import RpcChain, WrongChain
from tests.faults.nodes import running_node


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[tuple[RpcChain, DeployFile]]:
    with running_node("anvil", tmp_path_factory.mktemp("node")) as node:
        chain = connect(node.url, [dev_account(0)])
        yield chain, describe(deploy_all(chain, MINIMAL), chain, first_block=1)


def is_told_in_four_parts(error: pytest.ExceptionInfo) -> bool:
    return all(getattr(error.value, part) for part in ("what", "why", "todo", "read"))


def test_file_comes_back_as_it_was_saved_and_connects(made, tmp_path: Path) -> None:
    chain, file = made
    path = tmp_path / "new" / "deployment.json"
    file.save(path)
    loaded = DeployFile.load(path)
    assert loaded == file
    assert loaded.own_token
    assert loaded.connect(chain).addresses == file.addresses
    assert [found.name for found in path.parent.iterdir()] == ["deployment.json"]


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(name)


def put(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update(values)


def address(role: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["addresses"].update({role: value})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (put(format=2), "its format is not 1"),
        (drop("format"), "its format is not 1"),
        (drop("chain_id"), "chain_id"),
        (put(more=1), "more"),
        (put(preset="main"), "no preset 'main'"),
        (put(chain_id=-1), "must be counts"),
        (put(first_block=True), "must be counts"),
        (put(first_block="1"), "must be counts"),
        (put(addresses={}), r"addresses of \[\]"),
        (address("vault", "0x12"), "vault: '0x12' is not an address"),
        (address("vault", "0x" + "ab" * 20), "is not an address with checksum"),
        (address("stranger", "0x12"), "stranger"),
    ],
)
def test_file_that_says_what_cannot_be_is_refused(made, tmp_path: Path, change, why: str) -> None:
    _, file = made
    path = tmp_path / "deployment.json"
    file.save(path)
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(DeployFileError, match=why) as error:
        DeployFile.load(path)
    assert is_told_in_four_parts(error)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"text"', "\x00", " " * MAX_BYTES])
def test_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(text + " ")
    with pytest.raises(DeployFileError, match="is not a deployments file"):
        DeployFile.load(path)


def test_file_that_is_not_there_is_told_with_the_commands_that_make_one(tmp_path: Path) -> None:
    with pytest.raises(DeployFileError, match="pinpoint devnet up") as error:
        DeployFile.load(tmp_path / "none.json")
    assert is_told_in_four_parts(error)


def test_other_chain_id_genesis_code_wiring_and_constants_are_each_refused(made) -> None:
    chain, file = made
    with pytest.raises(WrongChain, match="is chain 31337, the deployments file is of chain 5"):
        replace(file, chain_id=5).connect(chain)
    with pytest.raises(WrongChain, match="began with block"):
        replace(file, genesis="0x" + "00" * 32).connect(chain)
    nobody = {**file.addresses, "judge": str(dev_account(5).address)}
    with pytest.raises(WrongContract, match=r"the judge at .* has no code"):
        replace(file, addresses=nobody).connect(chain)
    swapped = {**file.addresses, "vault": file.addresses["market"]}
    with pytest.raises(WrongContract, match=r"the vault at .* has other code"):
        replace(file, addresses=swapped).connect(chain)
    with pytest.raises(WrongContract, match=f"the preset '{LOCAL.name}' has") as error:
        replace(file, preset=LOCAL.name).connect(chain)
    assert is_told_in_four_parts(error)


def test_contracts_of_two_deployments_are_not_one(made) -> None:
    chain, file = made
    other = describe(deploy_all(chain, MINIMAL), chain, first_block=1)
    mixed = {**file.addresses, "registry": other.addresses["registry"]}
    with pytest.raises(WrongContract, match="not one deployment") as error:
        replace(file, addresses=mixed).connect(chain)
    assert other.addresses["registry"] in error.value.why
    assert file.addresses["registry"] in error.value.why
