"""The wallet's commands: keys in files, and money on the embedded chain."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from eth_account import Account
from filelock import FileLock

import protocol.agents.process.runtime  # noqa: F401 - before a test replaces what it imports
from protocol.chain.deployment import Deployment, deploy_all
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.presets import MINIMAL
from protocol.chain.reverts import Reverted
from protocol.cli import wallet
from protocol.cli.connection import connect_account
from protocol.cli.errors import UserError
from protocol.cli.flags import SendFlags
from protocol.cli.funds import deposit_calls, perform, read_balances
from protocol.cli.output import TOKEN

KEY = "e5" * 32
PASSWORD = "correct horse"


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    return str(file)


@pytest.fixture
def fast_scrypt(monkeypatch) -> None:
    """The least work factor; tests/chain/test_keys.py tries the real one."""
    encrypt = Account.encrypt
    monkeypatch.setattr(
        Account, "encrypt", lambda key, password, kdf: encrypt(key, password, kdf, iterations=2)
    )


@pytest.mark.usefixtures("fast_scrypt")
def test_new_key_is_written_and_its_address_is_the_result(pinpoint, password_file) -> None:
    done = pinpoint("wallet", "new", "--keystore", "keys/a.json", "--password-file", password_file)
    assert done.code == 0, done.stderr
    address = done.stdout.strip()
    shown = pinpoint("wallet", "address", "--keystore", "keys/a.json", "--json").json
    assert shown == {"address": address, "keystore": "keys/a.json"}
    listed = pinpoint("wallet", "list", "--keystore", "keys/a.json", "--json").json
    assert listed == [shown]
    again = pinpoint("wallet", "new", "--keystore", "keys/a.json", "--password-file", password_file)
    assert again.code == 5
    assert "a file of that name exists" in again.stderr


@pytest.mark.usefixtures("fast_scrypt")
def test_import_reads_the_key_from_stdin_and_never_shows_it(pinpoint, password_file) -> None:
    flags = ("--keystore", "a.json", "--password-file", password_file)
    done = pinpoint("wallet", "import", *flags, "--json", stdin=f"0x{KEY}\n")
    assert done.json["address"] == Account.from_key(KEY).address
    assert KEY not in done.stdout + done.stderr + Path("a.json").read_text()
    wrong = pinpoint("wallet", "import", *flags, stdin=f"{KEY}{KEY}\n")
    assert wrong.code == 5
    assert KEY not in wrong.stderr


def test_no_flag_and_no_variable_takes_a_key_or_a_password(pinpoint) -> None:
    rows = pinpoint("config", "show", "--json").json
    assert len(rows) > 20
    for row in rows:
        secret = {"key", "private-key", "password", "mnemonic", "secret", "passphrase"}
        assert row["setting"] not in secret, f"{row['command']} takes {row['setting']}"


def test_key_without_password_file_and_terminal_exits_with_5(pinpoint) -> None:
    done = pinpoint("wallet", "new", "--keystore", "a.json", "--json")
    assert done.code == 5
    assert done.error["what"] == "no password"
    assert not Path("a.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["deposit", "many"], 2, "'many' is no amount"),
        (["deposit", "1", "--max-fee-gwei", "0"], 2, "--max-fee-gwei"),
        (["withdraw", "1", "--to", "0x12"], 2, "'0x12' is no address"),
        (["balance", "0x" + "g" * 40], 2, "is no address"),
        (["balance", "0x" + "11" * 20, "--deployment", "none.json"], 3, "none.json"),
        (["address", "--keystore", "none.json"], 5, "cannot read the keystore none.json"),
    ],
)
def test_wrong_input_exits_with_its_documented_code(pinpoint, arguments, code, says) -> None:
    done = pinpoint("wallet", *arguments)
    assert done.code == code, done.stderr
    assert says in done.stderr
    assert done.stdout == ""


@pytest.fixture(scope="module")
def market() -> Deployment:
    return deploy_all(EmbeddedChain(), MINIMAL)


@pytest.fixture
def deployment(market: Deployment) -> Iterator[Deployment]:
    """A market in which the second account has 1,000 tokens outside the vault."""
    chain = market.chain
    assert isinstance(chain, EmbeddedChain)
    before = chain.snapshot()
    chain.send(market.token.functions.transfer(chain.accounts[1], 1_000 * TOKEN))
    yield market
    chain.revert(before)


@pytest.fixture
def on_chain(pinpoint, deployment, monkeypatch):
    """`pinpoint wallet …` for the second account of the embedded chain."""

    @contextmanager
    def connected(_flags):
        yield deployment, deployment.chain.keys[1]

    monkeypatch.setattr(wallet, "connect_account", connected)
    monkeypatch.setattr(wallet, "connect", lambda _rpc, _file: deployment)
    return lambda *arguments: pinpoint("wallet", *arguments, "--json")


def test_money_goes_through_vault_and_stake_and_back(on_chain, deployment) -> None:
    who = deployment.chain.accounts[1]
    deposited = on_chain("deposit", "600.5").json
    assert [t["function"] for t in deposited["transactions"]] == ["approve", "deposit"]
    assert all(t["gas_used"] > 20_000 for t in deposited["transactions"])
    on_chain("stake", "200")
    on_chain("unbond", "50")
    on_chain("withdraw", "0.5", "--to", deployment.chain.accounts[2])
    shown = on_chain("balance", who).json
    assert shown["token_wei"] == 399 * TOKEN + TOKEN // 2
    assert shown["credit_wei"] == 400 * TOKEN
    assert shown["stake_wei"] == 150 * TOKEN
    assert shown["unbonding_wei"] == 50 * TOKEN
    assert shown["allowance_wei"] == 0
    early = on_chain("complete-unbond")
    assert (early.code, early.error["kind"]) == (1, "Reverted")
    assert str(shown["unbonding_until"]) in early.error["why"]
    deployment.chain.advance(MINIMAL.unbonding_seconds)
    assert on_chain("complete-unbond").json["balances"]["credit_wei"] == 450 * TOKEN
    assert read_balances(deployment, deployment.chain.accounts[2]).token_wei == TOKEN // 2


def test_dry_run_sends_nothing_but_still_refuses(on_chain, deployment) -> None:
    head = deployment.chain.w3.eth.block_number
    planned = on_chain("deposit", "5", "--dry-run")
    assert planned.json["transactions"] == [
        {"function": name, "tx_hash": None, "gas_used": None} for name in ("approve", "deposit")
    ]
    refused = on_chain("withdraw", "5", "--dry-run")
    assert (refused.code, refused.error["kind"]) == (1, "Reverted")
    assert "InsufficientCredit" in refused.error["why"]
    assert deployment.chain.w3.eth.block_number == head


def test_deposit_of_more_than_there_is_costs_no_allowance(on_chain, deployment) -> None:
    head = deployment.chain.w3.eth.block_number
    refused = on_chain("deposit", "1000.000000000000000001")
    assert refused.code == 1
    assert "1,000 tokens" in refused.error["why"]
    assert "1,000.000000000000000001 were" in refused.error["why"]
    assert deployment.chain.w3.eth.block_number == head


def test_allowance_that_is_there_is_used(deployment) -> None:
    who = deployment.chain.accounts[1]
    approve = deployment.token.functions.approve(deployment.vault.address, 9)
    perform(deployment, who, [approve], dry_run=False)
    assert [call.fn_name for call in deposit_calls(deployment, who, 9)] == ["deposit"]
    assert [call.fn_name for call in deposit_calls(deployment, who, 10)] == ["approve", "deposit"]


def test_calls_before_a_failing_one_have_happened_and_it_was_not_sent(deployment) -> None:
    who, chain = deployment.chain.accounts[1], deployment.chain
    approve = deployment.token.functions.approve(deployment.vault.address, 9)
    head = chain.w3.eth.block_number
    with pytest.raises(Reverted, match="InsufficientCredit"):
        perform(
            deployment,
            who,
            [approve, deployment.vault.functions.withdraw(who, 1)],
            dry_run=False,
        )
    assert chain.w3.eth.block_number == head + 1
    assert read_balances(deployment, who).allowance_wei == 9


@pytest.mark.usefixtures("on_chain")
def test_text_for_people_shows_tokens(pinpoint, deployment) -> None:
    done = pinpoint("wallet", "balance", deployment.chain.accounts[1])
    assert "1,000.0000" in done.stdout
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.stdout)


def test_home_that_another_command_sends_from_is_refused(tmp_path, monkeypatch) -> None:
    from protocol.chain import deployfile, keys, rpc

    class File:
        chain_id = 1

        def connect(self, _chain: object) -> object:
            return object()

    monkeypatch.setattr(deployfile.DeployFile, "load", lambda _path: File())
    monkeypatch.setattr(keys, "load_account", lambda *_: Account.from_key(KEY))
    monkeypatch.setattr(rpc, "RpcChain", lambda *_: object())
    flags = SendFlags(rpc=["http://127.0.0.1:1"], deployment=tmp_path / "d", home=tmp_path)
    with (
        FileLock(tmp_path / "wallet.lock"),
        pytest.raises(UserError, match="in use"),
        connect_account(flags),
    ):
        pass


@pytest.mark.usefixtures("fast_scrypt")
def test_import_asks_at_a_terminal_without_echo(monkeypatch, tmp_path, capsys) -> None:
    from protocol.cli.main import run

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    answers = iter([KEY, PASSWORD, PASSWORD])
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(answers))
    monkeypatch.chdir(tmp_path)
    assert run(["wallet", "import", "--keystore", "a.json"]) == 0
    assert capsys.readouterr().out.strip() == Account.from_key(KEY).address
