"""`pinpoint task`: what there is, and where every wei went."""

from __future__ import annotations

import pytest

from protocol.agents.money.ledger import Ledger

TOKEN = 10**18


def test_task_list_has_a_row_for_the_task(pinpoint, scene) -> None:
    (row,) = pinpoint("task", "list", "--json").json
    assert row["task_id"] == scene.task
    assert (row["phase"], row["next"], row["round"], row["steps"]) == ("REFUNDED", "nothing", 0, 11)
    assert row["max_reward"] == 1_000 * TOKEN
    assert row["solver"] == scene.account("liar")
    shown = pinpoint("task", "list").stdout
    assert scene.task[:10] in shown
    assert "1,000.0000" in shown


@pytest.mark.parametrize("who", ["requester", "liar", "verifier"])
def test_task_list_of_somebody_concerned_has_the_task(pinpoint, scene, who) -> None:
    assert len(pinpoint("task", "list", "--json", "--mine", scene.account(who)).json) == 1


def test_task_list_of_others_and_of_open_tasks_is_empty(pinpoint, scene) -> None:
    stranger = scene.world.chain.accounts[15]
    assert pinpoint("task", "list", "--json", "--mine", stranger).json == []
    assert pinpoint("task", "list", "--json", "--open").json == []


def test_task_show_explains_the_money_to_the_wei(pinpoint, scene) -> None:
    done = pinpoint("task", "show", scene.task[:8], "--json")
    assert done.code == 0
    money = done.json["money"]
    assert (money["unexplained"], money["faults"]) == (0, [])
    total = money["total"]
    assert total["taken"] == total["released"] + total["burned"] + total["locked"]
    world = scene.world
    assert total["burned"] == world.burned()
    gains = {world.players[name].account: gain for name, gain in world.gains().items()}
    assert {account: sums["net"] for account, sums in money["accounts"].items()} == gains
    reasons = [entry["reason"] for entry in money["entries"]]
    assert reasons.count("bond") == 1
    assert "slashed: challenger's share" in reasons


def test_task_show_tells_people_claims_and_money(pinpoint, scene) -> None:
    shown = pinpoint("task", "show", scene.task).stdout
    for text in (
        *(scene.task, scene.account("requester"), scene.account("liar")),
        *("FALLEN", "CHALLENGER_WON", "slashed: burned", "every balance is explained to the wei"),
    ):
        assert text in shown


def test_task_show_with_a_wei_missing_says_so_and_fails(pinpoint, scene, monkeypatch) -> None:
    ask = Ledger.ask
    monkeypatch.setattr(Ledger, "ask", lambda *a: ask(*a) + 1 if a[2] == "pots" else ask(*a))
    done = pinpoint("task", "show", scene.task)
    assert done.code == 1
    assert "NOT EXPLAINED: the vault holds 1 wei" in done.stdout


def test_task_books_explains_the_whole_deployment(pinpoint, scene) -> None:
    done = pinpoint("task", "books", "--json")
    assert done.code == 0
    assert done.json["unexplained"] == 0
    assert list(done.json["tasks"]) == [scene.task]
    vault, token = scene.world.deployment.vault, scene.world.deployment.token
    balance = scene.world.chain.call(token.functions.balanceOf(vault.address))
    assert done.json["token_balance"] == balance
    assert "every balance is explained to the wei" in pinpoint("task", "books").stdout


@pytest.mark.usefixtures("scene")
def test_task_books_that_do_not_agree_fail(pinpoint, monkeypatch) -> None:
    ask = Ledger.ask
    monkeypatch.setattr(Ledger, "ask", lambda *a: ask(*a) + 1 if a[2] == "credits" else ask(*a))
    done = pinpoint("task", "books", "--json")
    assert done.code == 1
    assert done.json["unexplained"] > 0


@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize("named", ["0xffff", "0x", "nonsense"])
def test_task_that_is_not_there_is_wrong_input(pinpoint, named) -> None:
    done = pinpoint("task", "show", named, "--json")
    assert done.code == 2
    assert done.error["what"] == f"no task {named}"


@pytest.mark.usefixtures("scene")
def test_mine_that_is_no_address_is_wrong_input(pinpoint) -> None:
    done = pinpoint("task", "list", "--mine", "0x12")
    assert done.code == 2
    assert "is not an address" in done.stderr
