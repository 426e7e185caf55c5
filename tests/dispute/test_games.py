"""Games in small: the shortest ones, shared roots, precedence, deadlines, refunds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.dispute.bounds import most_seconds, rounds
from protocol.dispute.moves import (
    CommitOpen,
    Open,
    PointStep,
    Reclaim,
    Refund,
    Timeout,
    UseRoot,
)
from protocol.dispute.refusal import Refusal
from protocol.dispute.state import (
    DisputeState,
    Level,
    Side,
    commitment_of,
    is_final,
    segment_path,
)
from tests.adversaries.random_checkpoint import RandomCheckpoint
from tests.adversaries.wrong_arithmetic import WrongArithmetic
from tests.adversaries.wrong_state import WrongState
from tests.dispute.games import (
    BOND,
    CHALLENGER,
    CLAIM,
    EVERYTHING,
    NOTHING,
    PARAMETERS,
    REQUESTER,
    SECOND,
    SOLVER,
    START,
    Game,
)
from tests.dispute.matrix import ADVANCE, MIX, honest

LIE = WrongArithmetic(4, ADVANCE, 7, 0)


def refused(game: Game, reason: str, move: object, sender: str, now: int | None = None) -> None:
    """The move is refused for this reason."""
    with pytest.raises(Refusal) as caught:
        game.model.apply(game.id, move, sender, game.now if now is None else now)  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_game_with_served_leaves_takes_nine_transactions() -> None:
    game = Game(LIE, honest()).open()
    assert game.play() is DisputeState.CHALLENGER_WON
    assert ["commitOpen", "open", *game.moves] == [
        "commitOpen",
        "open",
        "postSegment",
        "pointStep",
        "postTrace",
        "pointElement",
        "postFold",
        "pointTerm",
        "judgeArithmetic",
    ]


def test_game_with_withheld_leaves_bisects_every_level() -> None:
    game = Game(LIE, honest(), serving=NOTHING).open()
    assert game.position.segment == 0
    assert game.play() is DisputeState.CHALLENGER_WON
    assert game.moves.count("reveal") == game.moves.count("pick") == 4
    assert [m for m in game.moves if m not in ("reveal", "pick", "bisect")] == [
        "postSegment",
        "postTrace",
        "pointNode",
        "openTensor",
        "openChunk",
        "pointBoundElement",
        "postFold",
        "openTerm",
        "pointKind",
        "judgeArithmetic",
    ]


def test_game_about_a_binding_ends_after_the_trace() -> None:
    game = Game(WrongState(5, 2), honest()).open()
    assert game.play() is DisputeState.CHALLENGER_WON
    assert game.moves == ["postSegment", "pointStep", "postTrace", "pointBinding", "answerBinding"]


@pytest.mark.parametrize(("size", "count"), [(1, 0), (2, 1), (32, 1), (33, 2), (1024, 2)])
def test_rounds_is_the_number_of_reveals(size: int, count: int) -> None:
    assert rounds(size) == count


@pytest.mark.parametrize("serving", [EVERYTHING, NOTHING], ids=["served", "withheld"])
def test_slowest_game_ends_within_the_bound(serving: frozenset[Level]) -> None:
    """I6: both sides move in their last second, and the last one not at all."""
    game = Game(LIE, honest(), serving=serving)
    facts = game.model.claims.facts_of(CLAIM)
    game.open()
    began = game.now
    while not is_final(game.position.state):
        _, deadline = game.model.clock(game.id, game.now)
        game.now = max(game.now, deadline - 2)
        if game.position.state is DisputeState.JUDGE or not game.step():
            game.expire()
    bound = most_seconds(facts, PARAMETERS, chunks=3, terms=5, queued_steps=1)
    assert PARAMETERS.solver_seconds < game.now - began <= bound


# ---------------------------------------------------------------- deadlines (P18, P19)


@pytest.mark.parametrize("state", [DisputeState.NEED_SEGMENT, DisputeState.POINT_STEP])
def test_deadline_second_before_moves_second_of_times_out(state: DisputeState) -> None:
    game = Game(LIE, honest()).open().until(state)
    side, deadline = game.model.clock(game.id, game.now)
    move = game.candidate()
    assert move is not None
    sender = SOLVER if side is Side.SOLVER else CHALLENGER
    refused(game, "DeadlineNotReached", Timeout(), REQUESTER, deadline - 1)
    refused(game, "DeadlinePassed", move, sender, deadline)
    refused(game, "DeadlinePassed", move, sender, deadline + 1)
    game.model.apply(game.id, move, sender, deadline - 1)


@pytest.mark.parametrize("late", [0, 1, 10**6])
def test_timeout_means_the_same_however_late_it_is_claimed(late: int) -> None:
    game = Game(LIE, honest()).open().until(DisputeState.POINT_STEP)
    _, deadline = game.model.clock(game.id, game.now)
    game.model.apply(game.id, Timeout(), REQUESTER, deadline + late)
    assert game.position.state is DisputeState.SOLVER_WON


def test_turn_that_waits_for_a_segment_has_the_queue_and_the_grace_for_free() -> None:
    game = Game(LIE, honest()).open()
    facts = game.model.claims.facts_of(CLAIM)
    free = facts.segment_seconds + PARAMETERS.grace_seconds
    game.tick(free - 1)
    assert game.step()
    assert game.model.record(game.id).clock.solver_left == PARAMETERS.solver_seconds


def test_clock_before_the_start_runs_for_nobody() -> None:
    game = Game(LIE, honest(), clock_start=START + 500).open()
    assert game.model.clock(game.id, game.now) == (Side.NONE, START + 500)
    move = game.candidate()
    assert move is not None
    refused(game, "NotStarted", move, SOLVER)
    refused(game, "DeadlineNotReached", Timeout(), REQUESTER)
    game.now = START + 499
    assert game.step()


# ---------------------------------------------------------------- several disputes of a claim


def two_disputes() -> tuple[Game, Game]:
    """Two challengers against one lie, both waiting for the segment."""
    first = Game(LIE, honest()).open()
    second = Game(LIE, honest(), model=first.model, opener=SECOND)
    second.now = first.now
    return first, second.open()


def test_root_posted_in_one_dispute_is_used_in_the_other() -> None:
    first, second = two_disputes()
    assert first.step()
    second.now = first.now
    assert second.step()
    assert second.moves == ["useRoot"]
    assert first.model.queues[CLAIM].finish.keys() == {segment_path(2)}


def test_root_stored_before_the_opening_is_used_at_once() -> None:
    first = Game(LIE, honest()).open().until(DisputeState.BRANCH)
    second = Game(LIE, honest(), model=first.model, opener=SECOND)
    second.now = first.now
    second.open()
    assert second.position.state is DisputeState.POINT_STEP
    assert second.step()
    assert second.position.state is DisputeState.BRANCH
    assert "postSegment" not in second.moves


def test_root_of_another_path_cannot_be_used() -> None:
    game = Game(LIE, honest()).open()
    refused(game, "RootNotStored", UseRoot(game.position.hash()), SOLVER)


def test_second_challenger_gets_its_bond_back_when_the_first_wins() -> None:
    """P25, I7: the bond goes back whole, once."""
    first, second = two_disputes()
    assert first.play() is DisputeState.CHALLENGER_WON
    move = second.candidate()
    refused(second, "ClaimNotDisputable", move, SOLVER)
    second.model.apply(second.id, Refund(), REQUESTER, second.now)
    assert second.position.state is DisputeState.REFUNDED
    assert second.model.vault.credits[SECOND] == 10 * BOND
    for again in (Refund(), Timeout()):
        refused(second, "DisputeOver", again, REQUESTER)
    assert first.model.claims.open_disputes[CLAIM] == 0


def test_timeout_after_the_fall_is_a_refund() -> None:
    first, second = two_disputes()
    first.play()
    second.model.apply(second.id, Timeout(), REQUESTER, second.now + 10**6)
    assert second.position.state is DisputeState.REFUNDED


def test_refund_before_the_fall_is_refused() -> None:
    game = Game(LIE, honest()).open()
    refused(game, "ClaimNotFallen", Refund(), CHALLENGER)


def test_drawn_verifier_of_the_segment_has_precedence_as_beneficiary() -> None:
    first, second = two_disputes()
    first.model.claims.drawn.add((CLAIM, 2, SECOND))
    third = Game(LIE, honest(), model=first.model, opener=SECOND)
    third.now = second.now
    third.open()
    assert first.play() is DisputeState.CHALLENGER_WON
    assert first.model.claims.fallen == {CLAIM: SECOND}


def test_drawn_verifier_that_ran_out_of_time_loses_its_precedence() -> None:
    first = Game(LIE, honest())
    first.model.claims.drawn.add((CLAIM, 2, SECOND))
    drawn = Game(LIE, honest(), model=first.model, opener=SECOND).open()
    drawn.until(DisputeState.POINT_STEP)
    _, first.now = drawn.model.clock(drawn.id, drawn.now)
    assert first.open(2).play() is DisputeState.CHALLENGER_WON
    assert first.model.claims.fallen == {CLAIM: CHALLENGER}


# ---------------------------------------------------------------- opening


def test_opening_in_the_block_of_the_commitment_is_refused() -> None:
    game = Game(LIE, honest())
    commitment = commitment_of(CLAIM, CHALLENGER, 2, bytes(32))
    game.model.apply(b"", CommitOpen(CLAIM, commitment), CHALLENGER, game.now)
    refused(game, "CommitmentTooYoung", Open(CLAIM, 2, bytes(32)), CHALLENGER)
    refused(game, "UnknownCommitment", Open(CLAIM, 2, bytes(32)), SECOND, game.now + 1)
    refused(game, "UnknownCommitment", Open(CLAIM, 3, bytes(32)), CHALLENGER, game.now + 1)
    game.model.apply(b"", Open(CLAIM, 2, bytes(32)), CHALLENGER, game.now + 1)


def test_opening_of_a_segment_beyond_the_last_is_refused() -> None:
    game = Game(LIE, honest())
    commitment = commitment_of(CLAIM, CHALLENGER, 4, bytes(32))
    game.model.apply(b"", CommitOpen(CLAIM, commitment), CHALLENGER, game.now)
    refused(game, "SegmentOutOfRange", Open(CLAIM, 4, bytes(32)), CHALLENGER, game.now + 1)


def test_commitment_made_twice_is_refused_before_and_after_its_opening() -> None:
    """The commitment is the dispute's id: a second bond would be lost in the first one's pot."""
    game = Game(LIE, honest())
    commitment = commitment_of(CLAIM, CHALLENGER, 2, bytes(32))
    move = CommitOpen(CLAIM, commitment)
    game.model.apply(b"", move, CHALLENGER, game.tick())
    refused(game, "CommitmentExists", move, CHALLENGER, game.tick())
    game.model.apply(b"", Open(CLAIM, 2, bytes(32)), CHALLENGER, game.tick())
    refused(game, "CommitmentExists", move, CHALLENGER, game.tick())


def test_commitment_without_the_credit_for_the_bond_is_refused() -> None:
    game = Game(LIE, honest())
    refused(game, "InsufficientCredit", CommitOpen(CLAIM, bytes(32)), SECOND)


def test_move_in_an_unknown_dispute_is_refused() -> None:
    game = Game(LIE, honest())
    for move in (Timeout(), Refund(), PointStep(bytes(32), 0)):
        refused(game, "UnknownDispute", move, CHALLENGER)


def test_commitment_never_opened_burns_a_share_and_returns_the_rest() -> None:
    game = Game(LIE, honest())
    facts = game.model.claims.facts_of(CLAIM)
    commitment = commitment_of(CLAIM, CHALLENGER, 2, bytes(32))
    refused(game, "OpeningOver", CommitOpen(CLAIM, commitment), CHALLENGER, facts.window_end)
    game.model.apply(b"", CommitOpen(CLAIM, commitment), CHALLENGER, facts.window_end - 1)
    refused(game, "RevealOver", Open(CLAIM, 2, bytes(32)), CHALLENGER, facts.reveal_end)
    reclaim = Reclaim(CLAIM, CHALLENGER, commitment)
    refused(game, "RevealNotOver", reclaim, REQUESTER, facts.reveal_end - 1)
    game.model.apply(b"", reclaim, REQUESTER, facts.reveal_end)
    assert game.model.vault.burned == 100
    assert game.model.vault.credits[CHALLENGER] == 10 * BOND - 100


def test_commitment_of_a_claim_that_fell_is_returned_whole() -> None:
    game = Game(LIE, honest())
    commitment = commitment_of(CLAIM, SECOND, 2, bytes(32))
    game.model.deposit(SECOND, BOND)
    game.model.apply(b"", CommitOpen(CLAIM, commitment), SECOND, game.now)
    game.open().play()
    refused(game, "ClaimNotDisputable", Open(CLAIM, 2, bytes(32)), SECOND)
    game.model.apply(b"", Reclaim(CLAIM, SECOND, commitment), SOLVER, game.now)
    assert game.model.vault.credits[SECOND] == BOND


# ---------------------------------------------------------------- who and what


def test_opener_move_by_another_is_refused() -> None:
    game = Game(LIE, honest()).open().until(DisputeState.POINT_STEP)
    refused(game, "NotOpener", PointStep(game.position.hash(), 0), SOLVER)


def test_new_root_by_another_without_signature_is_refused_openings_are_not() -> None:
    game = Game(LIE, honest()).open()
    move = game.candidate()
    refused(game, "NotSignedBySolver", move, CHALLENGER)
    game.until(DisputeState.JUDGE)
    judgement = game.candidate()
    assert judgement is not None
    game.model.apply(game.id, judgement, REQUESTER, game.tick())
    assert game.position.state is DisputeState.CHALLENGER_WON


def test_move_made_for_an_earlier_position_is_refused() -> None:
    game = Game(LIE, honest(), serving=NOTHING).open(0).until(DisputeState.PICK)
    stale = game.candidate()
    assert stale is not None
    game.until(DisputeState.NEED_SEGMENT).until(DisputeState.REVEAL).until(DisputeState.PICK)
    refused(game, "StalePosition", stale, CHALLENGER)


def test_log_leaf_zero_cannot_be_picked() -> None:
    """Leaf 0 is the initial state, which the submission checked."""
    game = Game(RandomCheckpoint(1), honest(), serving=NOTHING).open(0)
    game.until(DisputeState.PICK)
    move = game.candidate()
    assert move is not None
    assert game.position.level is Level.LOG
    refused(game, "SegmentOutOfRange", replace(move, child=0), CHALLENGER)
    assert game.step()
    assert game.position.segment == 1


def test_fold_at_a_node_of_several_terms_is_pointed_at_the_first_wrong_one() -> None:
    game = Game(WrongArithmetic(4, MIX, 259, 1, bit=1 << 20), honest()).open()
    game.until(DisputeState.JUDGE)
    assert (game.position.term, game.position.kind) == (1, 0xFF)
