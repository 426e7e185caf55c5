"""Each check on the solver's moves: with it the cheat is refused, without it the liar wins (I2).

A ``Hole`` takes one check out of the rules; everything else stays.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from protocol.dispute.judge import Located, ReferenceJudge
from protocol.dispute.model import Model
from protocol.dispute.moves import JudgeArithmetic, Move, PointStep, PositionMove, PostFold
from protocol.dispute.proofs import Prover
from protocol.dispute.refusal import Refusal
from protocol.dispute.rules import bisection, judging, posting
from protocol.dispute.state import ARITHMETIC, DisputeState, Level
from protocol.dispute.toy import ToyExecution
from protocol.dispute.trees import ChunkTree, Tree, root_of
from protocol.program.canonical import encode_binding, encode_node
from protocol.program.isa import DType
from protocol.program.node import Binding, OperandKind
from tests.adversaries.copied_state import CopiedState
from tests.adversaries.lies import with_accumulator
from tests.adversaries.long_tensor import LongTensor
from tests.adversaries.payload_nan import PayloadNan
from tests.adversaries.random_checkpoint import RandomCheckpoint
from tests.adversaries.wrong_arithmetic import WrongArithmetic
from tests.adversaries.wrong_element import WrongElement
from tests.adversaries.wrong_fold_end import WrongFoldEnd
from tests.adversaries.wrong_load import WrongLoad
from tests.adversaries.wrong_state import WrongState
from tests.dispute.games import CHALLENGER, NOTHING, SECOND, SOLVER, Game
from tests.dispute.holes import without, without_proof
from tests.dispute.matrix import ADVANCE, COUNTER, MIX, ROLL, TICK, honest

S = DisputeState
TRUTH = Prover(honest())
LIE = WrongArithmetic(4, ADVANCE, 7, 0)

Hole = Callable[[pytest.MonkeyPatch], None]


def proof(rule: Callable[..., object], number: int) -> Hole:
    """The rule's ``number``-th inclusion proof is not checked."""
    return lambda patch: without_proof(patch, rule, number)


def check(rule: Callable[..., object], reason: str) -> Hole:
    """The rule's check that refuses with ``reason`` is missing."""
    return lambda patch: without(patch, rule, reason)


def liar_wins_without(
    game: Game, move: Move, reason: str, hole: Hole, then: ToyExecution | None = None
) -> None:
    """The solver's move is refused; with the hole it is accepted and the solver wins.

    ``then`` is the run that it goes on with, if another.
    """
    with pytest.raises(Refusal) as caught:
        game.model.apply(game.id, move, SOLVER, game.tick())
    assert caught.value.reason == reason
    with pytest.MonkeyPatch.context() as patch:
        hole(patch)
        game.model.apply(game.id, move, SOLVER, game.tick())
    if then is not None:
        game.solver = Prover(then)
    assert game.play() is S.SOLVER_WON
    assert not game.model.claims.fallen


def at(solver: ToyExecution, state: DisputeState, **options: object) -> Game:
    """A game of the lie, served unless told otherwise, at a state."""
    return Game(solver, honest(), **options).open(2).until(state)  # type: ignore[arg-type]


def mine(game: Game) -> PositionMove:
    """The solver's own move."""
    move = game.candidate()
    assert move is not None
    return move


# ---------------------------------------------------------------- segment


class OtherStart(WrongState):
    """Begins segment 2 from a state that is not the checkpoint in its log."""

    def __init__(self) -> None:
        super().__init__(2, COUNTER)

    def log_leaves(self) -> list[bytes]:
        leaves = super().log_leaves()
        leaves[1] = honest().log_leaves()[1]
        return leaves


def test_segment_that_begins_elsewhere() -> None:
    game = at(OtherStart(), S.NEED_SEGMENT)
    move = replace(mine(game), before=game.solver.execution.segment_leaves(1)[-1])
    hole = proof(posting.post_segment, 0)
    liar_wins_without(game, move, "RootMismatch", hole, then=WrongState(2, COUNTER))


def test_segment_that_ends_elsewhere_than_the_log() -> None:
    game = at(RandomCheckpoint(2), S.NEED_SEGMENT)
    move = replace(mine(game), after=honest().log_leaves()[2])
    liar_wins_without(game, move, "RootMismatch", proof(posting.post_segment, 1))


def test_segment_whose_last_leaf_is_not_the_checkpoint() -> None:
    game = at(RandomCheckpoint(2), S.NEED_SEGMENT)
    liar_wins_without(game, mine(game), "RootMismatch", proof(posting.post_segment, 2))


class OtherSegment(ToyExecution):
    """The honest run, but for the end of segment 2, where the lie's log leads."""

    def segment_leaves(self, segment: int) -> list[bytes]:
        leaves = super().segment_leaves(segment)
        return [*leaves[:2], LIE.segment_leaves(2)[2]] if segment == 2 else leaves


def test_segment_posted_twice_with_different_roots() -> None:
    """The root that a challenger has pointed into must not change under it."""
    game = at(LIE, S.NEED_SEGMENT)
    puppet = Game(LIE, honest(), model=game.model, opener=SECOND)
    puppet.now = game.now
    puppet.open(2)
    other = Tree(OtherSegment().segment_leaves(2))
    game.until(S.NEED_TRACE)
    again = replace(
        puppet.solver.post_segment(puppet.position),
        segment_root=other.root,
        proof_end=tuple(other.proof(2)),
    )
    with pytest.raises(Refusal) as caught:
        puppet.model.apply(puppet.id, again, SOLVER, game.tick())
    assert caught.value.reason == "RootAlreadyStored"
    with pytest.MonkeyPatch.context() as patch:
        without(patch, posting._authenticate, "RootAlreadyStored")
        puppet.model.apply(puppet.id, again, SOLVER, game.tick())
    game.solver = Prover(OtherSegment())
    assert game.step(), "the honest trace of step 4 fits the other root"
    assert game.play() is S.SOLVER_WON


# ---------------------------------------------------------------- trace


class Jump(WrongState):
    """Step ``step`` starts from a state that is not the one that the segment shows before it."""

    def __init__(self, step: int) -> None:
        super().__init__(step - 1, COUNTER)
        self._shown = step - 1

    def segment_leaves(self, segment: int) -> list[bytes]:
        leaves = super().segment_leaves(segment)
        at = self._shown - 3
        if segment == 2 and at >= 0:
            leaves[at] = honest().segment_leaves(2)[at]
        return leaves

    def log_leaves(self) -> list[bytes]:
        leaves = super().log_leaves()
        leaves[1] = honest().log_leaves()[1]
        return leaves


def test_trace_from_another_state_than_the_segment_leaf_before() -> None:
    liar = Jump(4)
    game = at(liar, S.NEED_TRACE)
    assert game.position.step == 4
    move = replace(mine(game), pre=root_of(liar.state_leaves(4)))
    liar_wins_without(game, move, "RootMismatch", proof(posting.post_trace, 0))


def test_trace_of_the_first_step_from_another_state_than_the_checkpoint() -> None:
    liar = Jump(3)
    game = at(liar, S.NEED_TRACE)
    assert game.position.step == 3
    move = replace(mine(game), pre=root_of(liar.state_leaves(3)))
    liar_wins_without(game, move, "WrongPreState", check(posting.post_trace, "WrongPreState"))


def test_trace_to_another_state_than_the_pointed_leaf() -> None:
    game = at(CopiedState(4), S.NEED_TRACE)
    move = replace(mine(game), post=honest().segment_leaves(2)[1])
    liar_wins_without(game, move, "RootMismatch", proof(posting.post_trace, 1))


# ---------------------------------------------------------------- binding


def test_binding_of_another_program() -> None:
    game = at(CopiedState(4), S.ANSWER_BINDING)
    q = game.position.binding
    shape = game.solver.execution.toy.state[q].shape  # type: ignore[attr-defined]
    forged = encode_binding(Binding(OperandKind.STATE, q, DType.F32, shape))
    states = game.solver.state(4)
    move = replace(
        mine(game),
        binding=forged,
        source_leaf=states.leaf(q),
        source_proof=tuple(states.proof(q)),
    )
    liar_wins_without(game, move, "RootMismatch", proof(judging.answer_binding, 0))


def test_binding_with_another_state_tensor() -> None:
    game = at(WrongState(4, COUNTER), S.ANSWER_BINDING)
    move = mine(game)
    move = replace(move, post_leaf=move.source_leaf)  # type: ignore[attr-defined]
    liar_wins_without(game, move, "RootMismatch", proof(judging.answer_binding, 1))


def test_binding_with_another_source() -> None:
    game = at(WrongState(4, COUNTER), S.ANSWER_BINDING)
    move = mine(game)
    move = replace(move, source_leaf=move.post_leaf)  # type: ignore[attr-defined]
    liar_wins_without(game, move, "RootMismatch", proof(judging._check_source, 0))


# ---------------------------------------------------------------- fold


def fold_of(game: Game) -> PostFold:
    """The solver's fold move, whatever it is worth."""
    return game.solver.post_fold(game.position)


def test_fold_of_another_tensor_than_the_trace_names() -> None:
    game = at(WrongElement(4, ROLL, 1030), S.NEED_FOLD)
    true = TRUTH.post_fold(game.position)
    move = replace(true, trace_proof=fold_of(game).trace_proof)
    liar_wins_without(game, move, "RootMismatch", proof(posting.post_fold, 0))


def test_fold_of_another_chunk_than_the_tensor_holds() -> None:
    game = at(WrongElement(4, ROLL, 1030), S.NEED_FOLD)
    move = replace(fold_of(game), chunk=TRUTH.post_fold(game.position).chunk)
    liar_wins_without(game, move, "RootMismatch", proof(posting.post_fold, 1))


def test_fold_whose_last_leaf_is_another() -> None:
    game = at(WrongElement(4, ROLL, 1030), S.NEED_FOLD)
    true = fold_of(game)
    word = true.chunk[1030 - 1024]
    move = replace(true, last_leaf=with_accumulator(true.last_leaf, word))
    liar_wins_without(game, move, "RootMismatch", proof(posting.post_fold, 2))


def test_fold_that_ends_at_another_word_than_the_element() -> None:
    game = at(WrongElement(4, ROLL, 1030), S.NEED_FOLD)
    liar_wins_without(game, fold_of(game), "WrongElement", check(posting.post_fold, "WrongElement"))


def test_fold_that_ends_at_a_nan_with_a_payload() -> None:
    game = at(PayloadNan(4, ADVANCE, 7), S.NEED_FOLD)
    with pytest.raises(Refusal) as caught:
        game.model.apply(game.id, mine(game), SOLVER, game.tick())
    assert caught.value.reason == "AccumulatorNotCanonical"


def test_fold_of_a_tensor_that_is_longer_than_its_shape() -> None:
    game = at(LongTensor(4, ADVANCE), S.BRANCH)
    pointer = game.challenger.point_element(game.position, ADVANCE, 259)
    game.model.apply(game.id, pointer, CHALLENGER, game.tick())
    with pytest.raises(Refusal) as caught:
        game.model.apply(game.id, mine(game), SOLVER, game.tick())
    assert caught.value.reason == "WrongLength"


# ---------------------------------------------------------------- bisection


def test_reveal_of_sub_roots_of_another_tree() -> None:
    game = at(LIE, S.REVEAL, serving=NOTHING)
    assert game.position.level is Level.SEGMENT
    move = TRUTH.reveal(game.position)
    # The opener sees nothing wrong in what was revealed, and has nothing to pick.
    liar_wins_without(game, move, "WrongSubroot", check(bisection._check_children, "WrongSubroot"))


def test_chunk_opened_that_is_not_the_committed_one() -> None:
    game = at(WrongFoldEnd(4, ROLL, 1030), S.NEED_CHUNK, serving=NOTHING)
    move = TRUTH.open_chunk(game.position)
    liar_wins_without(game, move, "WrongSubroot", check(bisection._check_leaf, "WrongSubroot"))


def test_term_opened_that_is_not_the_committed_one() -> None:
    game = at(WrongFoldEnd(4, ROLL, 1030), S.NEED_TERM, serving=NOTHING)
    move = TRUTH.open_term(game.position)
    liar_wins_without(game, move, "WrongSubroot", check(bisection._check_leaf, "WrongSubroot"))


def test_tensor_opened_that_the_trace_does_not_name() -> None:
    game = at(WrongFoldEnd(4, ROLL, 1030), S.NEED_TENSOR, serving=NOTHING)
    move = TRUTH.open_tensor(game.position)
    move = replace(move, trace_proof=game.solver.open_tensor(game.position).trace_proof)
    liar_wins_without(game, move, "RootMismatch", proof(bisection.open_tensor, 0))


# ---------------------------------------------------------------- judgement


def test_judgement_of_another_node() -> None:
    game = at(WrongArithmetic(4, TICK, 0, 0), S.JUDGE)
    node = honest().node(TICK)
    # Another constant than 1, such that the step counter jumps as the liar claims.
    leaf = game.solver.fold(4, TICK, 0).leaf(0)
    claimed, word = struct.unpack(">2I", leaf)
    constant = replace(node.constants[0], word=(claimed - word) & 0xFFFFFFFF)
    forged = replace(node, constants=(constant,))
    move = replace(mine(game), node=encode_node(forged))
    liar_wins_without(
        game, move, "WrongDescriptor", check(judging._check_descriptor, "WrongDescriptor")
    )


def test_judgement_of_another_leaf() -> None:
    game = at(LIE, S.JUDGE)
    true = TRUTH.judge_arithmetic(game.position)
    move = replace(mine(game), leaf=true.leaf)
    liar_wins_without(game, move, "RootMismatch", proof(judging._check_term, 0))


def test_judgement_with_another_previous_leaf() -> None:
    """A wrong sum is excused by a summand that was never there."""
    game = at(WrongArithmetic(4, ROLL, 1030, 1, bit=2), S.JUDGE)
    move = mine(game)
    assert isinstance(move, JudgeArithmetic)
    assert game.position.term == 1
    claimed, *words = struct.unpack(">3I", move.leaf)
    previous = (claimed - sum(words)) & 0xFFFFFFFF
    move = replace(move, previous_leaf=with_accumulator(move.previous_leaf, previous))
    hole = second_term_proof
    liar_wins_without(game, move, "RootMismatch", hole)


def second_term_proof(patch: pytest.MonkeyPatch) -> None:
    """Only the pointed term's proof is checked, not that of the term before it."""
    original = judging._check_term

    def lax(model: object, d: object, term: int, *rest: object) -> None:
        if term == d.term:  # type: ignore[attr-defined]
            original(model, d, term, *rest)  # type: ignore[arg-type]

    patch.setattr(judging, "_check_term", lax)


def test_judgement_of_the_arithmetic_when_a_load_was_pointed_at() -> None:
    game = at(WrongLoad(4, MIX, 101, 1, 0), S.JUDGE)
    move = game.solver.judge_arithmetic(game.position)
    liar_wins_without(game, move, "WrongKind", check(judging.judge_arithmetic, "WrongKind"))


def forged_table(game: Game) -> ChunkTree:
    """The data tensor as the liar wishes it were."""
    leaf = game.solver.fold(4, MIX, 101).leaf(1)
    word = struct.unpack(">3I", leaf)[1]
    stored = bytearray(honest().data_tensor(0))
    struct.pack_into("<I", stored, 4 * (101 * 3 + 1), word)
    return ChunkTree(bytes(stored))


def test_judgement_of_a_load_from_another_tensor() -> None:
    game = at(WrongLoad(4, MIX, 101, 1, 0), S.JUDGE)
    tree = forged_table(game)
    chunk = (101 * 3 + 1) * 4 // 1024
    move = replace(
        mine(game),
        tensor_root=tree.root,
        chunk=tree.leaf(chunk),
        chunk_proof=tuple(tree.proof(chunk)),
    )
    liar_wins_without(game, move, "RootMismatch", proof(judging._check_source, 0))


def test_judgement_of_a_load_from_another_chunk() -> None:
    game = at(WrongLoad(4, MIX, 101, 1, 0), S.JUDGE)
    chunk = (101 * 3 + 1) * 4 // 1024
    move = replace(mine(game), chunk=forged_table(game).leaf(chunk))
    liar_wins_without(game, move, "RootMismatch", proof(judging._open_word, 0))


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"tensor_root": b"\1" * 32}, "WrongSubroot"),
        ({"tensor_proof": (bytes(32),)}, "WrongLength"),
        ({"chunk": b"\0"}, "WrongLength"),
        ({"chunk_proof": (bytes(32),)}, "WrongLength"),
    ],
)
def test_judgement_of_a_load_out_of_bounds_with_anything_opened(
    extra: dict[str, object], reason: str
) -> None:
    """X05: out of bounds the word is the fill word, and nothing is consumed."""
    game = at(WrongLoad(4, MIX, 259, 2, 1, bits=0x3F000000), S.JUDGE)
    with pytest.raises(Refusal) as caught:
        game.model.apply(game.id, replace(mine(game), **extra), SOLVER, game.tick())
    assert caught.value.reason == reason
    assert game.play() is S.CHALLENGER_WON


class Elsewhere(ReferenceJudge):
    """A judge of a hostile program, whose load reads another operand than a valid one could."""

    def __init__(self, kind: OperandKind, index: int) -> None:
        self._operand = (kind, index)

    def locate(
        self, node: bytes, element: int, term: int, load: int, words: Sequence[int]
    ) -> Located:
        kind, index = self._operand
        located = super().locate(node, element, term, load, words)
        return replace(located, in_bounds=True, kind=kind, index=index)


@pytest.mark.parametrize(
    ("kind", "index", "reason"),
    [
        (OperandKind.NODE, MIX, "OperandNotEarlier"),
        (OperandKind.NODE, ADVANCE, "OperandNotEarlier"),
        (OperandKind.STATE, 6, "SourceOutOfRange"),
        (OperandKind.DATA, 2, "SourceOutOfRange"),
    ],
)
def test_judgement_of_a_load_that_no_valid_program_has(
    kind: OperandKind, index: int, reason: str
) -> None:
    """P08: a node that reads itself, a later node, or what is not there."""
    game = at(WrongLoad(4, MIX, 101, 1, 0), S.JUDGE)
    move = mine(game)
    game.model.judge = Elsewhere(kind, index)
    with pytest.raises(Refusal) as caught:
        game.model.apply(game.id, move, SOLVER, game.tick())
    assert caught.value.reason == reason


# ---------------------------------------------------------------- doors


def test_opener_move_made_by_the_solver() -> None:
    """The solver points its challenger at a step that is right."""
    game = at(LIE, S.POINT_STEP)
    move = PointStep(game.position.hash(), 0)
    liar_wins_without(game, move, "NotOpener", lambda patch: door(patch, Model, "NotOpener"))


def door(patch: pytest.MonkeyPatch, model: type, reason: str) -> None:
    """A door without one of its checks."""
    without(patch, model.enter, reason)  # type: ignore[attr-defined]


def test_move_made_for_another_position() -> None:
    """After a reorganisation the solver's other root stands: an old pointer misses it (P01)."""
    first = at(LIE, S.POINT_STEP)
    stale = first.candidate()
    game = at(WrongArithmetic(5, ADVANCE, 7, 0), S.POINT_STEP)
    assert stale is not None
    with pytest.raises(Refusal) as caught:
        game.model.apply(game.id, stale, CHALLENGER, game.tick())
    assert caught.value.reason == "StalePosition"
    with pytest.MonkeyPatch.context() as patch:
        door(patch, Model, "StalePosition")
        game.model.apply(game.id, stale, CHALLENGER, game.tick())
    assert game.play() is S.SOLVER_WON


def test_every_cheat_here_is_convicted_when_no_check_is_missing() -> None:
    """The liars above are no strange ones: with all checks each of them loses."""
    liars: list[ToyExecution] = [
        OtherStart(),
        RandomCheckpoint(2),
        Jump(4),
        Jump(3),
        CopiedState(4),
        WrongState(4, COUNTER),
        WrongElement(4, ROLL, 1030),
        WrongFoldEnd(4, ROLL, 1030),
        WrongArithmetic(4, TICK, 0, 0),
        WrongArithmetic(4, ROLL, 1030, 1, bit=2),
        WrongLoad(4, MIX, 101, 1, 0),
        LIE,
    ]
    for liar in liars:
        assert Game(liar, honest()).open(2).play() is S.CHALLENGER_WON
    assert ARITHMETIC == 0xFF
