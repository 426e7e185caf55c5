"""The book: what events add up to, what is going on in it, and taking events back."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from protocol.agents.duties import NO_DEADLINE, Bid
from protocol.agents.watch.book import Book, DisputeRecord
from protocol.agents.watch.undo import undo
from protocol.dispute.state import DisputeState, Side

TASK, CLAIM, DISPUTE = b"t" * 32, b"c" * 32, b"d" * 32
REQUESTER, SOLVER, RIVAL, VERIFIER = "0xq", "0xs", "0xr", "0xv"

POSTED = ("TaskPosted", {"taskId": TASK, "requester": REQUESTER, "terms": (0,) * 20, "uri": "u"})
ROUND = (
    "RoundOpened",
    {"taskId": TASK, "round": 0, "bidEnd": 10, "revealEnd": 20, "runEnd": 30},
)
SUBMITTED = (
    "ClaimSubmitted",
    {"claimId": CLAIM, "taskId": TASK, "solver": SOLVER, "windowEnd": 40, "revealEnd": 50},
)
ATTESTED = ("Attested", {"claimId": CLAIM, "verifier": VERIFIER})
COMMITTED = (
    "OpeningCommitted",
    {"claimId": CLAIM, "opener": VERIFIER, "commitment": DISPUTE},
)
OPENED = (
    "DisputeOpened",
    {"disputeId": DISPUTE, "claimId": CLAIM, "opener": VERIFIER, "segment": 2},
)


def bid(event: str, bidder: str) -> tuple[str, dict[str, Any]]:
    return event, {"taskId": TASK, "round": 0, "bidder": bidder}


def turned(side: Side, deadline: int) -> tuple[str, dict[str, Any]]:
    state = DisputeState.NEED_TRACE if side is Side.SOLVER else DisputeState.POINT_STEP
    args = {"disputeId": DISPUTE, "state": state, "side": side, "deadline": deadline}
    return "Turned", args


def closed(state: DisputeState) -> tuple[str, dict[str, Any]]:
    args = {"disputeId": DISPUTE, "claimId": CLAIM, "state": state, "beneficiary": VERIFIER}
    return "DisputeClosed", args


FALLEN = ("ClaimFallen", {"claimId": CLAIM, "taskId": TASK, "beneficiary": VERIFIER})
SETTLED = ("ClaimSettled", {"claimId": CLAIM, "taskId": TASK, "beneficiary": VERIFIER})
REFUNDED = ("TaskRefunded", {"taskId": TASK, "amount": 1})
FINALISED = ("ClaimFinalised", {"claimId": CLAIM, "taskId": TASK})
COLLECTED = ("FeeCollected", {"claimId": CLAIM, "verifier": VERIFIER})

AUCTION = [
    POSTED,
    ROUND,
    bid("BidCommitted", SOLVER),
    bid("BidCommitted", RIVAL),
    bid("BidRevealed", SOLVER),
]
CONVICTED = [
    *AUCTION,
    SUBMITTED,
    ("VerifiersDrawn", {"claimId": CLAIM}),
    ATTESTED,
    COMMITTED,
    OPENED,
    turned(Side.SOLVER, 60),
    ("Revealed", {"disputeId": DISPUTE, "children": [b"a", b"b"]}),
    ("ChunkOpened", {"disputeId": DISPUTE, "chunk": b"chunk"}),
    ("TermOpened", {"disputeId": DISPUTE, "leaf": b"leaf"}),
    turned(Side.OPENER, 70),
    closed(DisputeState.CHALLENGER_WON),
    FALLEN,
    SETTLED,
    bid("BidReclaimed", RIVAL),
    REFUNDED,
]
PAID = [*AUCTION, SUBMITTED, ATTESTED, FINALISED, COLLECTED, bid("BidReclaimed", RIVAL)]


def book_of(*events: tuple[str, dict[str, Any]]) -> Book:
    book = Book()
    for name, args in events:
        book.enter(name, args)
    return book


@pytest.mark.parametrize("events", [CONVICTED, PAID], ids=["convicted", "paid"])
def test_book_taken_back_event_by_event_is_what_it_was_before_each(events) -> None:
    book, before, inverses = Book(), [], []
    for name, args in events:
        before.append(deepcopy(book))
        book.enter(name, args)
        inverses.append(book.take_undo())
    while inverses:
        undo(inverses.pop())
        assert book == before.pop()
    assert book == Book()


@pytest.mark.parametrize("events", [CONVICTED, PAID], ids=["convicted", "paid"])
def test_book_of_a_task_that_ended_has_nothing_going_on(events) -> None:
    book = book_of(*events)
    assert book.tasks
    assert book.claims
    going_on = [book.open_tasks, book.open_claims, book.rounds, book.tasks_of, book.claims_of]
    going_on += [book.disputes_of_opener, book.openings_of, book.bids_of, book.fees_of]
    assert not any(going_on)
    book.forget([TASK])
    assert book == Book()


@pytest.mark.parametrize(
    ("events", "without"),
    [
        (CONVICTED, bid("BidReclaimed", RIVAL)),
        (CONVICTED, closed(DisputeState.CHALLENGER_WON)),
        (PAID, COLLECTED),
        ([*PAID, COMMITTED], None),
        (CONVICTED[:-1], None),
    ],
    ids=["a stake", "a dispute", "a fee", "a commitment", "a task without an end"],
)
def test_book_keeps_a_task_that_somebody_waits_for(events, without) -> None:
    book = book_of(*[event for event in events if event != without])
    book.forget([TASK])
    assert list(book.tasks) == [TASK]
    assert list(book.claims) == [CLAIM]


def test_book_lists_what_is_going_on_by_whom_it_concerns() -> None:
    book = book_of(*AUCTION, SUBMITTED, COMMITTED)
    assert list(book.open_tasks) == list(book.tasks_of[REQUESTER]) == [TASK]
    assert list(book.open_claims) == list(book.claims_of[SOLVER]) == [CLAIM]
    assert book.openings_of == {VERIFIER: {DISPUTE: CLAIM}}
    assert book.windows[CLAIM] == (40, 50)
    book.enter(*OPENED)
    assert not book.openings_of
    assert list(book.disputes_of_opener[VERIFIER]) == [DISPUTE]
    assert (VERIFIER, DISPUTE) in book.commitments


def test_book_knows_bids_until_the_market_holds_no_stake_behind_them() -> None:
    book = book_of(*AUCTION)
    assert book.bid(TASK, 0, SOLVER) is Bid.REVEALED
    assert book.bid(TASK, 0, RIVAL) is Bid.COMMITTED
    assert book.bid(TASK, 1, RIVAL) is book.bid(TASK, 0, VERIFIER) is Bid.NONE
    book.enter("NoShow", {"taskId": TASK, "solver": SOLVER})
    assert book.bid(TASK, 0, SOLVER) is Bid.NONE
    assert book.bid(TASK, 0, RIVAL) is Bid.COMMITTED


def test_round_names_the_end_that_comes_next() -> None:
    (round_,) = book_of(*AUCTION).rounds.values()
    assert [round_.next_end(now) for now in (9, 10, 20, 30)] == [10, 20, 30, NO_DEADLINE]


def test_book_orders_live_disputes_by_their_clocks() -> None:
    other = {"disputeId": b"e", "claimId": CLAIM, "opener": VERIFIER, "segment": 1}
    book = book_of(*AUCTION, SUBMITTED, OPENED, turned(Side.OPENER, 90), ("DisputeOpened", other))
    book.enter("Turned", {**turned(Side.SOLVER, 80)[1], "disputeId": b"e"})
    live = book.live_disputes([DISPUTE, b"e"])
    assert [record.dispute_id for record in live] == [b"e", DISPUTE]
    assert (live[0].side, live[1].side) == (Side.SOLVER, Side.OPENER)
    book.enter(*closed(DisputeState.SOLVER_WON))
    assert [record.dispute_id for record in book.live_disputes([DISPUTE, b"e"])] == [b"e"]
    book.enter(*FALLEN)
    assert not book.live_disputes([DISPUTE, b"e"])


def test_book_enters_events_of_disputes_that_it_knows_only() -> None:
    book = book_of(*AUCTION, SUBMITTED, OPENED)
    book.enter("TermOpened", {"disputeId": DISPUTE, "term": 3, "leaf": b"leaf"})
    book.enter("TermOpened", {"disputeId": b"unknown", "term": 3, "leaf": b"leaf"})
    book.enter("DisputeClosed", {**closed(DisputeState.REFUNDED)[1], "disputeId": b"unknown"})
    (record,) = book.disputes_of(CLAIM)
    assert isinstance(record, DisputeRecord)
    assert record.leaf == b"leaf"
    book.enter(*closed(DisputeState.SOLVER_WON))
    assert (record.closed, record.side) == (DisputeState.SOLVER_WON, Side.NONE)
    assert record.leaf is None  # what a closed dispute has shown would only fill the memory
    assert record.seen == {"TermOpened", "DisputeClosed"}


def test_book_keeps_who_attested_collected_and_lost() -> None:
    book = book_of(*AUCTION, SUBMITTED, ATTESTED)
    assert list(book.fees_of[VERIFIER]) == [CLAIM]
    assert book.fallen_claims_of(TASK, SOLVER) == []
    book.enter(*COLLECTED)
    assert book.attested == book.collected == {(CLAIM, VERIFIER)}
    book.enter(*FALLEN)
    assert book.fallen_claims_of(TASK, SOLVER) == [CLAIM]
    assert book.fallen_claims_of(TASK, RIVAL) == []
    assert book.fallen_claims_of(b"another", SOLVER) == []
