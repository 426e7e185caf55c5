"""A devnet in a folder: everybody has money and a key, and a second one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.chain import devnet
from protocol.chain.deployfile import DeployFile
from protocol.chain.devnet import FUNDS, HOMES, PEOPLE, STAKE, STAKED, STATE_FILE, DevnetError
from protocol.chain.keys import load_account
from protocol.chain.presets import LOCAL


def test_devnet_has_a_market_and_people_and_ends_without_a_trace_of_its_chain(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "devnet"
    (folder / HOMES / "solver").mkdir(parents=True)  # of a chain that is gone
    up = devnet.up(folder, "anvil", 0, 0, LOCAL)
    try:
        assert devnet.load(folder) == up
        assert not (folder / HOMES).exists()
        deployment = devnet.connect_all(up)
        assert DeployFile.load(up.deployment_file).preset == LOCAL.name
        for index, person in enumerate(PEOPLE, start=1):
            account = str(devnet.dev_account(index).address)
            staked = STAKE if person in STAKED else 0
            credits_ = deployment.vault.functions.credits(account)
            assert deployment.chain.call(credits_) == FUNDS - staked
            stake_of = deployment.registry.functions.stakeOf(account)
            assert deployment.chain.call(stake_of) == staked
        key = load_account(up.keystore("solver"), up.password_file, 31337)
        assert key.address == devnet.dev_account(1 + PEOPLE.index("solver")).address
        assert up.password_file.stat().st_mode & 0o077 == 0
        with pytest.raises(DevnetError, match=f"anvil at {up.node.url}, process {up.node.pid}"):
            devnet.up(folder, "anvil", 0, 0, LOCAL)
    finally:
        up.stop()
    assert devnet.load(folder) is None
    assert not (folder / STATE_FILE).exists()


def test_devnet_whose_node_died_is_none(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_text(
        '{"kind": "anvil", "url": "http://127.0.0.1:9", "pid": 4194305, "log": "node.log"}'
    )
    assert devnet.load(tmp_path) is None
    assert devnet.load(tmp_path / "nowhere") is None


def test_damaged_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_text("{")
    with pytest.raises(DevnetError, match="is damaged") as error:
        devnet.load(tmp_path)
    assert all((error.value.why, error.value.todo, error.value.read))
