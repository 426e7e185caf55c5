"""`pinpoint status`: an agent seen from outside, and what needs its operator."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from filelock import FileLock

from protocol.agents.process.telemetry import Telemetry
from protocol.agents.watch.reader import Reader
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.fees import Offer
from protocol.chain.txlog import TransactionLog
from protocol.cli import live
from protocol.cli.live import Live
from protocol.dispute.state import DisputeState
from tests.contracts.dispute.arena import SEGMENT, Arena, cheat
from tests.contracts.dispute.test_dispute_in_market_sol import DisputedWorld, submitted

TOKEN = 10**18


def test_account_with_nothing_due_is_well(pinpoint, scene) -> None:
    done = pinpoint("status", "--account", scene.account("verifier"), "--home", "home", "--json")
    assert done.code == 0
    shown = done.json
    assert (shown["attention"], shown["due"], shown["disputes"]) == ([], [], [])
    assert shown["account"]["stake_wei"] == 5_000 * TOKEN
    assert shown["chain"]["id"] == 31337
    assert shown["running"] is False
    assert not Path("home").exists(), "it only looks"
    assert "all is well" in pinpoint("status", "--account", scene.account("verifier")).stdout


@pytest.mark.usefixtures("scene")
def test_keystore_that_is_not_there_is_exit_code_5(pinpoint) -> None:
    assert pinpoint("status", "--keystore", "none.json").code == 5


@pytest.fixture
def disputed(monkeypatch) -> Arena:
    """A live dispute that waits for the solver's first root, and a commitment not yet opened."""
    market = DisputedWorld(EmbeddedChain())
    arena = submitted(market, cheat())
    commitment = b"\x05" * 32
    market.do(market.dispute.functions.commitOpen(arena.claim, commitment), arena.opener)
    arena.open(SEGMENT)
    found = Live(market.deployment, Reader(market.deployment), 0, 31337)
    monkeypatch.setattr(live, "open_live", lambda _rpc, _file: found)
    return arena


def test_solver_whose_clock_runs_without_an_agent_needs_its_operator(
    pinpoint, disputed, tmp_path
) -> None:
    home = tmp_path / "home"
    words = ("status", "--account", disputed.solver, "--home", str(home), "--json")
    done = pinpoint(*words)
    assert done.code == 1
    (row,) = done.json["disputes"]
    assert (row["as"], row["own_turn"], row["state"]) == ("solver", True, "NEED_SEGMENT")
    assert done.json["due"][0]["what"].startswith("move in dispute")
    assert any("no agent runs" in text for text in done.json["attention"])
    home.mkdir()
    with FileLock(home / "agent.lock"):
        done = pinpoint(*words)
    assert (done.code, done.json["attention"]) == (0, [])
    assert done.json["due"][0]["left_s"] > 0


def test_opener_sees_its_dispute_and_its_unopened_commitment(pinpoint, disputed) -> None:
    shown = pinpoint("status", "--account", disputed.opener, "--json").json
    (row,) = shown["disputes"]
    assert (row["as"], row["own_turn"]) == ("opener", False)
    assert [each["commitment"] for each in shown["openings"]] == ["0x" + "05" * 32]
    assert [each["what"] for each in shown["due"]] == ["open commitment 0x05050505"]
    text = pinpoint("status", "--account", disputed.opener).stdout
    assert "NEED_SEGMENT, their turn" in text
    assert "due: open commitment 0x05050505 in" in text


def test_clock_that_is_nearly_out_is_told(pinpoint, disputed, tmp_path) -> None:
    chain = disputed.chain
    (row,) = pinpoint("status", "--account", disputed.solver, "--json").json["disputes"]
    chain.set_next_time(row["deadline"] - 100)
    chain.mine(1)
    with FileLock(tmp_path / "agent.lock"):
        done = pinpoint("status", "--account", disputed.solver, "--home", str(tmp_path), "--json")
    assert done.code == 1
    assert "the own clock in dispute" in done.json["attention"][0]


def test_dispute_that_is_over_is_no_duty(pinpoint, disputed) -> None:
    (row,) = pinpoint("status", "--account", disputed.solver, "--json").json["disputes"]
    dispute = bytes.fromhex(row["dispute_id"][2:])
    disputed.descend(dispute, DisputeState.JUDGE)
    disputed.answer(dispute)
    shown = pinpoint("status", "--account", disputed.solver, "--json").json
    assert shown["disputes"] == []


# ---------------------------------------------------------------------------- the home


def write_pending(home: Path, account: str, age_s: float) -> Path:
    """A journal with one transaction that was sent so long ago."""
    path = home / "journal.sqlite"
    log = TransactionLog(path, 31337, account)
    with log.together():
        intent = log.intend("0x" + "11" * 20, b"", 0, "submit", 7, 21_000, urgent=False)
        log.attempt(intent, b"\1" * 32, b"raw", Offer(1, 1), time.time() - age_s)
    log.close()
    return path


@pytest.mark.parametrize(("age_s", "code"), [(5, 0), (3_600, 1)])
def test_transactions_that_wait_are_shown_and_old_ones_need_somebody(
    pinpoint, scene, tmp_path, age_s, code
) -> None:
    account = scene.account("liar")
    path = write_pending(tmp_path, account, age_s)
    before = hashlib.sha256(path.read_bytes()).digest()
    done = pinpoint("status", "--account", account, "--home", str(tmp_path), "--json")
    assert done.code == code
    (pending,) = done.json["transactions"]
    assert (pending["function"], pending["nonce"], pending["attempts"]) == ("submit", 7, 1)
    assert any("submit (nonce 7) is not mined" in t for t in done.json["attention"]) == (code == 1)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    other = scene.account("verifier")
    shown = pinpoint("status", "--account", other, "--home", str(tmp_path), "--json").json
    assert shown["transactions"] == []


def test_home_of_another_account_is_told(pinpoint, scene, tmp_path) -> None:
    known = {"account": scene.account("liar"), "market": scene.live.deployment.market.address}
    (tmp_path / "chain.json").write_text(json.dumps(known))
    words = ("status", "--home", str(tmp_path), "--json", "--account")
    assert pinpoint(*words, scene.account("liar")).code == 0
    done = pinpoint(*words, scene.account("verifier"))
    assert done.code == 1
    assert f"is of account {scene.account('liar')}" in done.json["attention"][0]
    (tmp_path / "chain.json").write_text("{")
    done = pinpoint(*words, scene.account("liar"))
    assert "is damaged" in done.json["attention"][0]


def test_store_is_measured(pinpoint, scene, tmp_path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a").write_bytes(bytes(1000))
    words = ("status", "--account", scene.account("liar"), "--home", str(tmp_path), "--json")
    assert pinpoint(*words).json["store"] == {
        "at": str(tmp_path / "store"),
        "bytes": 1000,
        "objects": 1,
    }


def test_readiness_is_the_agents_own_word(pinpoint, scene) -> None:
    account = scene.account("liar")
    telemetry = Telemetry("solver", account, head_age_limit_s=0)
    address = telemetry.serve().removeprefix("http://").rstrip("/")
    words = ("status", "--account", account, "--json", "--metrics", address)
    try:
        done = pinpoint(*words)
        assert done.code == 1
        assert "no round completed" in done.json["metrics"]["says"]
        assert "the agent is not ready" in done.json["attention"][0]
    finally:
        telemetry.stop()
    done = pinpoint(*words)
    assert (done.code, done.json["metrics"]["ready"]) == (1, False)
