"""Each check on the challenger's moves: without it an honest solver is convicted or robbed (I1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.dispute.model import Model
from protocol.dispute.moves import (
    CommitOpen,
    Move,
    Open,
    Pick,
    PointBinding,
    PointBoundElement,
    PointKind,
    PointStep,
    PointTerm,
    PostSegment,
    PostTrace,
    Reclaim,
    Refund,
    Timeout,
)
from protocol.dispute.proofs import Prover
from protocol.dispute.refusal import Refusal
from protocol.dispute.rules import bisection, opening, pointing, posting
from protocol.dispute.state import ARITHMETIC, DisputeState, Level, commitment_of
from protocol.dispute.toy import ToyExecution
from protocol.dispute.trees import Tree
from protocol.merkle import leaf_hash
from protocol.program.canonical import encode_node
from tests.adversaries.wrong_arithmetic import WrongArithmetic
from tests.adversaries.wrong_state import WrongState
from tests.dispute.games import BOND, CHALLENGER, CLAIM, NOTHING, REQUESTER, SOLVER, Game
from tests.dispute.holes import without, without_proof
from tests.dispute.matrix import ADVANCE, COUNTER, MIX, ROLL, honest

S = DisputeState
BELIEF = WrongArithmetic(4, MIX, 101, 1, bit=1 << 20)
"""What the accuser says is right; it leads its disputes to a place of the honest run."""

Hole = Callable[[pytest.MonkeyPatch], None]


def check(rule: Callable[..., object], reason: str) -> Hole:
    """The rule's check that refuses with ``reason`` is missing."""
    return lambda patch: without(patch, rule, reason)


def at(state: DisputeState, belief: ToyExecution = BELIEF, **options: object) -> Game:
    """A dispute of the honest run, led astray, at a state."""
    return Game(honest(), belief, **options).open(2).until(state)  # type: ignore[arg-type]


def refused(game: Game, move: Move, reason: str, sender: str = CHALLENGER) -> None:
    """The move is refused for this reason."""
    with pytest.raises(Refusal) as caught:
        game.model.apply(game.id, move, sender, game.tick())
    assert caught.value.reason == reason


def honest_solver_loses_without(
    game: Game, move: Move, reason: str, hole: Hole, sender: str = CHALLENGER
) -> None:
    """The move is refused; with the hole it is accepted, and the honest solver has no answer."""
    refused(game, move, reason, sender)
    with pytest.MonkeyPatch.context() as patch:
        hole(patch)
        game.model.apply(game.id, move, sender, game.tick())
        assert play_on(game) is S.CHALLENGER_WON


def play_on(game: Game) -> DisputeState:
    """The end of the game; a solver asked for what does not exist has nothing to show."""
    try:
        return game.play()
    except (IndexError, ValueError):
        game.expire()
        return game.position.state


# ---------------------------------------------------------------- pointers out of range


def test_segment_beyond_the_last() -> None:
    game = Game(honest(), BELIEF)
    commitment = commitment_of(CLAIM, CHALLENGER, 4, bytes(32))
    game.model.apply(b"", CommitOpen(CLAIM, commitment), CHALLENGER, game.tick())
    game.id = commitment
    honest_solver_loses_without(
        game,
        Open(CLAIM, 4, bytes(32)),
        "SegmentOutOfRange",
        check(opening.open_dispute, "SegmentOutOfRange"),
    )


def test_leaf_zero_of_the_log() -> None:
    game = Game(honest(), BELIEF, serving=NOTHING).open(0).until(S.PICK)
    children = game.model.situation(game.id).opened.children
    move = Pick(game.position.hash(), 0, children)
    refused(game, move, "SegmentOutOfRange")
    with pytest.MonkeyPatch.context() as patch:
        without(patch, bisection.pick, "SegmentOutOfRange")
        game.model.apply(game.id, move, CHALLENGER, game.tick())
    # There is no segment 0: no root of it can be linked to the log.
    assert (game.position.state, game.position.segment) == (S.NEED_SEGMENT, 0)
    game.expire()
    assert game.position.state is S.CHALLENGER_WON


def test_step_beyond_the_segment() -> None:
    game = at(S.POINT_STEP)
    honest_solver_loses_without(
        game,
        PointStep(game.position.hash(), 3),
        "StepOutOfRange",
        check(pointing.point_step, "StepOutOfRange"),
    )


def test_state_tensor_beyond_the_last() -> None:
    game = at(S.BRANCH)
    honest_solver_loses_without(
        game,
        PointBinding(game.position.hash(), 6),
        "BindingOutOfRange",
        check(pointing.point_binding, "BindingOutOfRange"),
    )


def test_node_that_is_a_binding() -> None:
    """The program's leaf after the last node is a binding; its bytes are no node either."""
    game = at(S.BRANCH)
    move = game.challenger.point_node(game.position, 5)
    refused(game, move, "NodeOutOfRange")
    with pytest.MonkeyPatch.context() as patch:
        without(patch, pointing._bound, "NodeOutOfRange")
        refused(game, move, "MalformedNode")


def test_element_beyond_the_tensor() -> None:
    """Below the chunk's length in elements, so that only the element count can tell."""
    game = at(S.BRANCH)
    honest_solver_loses_without(
        game,
        game.challenger.point_element(game.position, ADVANCE, 260),
        "ElementOutOfRange",
        check(pointing._point_element, "ElementOutOfRange"),
    )


def test_term_beyond_the_fold() -> None:
    game = at(S.POINT_TERM)
    honest_solver_loses_without(
        game,
        PointTerm(game.position.hash(), 3, ARITHMETIC),
        "TermOutOfRange",
        check(pointing.point_term, "TermOutOfRange"),
    )


def test_load_beyond_the_last() -> None:
    game = at(S.POINT_TERM)
    honest_solver_loses_without(
        game,
        PointTerm(game.position.hash(), 1, 2),
        "KindOutOfRange",
        check(pointing._point_kind, "KindOutOfRange"),
    )


def test_load_beyond_the_last_of_a_bisected_term() -> None:
    game = at(S.POINT_KIND, serving=NOTHING)
    honest_solver_loses_without(
        game,
        PointKind(game.position.hash(), 2),
        "KindOutOfRange",
        check(pointing._point_kind, "KindOutOfRange"),
    )


# ---------------------------------------------------------------- forged bytes


def test_node_that_is_not_the_program_s() -> None:
    """A fold with another constant: the honest outputs are wrong for it."""
    game = at(S.BRANCH)
    node = honest().node(ADVANCE)
    forged = replace(node, constants=(replace(node.constants[0], word=0x3F400000),))
    move = replace(
        game.challenger.point_element(game.position, ADVANCE, 7), node=encode_node(forged)
    )
    refused(game, move, "RootMismatch")
    with pytest.MonkeyPatch.context() as patch:
        without_proof(patch, pointing._bound, 0)
        game.model.apply(game.id, move, CHALLENGER, game.tick())
    assert game.step()
    p = game.position
    game.model.apply(game.id, PointTerm(p.hash(), 0, ARITHMETIC), CHALLENGER, game.tick())
    assert game.play() is S.CHALLENGER_WON, "its own node's bytes do not fit the descriptor"


def test_pick_among_forged_sub_roots() -> None:
    game = at(S.POINT_TERM, serving=NOTHING).until(S.PICK)
    assert game.position.level is Level.FOLD
    children = tuple(leaf_hash(b"thin air") for _ in game.model.opened[game.id].children)
    honest_solver_loses_without(
        game,
        Pick(game.position.hash(), 1, children),
        "WrongSubroot",
        check(bisection._check_children, "WrongSubroot"),
    )


def test_segment_root_that_is_not_the_solver_s() -> None:
    """Right at both ends, thin air between: nobody could open the middle."""
    game = at(S.NEED_SEGMENT)
    true = game.candidate()
    assert isinstance(true, PostSegment)
    leaves = [*honest().segment_leaves(2)]
    leaves[0] = leaf_hash(b"thin air")
    tree = Tree(leaves)
    forged = replace(true, segment_root=tree.root, proof_end=tuple(tree.proof(2)))
    refused(game, forged, "NotSignedBySolver")
    with pytest.MonkeyPatch.context() as patch:
        without(patch, posting._authenticate, "NotSignedBySolver")
        game.model.apply(game.id, forged, CHALLENGER, game.tick())
    game.model.apply(game.id, PointStep(game.position.hash(), 0), CHALLENGER, game.tick())
    assert game.play() is S.CHALLENGER_WON


def test_trace_root_that_is_not_the_solver_s() -> None:
    game = at(S.NEED_TRACE)
    true = game.candidate()
    assert isinstance(true, PostTrace)
    forged = replace(true, trace_root=leaf_hash(b"thin air"))
    honest_solver_loses_without(
        game,
        forged,
        "NotSignedBySolver",
        check(posting._authenticate, "NotSignedBySolver"),
    )


# ---------------------------------------------------------------- clocks and money


def test_timeout_before_the_deadline() -> None:
    game = at(S.NEED_SEGMENT)
    honest_solver_loses_without(
        game,
        Timeout(),
        "DeadlineNotReached",
        check(opening.timeout, "DeadlineNotReached"),
        sender=REQUESTER,
    )


def test_bond_taken_back_before_the_verdict() -> None:
    """A false accuser that sees itself lose leaves for free."""
    game = at(S.JUDGE)
    refused(game, Refund(), "ClaimNotFallen")
    with pytest.MonkeyPatch.context() as patch:
        without(patch, opening.refund, "ClaimNotFallen")
        game.model.apply(game.id, Refund(), CHALLENGER, game.tick())
    assert game.model.vault.credits[CHALLENGER] == 10 * BOND
    assert game.model.vault.credits[SOLVER] == 0


def test_commitment_taken_back_before_the_reveals_end() -> None:
    """An option to open that costs nothing."""
    game = Game(honest(), BELIEF)
    commitment = commitment_of(CLAIM, CHALLENGER, 2, bytes(32))
    game.model.apply(b"", CommitOpen(CLAIM, commitment), CHALLENGER, game.tick())
    move = Reclaim(CLAIM, CHALLENGER, commitment)
    refused(game, move, "RevealNotOver")
    with pytest.MonkeyPatch.context() as patch:
        without(patch, opening.reclaim, "RevealNotOver")
        game.model.apply(b"", move, CHALLENGER, game.tick())
    assert (CHALLENGER, commitment) not in game.model.commitments


def test_opening_after_the_reveals() -> None:
    """A claim that may be final is disputed again, for ever (I6)."""
    game = Game(honest(), BELIEF)
    facts = game.model.claims.facts_of(CLAIM)
    commitment = commitment_of(CLAIM, CHALLENGER, 2, bytes(32))
    game.model.apply(b"", CommitOpen(CLAIM, commitment), CHALLENGER, facts.window_end - 1)
    game.now = facts.reveal_end
    move = Open(CLAIM, 2, bytes(32))
    refused(game, move, "RevealOver")
    with pytest.MonkeyPatch.context() as patch:
        without(patch, opening.open_dispute, "RevealOver")
        game.model.apply(b"", move, CHALLENGER, game.tick())
    with pytest.raises(Refusal, match="DisputesOpen"):
        game.model.claims.finalise(CLAIM, game.now)


def test_bond_of_another_claim() -> None:
    """A cheap claim's bond must not open a dispute of a dear one."""
    game = Game(honest(), BELIEF)
    cheap = b"\xce" * 32
    facts = game.model.claims.facts
    facts[cheap] = replace(facts[CLAIM], bond=1)
    commitment = commitment_of(CLAIM, CHALLENGER, 2, bytes(32))
    game.model.apply(b"", CommitOpen(cheap, commitment), CHALLENGER, game.tick())
    refused(game, Open(CLAIM, 2, bytes(32)), "UnknownCommitment")


def test_move_in_a_dispute_of_a_claim_that_fell() -> None:
    """After the fall nobody can lose any more: the other challengers' bonds are safe (P25)."""
    liar = WrongState(5, COUNTER)
    loser = Game(liar, liar).open(2).until(S.POINT_STEP)
    winner = Game(liar, honest(), model=loser.model, opener="0x" + "c6" * 20)
    winner.now = loser.now
    winner.open(2)
    assert winner.play() is S.CHALLENGER_WON
    loser.now = winner.now
    move = PointStep(loser.position.hash(), 0)
    refused(loser, move, "ClaimNotDisputable")
    with pytest.MonkeyPatch.context() as patch:
        without(patch, Model.enter, "ClaimNotDisputable")
        without_timeout_refund(patch, loser.model)
        loser.model.apply(loser.id, move, CHALLENGER, loser.tick())
        assert loser.play() is S.SOLVER_WON
    assert loser.model.vault.credits[SOLVER] == 600


def without_timeout_refund(patch: pytest.MonkeyPatch, model: Model) -> None:
    """The fall of the claim is not seen."""
    patch.setattr(type(model.claims), "is_fallen", lambda *_: False)


def test_chunk_opened_bounds_the_element() -> None:
    """Having had one chunk opened, the opener cannot name an element of another one for free."""
    game = at(S.POINT_ELEMENT, WrongArithmetic(4, ROLL, 1030, 0), serving=NOTHING)
    assert game.position.lo == 1
    assert game.position.level is Level.TENSOR
    for element in (0, 1023, 2048):
        refused(game, PointBoundElement(game.position.hash(), element), "ChunkOutsideRange")
    assert game.play() is S.SOLVER_WON


def test_every_accusation_here_fails_when_no_check_is_missing() -> None:
    for belief in (BELIEF, WrongArithmetic(4, ROLL, 1030, 0)):
        for options in ({}, {"serving": NOTHING}):
            game = Game(honest(), belief, **options).open(2)  # type: ignore[arg-type]
            assert game.play() is S.SOLVER_WON
    assert Prover(honest()).log().root == Game(honest(), BELIEF).solver.log().root
