"""Re-execution is queued per claim: once per path, in the order of need (X12)."""

from __future__ import annotations

from protocol.dispute.queue import WorkQueue

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


def test_wait_for_a_fresh_path_on_an_empty_queue_gives_its_own_time() -> None:
    queue, extra = WorkQueue().wait_for(A, 1000, 60)
    assert extra == 60
    assert queue.end == queue.finish[A] == 1060


def test_wait_for_a_second_path_waits_behind_the_first() -> None:
    queue, _ = WorkQueue().wait_for(A, 1000, 60)
    queue, extra = queue.wait_for(B, 1010, 30)
    assert queue.end == 1090
    assert extra == 80


def test_wait_for_the_same_path_queues_nothing_again() -> None:
    """Many disputes of one segment give the solver its time once, not once each."""
    queue, _ = WorkQueue().wait_for(A, 1000, 60)
    same, extra = queue.wait_for(A, 1040, 60)
    assert same is queue
    assert extra == 20


def test_wait_for_a_path_that_was_due_long_ago_gives_nothing() -> None:
    queue, _ = WorkQueue().wait_for(A, 1000, 60)
    assert queue.wait_for(A, 5000, 60)[1] == 0


def test_wait_for_after_an_idle_time_starts_from_now() -> None:
    queue, _ = WorkQueue().wait_for(A, 1000, 60)
    queue, extra = queue.wait_for(C, 5000, 10)
    assert extra == 10
    assert queue.end == 5010
