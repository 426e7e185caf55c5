"""`pinpoint dispute`: lists, ladders, verdicts; and following a dispute while it is played."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.agents.watch.reader import Reader
from protocol.chain.embedded import EmbeddedChain
from protocol.cli.errors import UserError
from protocol.cli.live import Live, find_id
from protocol.cli.moves import Follower
from protocol.cli.watching import WatchTimeout, follow
from protocol.dispute.state import DisputeState
from tests.agents.scenes import FALSE_SEGMENT, LIE
from tests.contracts.dispute.arena import SEGMENT, Arena, cheat
from tests.contracts.dispute.test_dispute_in_market_sol import DisputedWorld, submitted


def test_dispute_list_has_the_dispute_and_no_live_one(pinpoint, scene) -> None:
    (row,) = pinpoint("dispute", "list", "--json").json
    assert (row["dispute_id"], row["task_id"]) == (scene.dispute, scene.task)
    assert (row["state"], row["side"], row["left_s"]) == ("CHALLENGER_WON", None, None)
    assert (row["opener"], row["solver"]) == (scene.account("verifier"), scene.account("liar"))
    assert pinpoint("dispute", "list", "--live", "--json").json == []
    assert scene.dispute[:10] in pinpoint("dispute", "list").stdout


def test_dispute_show_ends_with_the_place_and_both_words(pinpoint, scene) -> None:
    done = pinpoint("dispute", "show", scene.dispute[:9], "--json", "--read-store", scene.store)
    assert done.code == 0
    shown = done.json
    place = shown["place"]
    assert (place["segment"], place["step"], place["node"]) == (
        *(FALSE_SEGMENT, LIE.step, LIE.node),
    )
    assert place["ulp"] == 1
    solver, chain = (int(place[word]["hex"], 16) for word in ("solver_word", "chain_word"))
    assert abs(solver - chain) == 1
    assert shown["names"] is None
    assert "name not known" not in place["origin"]
    assert shown["winner"] == "challenger"
    assert [move["function"] for move in shown["moves"]][:3] == [
        "commitOpen",
        "open",
        "postSegment",
    ]
    assert shown["gas"] == sum(move["gas"] for move in shown["moves"])
    assert {move["sender"] for move in shown["moves"]} == {
        scene.account("verifier"),
        scene.account("liar"),
    }


def test_dispute_show_draws_the_ladder_for_people(pinpoint, scene) -> None:
    done = pinpoint("dispute", "show", scene.dispute, "--read-store", scene.store)
    ladder = [line.split()[1] for line in done.stdout.splitlines() if "●" in line]
    assert ladder == ["log", "segment", "trace", "tensor", "fold"]
    assert "1 ulp apart" in done.stdout
    assert "challenger won by executing one term on chain" in done.stdout


def test_dispute_show_after_some_moves_draws_where_it_stood(pinpoint, scene) -> None:
    done = pinpoint("dispute", "show", scene.dispute, "--move", "3")
    assert "postSegment" in done.stdout
    assert "won by" not in done.stdout


def test_dispute_show_without_the_tasks_files_says_so(pinpoint, scene) -> None:
    done = pinpoint("dispute", "show", scene.dispute)
    assert done.code == 0
    assert "names and shapes are not known" in done.stderr
    assert "nobody announced one" in done.stderr
    assert f"node {LIE.node} (name not known)" in done.stdout
    assert "1 ulp apart" in done.stdout  # the chain knows the words without the files


@pytest.mark.usefixtures("scene")
def test_dispute_show_of_an_unknown_one_is_wrong_input(pinpoint) -> None:
    assert pinpoint("dispute", "show", "0x00ff00").code == 2


def test_ids_that_begin_alike_are_told_apart() -> None:
    with pytest.raises(UserError, match="2 ids begin so"):
        find_id("0xab", [b"\xab\x01", b"\xab\x02"], "task")
    assert find_id("ab02", [b"\xab\x01", b"\xab\x02"], "task") == b"\xab\x02"


# ---------------------------------------------------------------------------- watching


def test_watch_of_a_finished_dispute_tells_all_moves_and_ends(pinpoint, scene) -> None:
    done = pinpoint("dispute", "watch", scene.dispute, "--json", "--poll-seconds", "0.01")
    assert done.code == 0
    moves = [json.loads(line) for line in done.stdout.splitlines()]
    assert moves[0]["function"] == "commitOpen"
    assert moves[-1]["state"] == "CHALLENGER_WON"


@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize("words", [[], ["0x12", "--all"]])
def test_watch_wants_one_dispute_or_all(pinpoint, words) -> None:
    done = pinpoint("dispute", "watch", *words)
    assert done.code == 2
    assert "one dispute or all" in done.stderr


@pytest.mark.usefixtures("scene")
def test_watch_of_all_ends_with_its_time(pinpoint) -> None:
    assert pinpoint("dispute", "watch", "--all", "--timeout", "0").code == 0


@pytest.fixture
def played() -> tuple[DisputedWorld, Arena, Live]:
    """A false claim on a chain of its own, whose dispute a test plays while it is watched."""
    market = DisputedWorld(EmbeddedChain())
    arena = submitted(market, cheat())
    live = Live(market.deployment, Reader(market.deployment), 0, 31337)
    return market, arena, live


def test_watch_tells_moves_as_they_are_made_and_ends_with_the_verdict(played) -> None:
    _, arena, live = played
    dispute = arena.open(SEGMENT)
    states = []
    acts = iter(
        [
            lambda: None,
            lambda: arena.descend(dispute, DisputeState.JUDGE),
            lambda: arena.answer(dispute),
        ]
    )
    for move in follow(live, dispute, poll_s=0, timeout_s=None, sleep=lambda _: next(acts)()):
        assert move.dispute_id == dispute
        states.append(move.state)
    assert states[:2] == [None, DisputeState.NEED_SEGMENT]
    assert states[-2:] == [DisputeState.JUDGE, DisputeState.CHALLENGER_WON]
    assert len(states) == len(set(states))


def test_watch_whose_time_is_over_before_the_end_says_so(played) -> None:
    _, arena, live = played
    dispute = arena.open(SEGMENT)
    clock = iter(range(10))
    watched = follow(
        live, dispute, poll_s=0, timeout_s=2, clock=lambda: next(clock), sleep=lambda _: None
    )
    with pytest.raises(WatchTimeout):
        list(watched)


def test_follower_tells_moves_of_replaced_blocks_again(played) -> None:
    market, arena, live = played
    follower = Follower(live)
    before = market.chain.snapshot()
    first = arena.open(SEGMENT)
    moves, replaced = follower.news()
    assert ([m.dispute_id for m in moves], replaced) == ([first, first], False)
    market.chain.revert(before)
    market.chain.mine(1)
    other = replace_opener(arena, market.stranger)
    moves, replaced = follower.news()
    assert replaced
    assert [move.dispute_id for move in moves] == [other, other]
    assert follower.news() == ([], False)


def replace_opener(arena: Arena, opener: Any) -> bytes:
    """The same accusation by somebody else."""
    arena.opener = opener
    return arena.open(SEGMENT)
