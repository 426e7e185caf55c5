"""What an agent stands on is opened in order, and each thing that is wrong is told by its error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.agents.process.runtime import (
    IDENTITY,
    LOCK,
    HomeError,
    Operator,
    Runtime,
    open_account,
)
from protocol.chain.deployfile import DeployFileError, WrongContract
from protocol.chain.endpoints import RpcUnreachable
from protocol.chain.keys import KeysError
from protocol.chain.rpc import WrongChain
from tests.faults.colony import Colony, dev_account_of, write_light_keystore
from tests.faults.lodgers import folder_of
from tests.faults.nodes import PAYEE, running_node


@pytest.fixture(scope="module")
def colony(tmp_path_factory) -> Iterator[Colony]:
    folder = tmp_path_factory.mktemp("runtime")
    with running_node("anvil", folder) as node, Colony(folder_of(folder), node, "") as found:
        yield found


@pytest.fixture
def operator(colony: Colony, tmp_path: Path) -> Operator:
    return Operator(
        rpc=(colony.node.url,),
        deployment=colony.deployment_file,
        home=tmp_path / "home",
        keystore=keystore(colony, "solver"),
        password_file=colony.password_file,
        confirmations=1,
    )


def keystore(colony: Colony, person: str) -> Path:
    return write_light_keystore(colony.folder, person, bytes(dev_account_of(person).key))


def is_told_in_four_parts(error: pytest.ExceptionInfo) -> bool:
    return all(getattr(error.value, part) for part in ("what", "why", "todo", "read"))


def test_runtime_is_bound_to_account_chain_and_market(operator: Operator, colony: Colony) -> None:
    with Runtime(operator, "solver") as runtime:
        assert runtime.account == colony.account("solver")
        assert runtime.reader.credit(runtime.account) > 0
        assert runtime.guard.check().number >= 1
    known = json.loads((operator.home / IDENTITY).read_text())
    assert known["account"] == colony.account("solver")
    assert known["market"] == colony.deployment.market.address
    with Runtime(operator, "solver"):  # the same again
        pass


def test_second_agent_in_a_home_is_refused_and_a_command_is_not(operator: Operator) -> None:
    with Runtime(operator, "solver"):
        with pytest.raises(HomeError, match=str(operator.home / LOCK)) as error:
            Runtime(operator, "solver")
        assert is_told_in_four_parts(error)
        with Runtime(operator, "wallet", exclusive=False) as command:
            assert command.outbox.send_and_wait(PAYEE, b"", value=1)["status"] == 1
    with Runtime(operator, "solver"):  # the lock ends with its holder
        pass


def test_agent_and_command_at_once_take_no_nonce_twice(operator: Operator) -> None:
    with Runtime(operator, "solver") as agent:
        first = int(agent.chain.w3.eth.get_transaction_count(agent.chain.accounts[0]))
        with Runtime(operator, "wallet", exclusive=False) as command:
            nonces = [
                who.outbox.submit(PAYEE, b"", value=wei).nonce
                for wei in range(100, 110)
                for who in ((agent, command)[wei % 2],)
            ]
            assert nonces == list(range(first, first + 10))
            agent.outbox.pump()
            command.outbox.pump()
            assert not agent.outbox.pending


def test_home_of_another_account_is_refused_with_both_values(
    operator: Operator, colony: Colony
) -> None:
    with Runtime(operator, "solver"):
        pass
    other = replace(operator, keystore=keystore(colony, "verifier"))
    with pytest.raises(HomeError) as error:
        Runtime(other, "solver")
    assert colony.account("solver") in error.value.why
    assert colony.account("verifier") in error.value.why
    assert is_told_in_four_parts(error)


def test_home_of_another_chain_is_refused_with_both_values(
    operator: Operator, tmp_path: Path
) -> None:
    with Runtime(operator, "solver") as runtime:
        genesis = f"0x{runtime.chain.genesis().hex()}"
    (tmp_path / "other").mkdir()
    with (
        running_node("hardhat", tmp_path / "other") as node,
        Colony(folder_of(tmp_path / "other"), node, "") as colony,
    ):
        moved = replace(operator, rpc=(node.url,), deployment=colony.deployment_file)
        other = f"0x{colony.chain.genesis().hex()}"
        with pytest.raises(HomeError) as error:
            Runtime(moved, "solver")
        assert genesis in error.value.why
        assert other in error.value.why


def test_home_whose_identity_is_damaged_is_refused(operator: Operator) -> None:
    with Runtime(operator, "solver"):
        pass
    (operator.home / IDENTITY).write_text("{")
    with pytest.raises(HomeError, match="is not JSON") as error:
        Runtime(operator, "solver")
    assert is_told_in_four_parts(error)


def test_failure_to_open_lets_go_of_the_home(operator: Operator, tmp_path: Path) -> None:
    with pytest.raises(DeployFileError, match="cannot read"):
        Runtime(replace(operator, deployment=tmp_path / "none.json"), "solver")
    with pytest.raises(KeysError):
        Runtime(replace(operator, keystore=tmp_path / "none.json"), "solver")
    with pytest.raises(RpcUnreachable):
        Runtime(replace(operator, rpc=("http://127.0.0.1:9",)), "solver")
    with Runtime(operator, "solver"):
        pass


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("chain_id", 1, "is chain 31337, the deployments file is of chain 1"),
        ("genesis", "0x" + "00" * 32, "began with block"),
    ],
)
def test_deployment_of_another_chain_is_refused(
    operator: Operator, colony: Colony, tmp_path: Path, field: str, value: object, error: str
) -> None:
    data = json.loads(colony.deployment_file.read_text())
    data[field] = value
    file = tmp_path / "deployment.json"
    file.write_text(json.dumps(data))
    # The development keys are refused on any other chain before anything is asked.
    expected = KeysError if field == "chain_id" else WrongChain
    with pytest.raises(expected) as found:
        Runtime(replace(operator, deployment=file), "solver")
    if expected is WrongChain:
        assert error in str(found.value)


def test_deployment_whose_contracts_are_swapped_is_refused(
    operator: Operator, colony: Colony, tmp_path: Path
) -> None:
    data = json.loads(colony.deployment_file.read_text())
    data["addresses"]["claims"] = data["addresses"]["vault"]
    file = tmp_path / "deployment.json"
    file.write_text(json.dumps(data))
    with pytest.raises(WrongContract, match="the claims at") as error:
        Runtime(replace(operator, deployment=file), "solver")
    assert is_told_in_four_parts(error)


def test_account_can_be_opened_before_there_is_a_deployment(
    operator: Operator, tmp_path: Path
) -> None:
    fresh = replace(operator, deployment=tmp_path / "none.json", home=tmp_path / "deployer")
    with open_account(fresh) as chain:
        assert chain.outbox().send_and_wait(PAYEE, b"", value=1)["status"] == 1
