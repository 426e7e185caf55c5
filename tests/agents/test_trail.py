"""The trail: how far back it goes, and what it gives up for good."""

from __future__ import annotations

from protocol.agents.watch.trail import REMEMBERED_BLOCKS, Head, Step, Trail
from protocol.agents.watch.undo import Changes


def head(number: int) -> Head:
    return Head(number, bytes([1]) + number.to_bytes(31, "big"), bytes(32), 1_000 + number)


def test_trail_goes_back_head_by_head_and_takes_back_their_writes() -> None:
    trail, changes, table = Trail(), Changes(), {}
    for number in range(5):
        changes.put(table, "latest", number)
        trail.add(Step(head(number), changes.take()))
    for number in (4, 3, 2, 1):
        assert trail.head == head(number)
        assert table == {"latest": number}
        trail.go_back()
    trail.go_back()
    assert not trail
    assert table == {}


def test_trail_keeps_a_head_that_is_deep_enough_and_none_below_it() -> None:
    trail = Trail()
    for number in range(0, 1_000, 10):
        trail.add(Step(head(number)))
    kept = [step.head.number for step in trail]
    assert kept[-1] == 990
    # The lowest is as deep as is remembered, or a little deeper: never less.
    assert kept[0] <= 990 - REMEMBERED_BLOCKS < kept[1]


def test_trail_names_tasks_whose_last_events_can_no_longer_be_taken_back() -> None:
    trail = Trail()
    assert trail.add(Step(head(0), tasks=frozenset({b"a", b"b"}))) == []
    assert trail.add(Step(head(1), tasks=frozenset({b"b"}))) == []
    far = REMEMBERED_BLOCKS + 1
    assert trail.add(Step(head(far))) == [b"a"]
    assert trail.add(Step(head(far + 1))) == []
    assert trail.add(Step(head(far + REMEMBERED_BLOCKS))) == [b"b"]
    assert trail.add(Step(head(far + 2 * REMEMBERED_BLOCKS))) == []
