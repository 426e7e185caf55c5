"""`pinpoint doctor` on a real node: what is well, and each thing broken on purpose."""

from __future__ import annotations

import json
import shutil
import socket
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eth_account import Account
from filelock import FileLock

from protocol.chain.deployfile import DeployFile
from protocol.chain.devnet import PEOPLE, Devnet, connect_all, dev_account
from protocol.cli.checks import Area, Finding, Grade, exit_code
from protocol.cli.errors import Code
from protocol.kernels import Executor, probe
from protocol.kernels.probe import SubnormalSpeed
from protocol.merkle import hashing
from protocol.storage.server import ContentServer

pytestmark = pytest.mark.xdist_group("devnet")  # one node for all
NOBODY_LISTENS = "http://127.0.0.1:9"
Usage = namedtuple("Usage", "total used free")


PASSWORD = "correct horse"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keystores of people of the devnet with the least work factor, and their password's file."""
    folder = tmp_path_factory.mktemp("keys")
    accounts = {
        **{person: dev_account(1 + PEOPLE.index(person)) for person in ("solver", "verifier")},
        "pauper": Account.create(),
    }
    for name, account in accounts.items():
        file = folder / f"{name}.json"
        encrypted = Account.encrypt(account.key, PASSWORD, "scrypt", iterations=2)
        file.write_text(json.dumps(encrypted))
        file.chmod(0o600)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    return folder


@pytest.fixture
def flags(devnet_up: Devnet, keys: Path, tmp_path: Path) -> dict[str, str]:
    """What a verifier of the devnet would be started with."""
    return {
        "role": "verifier",
        "rpc": devnet_up.node.url,
        "deployment": str(devnet_up.deployment_file),
        "home": str(tmp_path / "home"),
        "keystore": str(keys / "verifier.json"),
        "password-file": str(keys / "password"),
    }


@pytest.fixture
def doctor(pinpoint, flags) -> Callable[..., tuple[int, dict[str, dict[str, Any]]]]:
    """Exit code, and the findings by their checks; flags are changed by keywords."""

    def call(**changed: str) -> tuple[int, dict[str, dict[str, Any]]]:
        named = {**flags, **{name.replace("_", "-"): value for name, value in changed.items()}}
        words = [word for name, value in named.items() for word in (f"--{name}", value)]
        done = pinpoint("doctor", "--json", *words)
        return done.code, {found["check"]: found for found in done.json}

    return call


def failing(found: dict[str, dict[str, Any]]) -> set[str]:
    assert all(f["todo"] for f in found.values() if f["grade"] != "ok")
    return {name for name, finding in found.items() if finding["grade"] == "fail"}


def test_everything_is_well_on_a_devnet(doctor) -> None:
    code, found = doctor()
    assert (code, failing(found)) == (0, set())
    well = {name for name, finding in found.items() if finding["grade"] == "ok"}
    assert well >= {
        *("python", "hashing", "bits", "home", "deployments file", "endpoint", "contracts"),
        *("machine code", "subnormal numbers"),
        *("keystore", "keystore's mode", "gas", "bonds", "verifier's stake", "own store"),
    }


def test_table_for_people_says_what_to_do(pinpoint, flags) -> None:
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    done = pinpoint("doctor", *words, "--rpc", NOBODY_LISTENS)
    assert done.code == 3
    assert "fail: endpoint: start the node" in done.stdout


# ---------------------------------------------------------------------------- the machine


def test_machine_that_computes_other_bits_fails(doctor, monkeypatch) -> None:
    run = Executor.run

    def one_bit_off(self: Executor, *arguments: Any, **named: Any) -> Any:
        out = run(self, *arguments, **named)
        if self.isa == "baseline" and self.threads == 2:
            out.reshape(-1).view(np.uint32)[3] ^= 1
        return out

    monkeypatch.setattr(Executor, "run", one_bit_off)
    code, found = doctor()
    assert (code, failing(found)) == (1, {"bits"})
    assert "baseline with 2 threads" in found["bits"]["why"]


@pytest.mark.parametrize(("work", "grade"), [(3.6e8, "ok"), (2e7, "warn")])
def test_machine_that_subnormal_numbers_slow_down_is_told(doctor, monkeypatch, work, grade) -> None:
    slow = SubnormalSpeed(slowdown=140.0, work=work)
    monkeypatch.setattr(probe, "measure_subnormals", lambda _executor: slow)
    code, found = doctor()
    assert (code, failing(found)) == (0, set())
    finding = found["subnormal numbers"]
    assert finding["grade"] == grade
    assert f"140 times slower, to {work:.2g} float instructions a second" in finding["why"]
    assert ("requesters reckon with 1e+08" in finding["why"]) == (grade == "warn")


def test_machine_that_hashes_wrongly_fails(doctor, monkeypatch) -> None:
    monkeypatch.setattr(hashing, "leaf_hash", lambda _value: bytes(32))
    code, found = doctor()
    assert (code, failing(found)) == (1, {"hashing"})


@pytest.mark.parametrize(("free", "grade"), [(1 << 20, "fail"), (1 << 30, "warn")])
def test_disk_that_is_nearly_full_is_told(doctor, monkeypatch, free, grade) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1 << 40, 0, free))
    code, found = doctor()
    assert found["disk"]["grade"] == grade
    assert code == (1 if grade == "fail" else 0)


def test_home_that_cannot_be_written_fails(doctor, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    code, found = doctor(home=str(tmp_path / "file" / "home"), store=str(tmp_path / "store"))
    assert code == 1
    assert "home" in failing(found)


def test_damaged_journal_fails(doctor, tmp_path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "journal.sqlite").write_bytes(b"no database" * 1000)
    code, found = doctor()
    assert (code, failing(found)) == (1, {"journal journal.sqlite"})


def test_port_in_use_fails_unless_the_agent_itself_uses_it(doctor, tmp_path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, found = doctor(metrics=address)
        assert (code, failing(found)) == (1, {f"port {address}"})
        with FileLock(home / "agent.lock"):
            code, found = doctor(metrics=address)
        assert (code, failing(found)) == (0, set())


# ---------------------------------------------------------------------------- chain and keys


def test_node_that_is_down_is_exit_code_3(doctor) -> None:
    code, found = doctor(rpc=NOBODY_LISTENS)
    assert code == 3
    assert failing(found) == {"endpoint", "contracts", "head"}
    assert found["keystore"]["grade"] == "ok"


def test_missing_deployments_file_is_exit_code_3(doctor, tmp_path) -> None:
    code, found = doctor(deployment=str(tmp_path / "none.json"))
    assert (code, failing(found)) == (3, {"deployments file"})


def altered(devnet_up: Devnet, tmp_path: Path, **changes: Any) -> str:
    """The deployments file with other values."""
    path = tmp_path / "altered.json"
    document = json.loads(devnet_up.deployment_file.read_text())
    path.write_text(json.dumps({**document, **changes}))
    return str(path)


def test_contract_with_other_code_is_exit_code_3(doctor, devnet_up, tmp_path) -> None:
    addresses = dict(DeployFile.load(devnet_up.deployment_file).addresses)
    addresses["market"] = addresses["claims"]
    code, found = doctor(deployment=altered(devnet_up, tmp_path, addresses=addresses))
    assert (code, failing(found)) == (3, {"contracts"})
    assert "other code" in found["contracts"]["why"]


def test_another_chain_id_refuses_the_development_key_as_well(doctor, devnet_up, tmp_path) -> None:
    code, found = doctor(deployment=altered(devnet_up, tmp_path, chain_id=1))
    assert code == 1
    assert failing(found) >= {"endpoint", "contracts", "keystore"}
    assert "well-known development key" in found["keystore"]["why"]


def test_password_file_that_others_can_read_is_exit_code_5(doctor, tmp_path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(0o644)
    code, found = doctor(password_file=str(file))
    assert (code, failing(found)) == (5, {"keystore"})
    assert "0644" in found["keystore"]["why"]
    assert "secret" not in json.dumps(found)


def test_wrong_password_is_exit_code_5(doctor, tmp_path) -> None:
    file = tmp_path / "password"
    file.write_text("wrong")
    file.chmod(0o600)
    code, found = doctor(password_file=str(file))
    assert (code, failing(found)) == (5, {"keystore"})


def test_keystore_that_others_can_read_is_a_warning(doctor, keys, tmp_path) -> None:
    copy = tmp_path / "key.json"
    shutil.copy(keys / "verifier.json", copy)
    copy.chmod(0o644)
    code, found = doctor(keystore=str(copy))
    assert code == 0
    assert found["keystore's mode"]["grade"] == "warn"


def test_keystore_without_a_password_file_is_a_warning(pinpoint, flags) -> None:
    del flags["password-file"]
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    done = pinpoint("doctor", "--json", *words)
    assert done.code == 0
    (found,) = [each for each in done.json if each["check"] == "keystore"]
    assert found["grade"] == "warn"


# ---------------------------------------------------------------------------- money and stores


def test_account_without_money_fails(doctor, keys) -> None:
    pauper = keys / "pauper.json"
    code, found = doctor(keystore=str(pauper))
    assert (code, failing(found)) == (1, {"gas", "bonds"})
    assert found["verifier's stake"]["grade"] == "warn"
    code, found = doctor(keystore=str(pauper), role="solver")
    assert (code, failing(found)) == (1, {"gas", "stakes of bids"})


def test_store_that_cannot_be_written_is_exit_code_4(doctor, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    code, found = doctor(store=str(tmp_path / "file"))
    assert (code, failing(found)) == (4, {"own store"})


def test_read_store_that_does_not_answer_is_exit_code_4(doctor) -> None:
    code, found = doctor(read_store=NOBODY_LISTENS)
    assert (code, failing(found)) == (4, {"read store"})


def test_announced_store_is_asked_for_what_the_own_has(doctor, devnet_up, keys, tmp_path) -> None:
    deployment = connect_all(devnet_up)
    solver = deployment.chain.accounts[2]
    home = tmp_path / "solver"
    server = ContentServer(home / "store", "127.0.0.1", 0)
    server.start()
    flags = {"role": "solver", "keystore": str(keys / "solver.json"), "home": str(home)}
    try:
        deployment.chain.send(deployment.market.functions.announceStore(server.url), solver)
        _, found = doctor(**flags)
        assert found["announced store"]["grade"] == "ok"
        _, found = doctor(**{**flags, "store": str(tmp_path / "another")})
        assert found["announced store"]["grade"] == "ok"  # it was put there before
    finally:
        server.stop()
    code, found = doctor(**flags)
    assert (code, found["announced store"]["grade"]) == (0, "warn")
    with FileLock(home / "agent.lock"):
        code, found = doctor(**flags)
    assert (code, failing(found)) == (4, {"announced store"})


def test_role_has_its_settings_from_the_file(pinpoint, flags, tmp_path) -> None:
    settings = {key: value for key, value in flags.items() if key not in ("role", "home")}
    text = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    home, other = tmp_path / "of-the-role", tmp_path / "given"
    (tmp_path / "pinpoint.toml").write_text(f'{text}[verifier]\nhome = "{home}"\n')
    done = pinpoint("doctor", "--role", "verifier", "--json")
    assert done.code == 0, done.stdout
    assert home.is_dir()
    pinpoint("doctor", "--role", "verifier", "--home", str(other))
    assert other.is_dir()


# ---------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("areas", "code"),
    [
        ([], Code.OK),
        ([Area.CHAIN, Area.CHAIN], Code.CHAIN),
        ([Area.STORE], Code.STORE),
        ([Area.KEYS], Code.KEYS),
        ([Area.MONEY], Code.FAILED),
        ([Area.KEYS, Area.CHAIN], Code.FAILED),
    ],
)
def test_exit_code_is_that_of_the_only_area_that_fails(areas, code) -> None:
    well = Finding(Area.HOME, "home", Grade.OK, "")
    poor = Finding(Area.HOME, "disk", Grade.WARN, "", "")
    assert exit_code([well, poor, *(Finding(a, "x", Grade.FAIL, "", "") for a in areas)]) is code
