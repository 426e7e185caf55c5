"""The verdict: arithmetic, loads of every kind, bindings; openings by anyone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.dispute.moves import AnswerBinding, JudgeArithmetic, JudgeLoad
from protocol.dispute.proofs import Prover
from protocol.dispute.state import ARITHMETIC, DisputeState
from protocol.dispute.toy import SMALL, ToyExecution, Words, f32
from protocol.dispute.trees import Tree
from protocol.program.canonical import encode_binding, encode_node
from protocol.program.isa import DType
from protocol.program.node import Binding, Load, Node, Operand, OperandKind
from tests.contracts.dispute.arena import (
    ELEMENT,
    NODE,
    STEP,
    TERM,
    Arena,
    Cheat,
    bad_proofs,
    bent,
    cheat,
    refused,
)

S = DisputeState
MIX, ADVANCE, ROLL, PICK = 1, 2, 3, 4


class FalseWord(ToyExecution):
    """A run that takes a wrong word for one load, and goes on with it."""

    def __init__(self, where: tuple[int, int, int, int], load: int) -> None:
        super().__init__(SMALL)
        self.where, self.load = where, load

    def term(
        self, step: int, node: int, element: int, term: int, previous: int
    ) -> tuple[int, Words]:
        accumulator, words = super().term(step, node, element, term, previous)
        if (step, node, element, term) == self.where:
            words = [w ^ (k == self.load) for k, w in enumerate(words)]
        return accumulator, words


class FalseState(ToyExecution):
    """A run that stores another tensor than the one that the binding names."""

    def __init__(self, index: int) -> None:
        super().__init__(SMALL)
        self.index = index

    def compute_state(self, step: int, index: int) -> bytes:
        right = super().compute_state(step, index)
        return bent(right) if (step, index) == (STEP + 1, self.index) else right


def to_judge(arena: Arena, run: ToyExecution | None = None, **pointers: int) -> bytes:
    """A dispute about the run, in JUDGE or ANSWER_BINDING."""
    if run is not None:
        arena.register(Prover(run), claim=b"\xc1" * 32)
    dispute = arena.open()
    binding = "binding" in pointers
    arena.descend(dispute, S.ANSWER_BINDING if binding else S.JUDGE, **pointers)
    return dispute


# -------------------------------------------------------------------- arithmetic


@pytest.mark.parametrize("term", [0, 1, 2])
def test_right_arithmetic_acquits(arena: Arena, term: int):
    dispute = to_judge(arena, term=term)
    receipt = arena.answer(dispute, sender=arena.other)
    [event] = arena.events(receipt, "ArithmeticJudged")
    assert event["computed"] == event["claimed"]
    assert arena.state(dispute) is S.SOLVER_WON


@pytest.mark.parametrize("term", [0, 1, 2])
def test_one_wrong_bit_convicts(arena: Arena, term: int):
    dispute = to_judge(arena, Cheat(SMALL, (STEP, NODE, ELEMENT, term)), term=term)
    receipt = arena.answer(dispute, sender=arena.other)
    [event] = arena.events(receipt, "ArithmeticJudged")
    assert event["computed"] ^ event["claimed"] == 1
    assert arena.state(dispute) is S.CHALLENGER_WON
    [closed] = arena.events(receipt, "DisputeClosed")
    assert closed["beneficiary"] == arena.opener


@pytest.mark.parametrize(
    ("node", "element", "term"), [(0, 0, 0), (ADVANCE, 259, 0), (ROLL, 2069, 1), (PICK, 3, 1)]
)
def test_every_kind_of_node_acquits_the_honest(arena: Arena, node: int, element: int, term: int):
    """i32, one term; f32 of two operands; u8 with a skipped term; a guard and an index."""
    dispute = to_judge(arena, node=node, element=element, term=term)
    arena.answer(dispute)
    assert arena.state(dispute) is S.SOLVER_WON


def test_skipped_term_that_changes_the_accumulator_convicts(arena: Arena):
    dispute = to_judge(arena, Cheat(SMALL, (STEP, ROLL, 2069, 1)), node=ROLL, element=2069, term=1)
    arena.answer(dispute)
    assert arena.state(dispute) is S.CHALLENGER_WON


def test_term_after_the_lie_acquits_the_liar(arena: Arena):
    """The pointer decides: a challenger that points past the first difference loses its bond."""
    arena.register(cheat(), claim=b"\xc2" * 32)
    dispute = arena.open()
    arena.descend(dispute, S.JUDGE, term=TERM + 1)
    arena.answer(dispute)
    assert arena.state(dispute) is S.SOLVER_WON


def test_arithmetic_with_other_openings_is_refused(arena: Arena):
    dispute = to_judge(arena)
    move = arena.right_answer(dispute)
    assert isinstance(move, JudgeArithmetic)
    fold = arena.prover.fold(STEP, NODE, ELEMENT)
    with refused("WrongDescriptor"):
        arena.play(dispute, replace(move, node=arena.prover.program().leaf(0)))
    with refused("WrongDescriptor"):
        arena.play(dispute, replace(move, node=move.node + b"\0"))
    for leaf in (fold.leaf(TERM + 1), bent(move.leaf)):
        with refused("RootMismatch"):
            arena.play(dispute, replace(move, leaf=leaf))
    for leaf in (fold.leaf(TERM), bent(move.previous_leaf)):
        with refused("RootMismatch"):
            arena.play(dispute, replace(move, previous_leaf=leaf))
    for name in ("leaf_proof", "previous_proof"):
        for proof, error in bad_proofs(getattr(move, name)):
            with refused(error):
                arena.play(dispute, replace(move, **{name: proof}))
    for name in ("leaf", "previous_leaf"):
        for wrong in (move.leaf[:-1], move.leaf + b"\0", b""):
            with refused("WrongLength", 12, len(wrong)):
                arena.play(dispute, replace(move, **{name: wrong}))


def test_first_term_has_no_previous_leaf(arena: Arena):
    dispute = to_judge(arena, term=0)
    with refused("WrongLength", 0, 12):
        arena.answer(dispute, previous_leaf=arena.prover.fold(STEP, NODE, ELEMENT).leaf(0))
    with refused("WrongLength", 0, 1):
        arena.answer(dispute, previous_proof=(bytes(32),))


def test_judgement_of_the_other_kind_is_refused(arena: Arena):
    """The kind is pointed at once: nobody answers another question."""
    dispute = to_judge(arena)
    p = arena.position(dispute)
    arithmetic = arena.prover.judge_arithmetic(p)
    load = JudgeLoad(p.hash(), arithmetic.node, arithmetic.leaf, arithmetic.leaf_proof)
    with refused("WrongKind", ARITHMETIC, 0):
        arena.play(dispute, load)
    other = arena.open(opener=arena.other)
    arena.descend(other, S.JUDGE, kind=1)
    with refused("WrongKind", 1, ARITHMETIC):
        arena.play(other, replace(arithmetic, expected=arena.position(other).hash()))


# -------------------------------------------------------------------- loads

LOADS = {
    "data": (MIX, ELEMENT, TERM, 0),
    "state, second chunk": (MIX, 258, 1, 1),
    "out of bounds": (MIX, 0, 0, 1),
    "node": (ADVANCE, 259, 0, 0),
    "u8 state": (ROLL, 2000, 1, 0),
    "skipped, out of bounds": (ROLL, 2069, 1, 0),
    "node scalar": (ROLL, 5, 0, 1),
    "i32 data": (PICK, 2, 3, 0),
    "indirect": (PICK, 3, 0, 1),
    "indirect, out of bounds, filled": (PICK, 0, 2, 1),
}


@pytest.mark.parametrize("case", LOADS)
def test_right_load_acquits(arena: Arena, case: str):
    node, element, term, load = LOADS[case]
    dispute = to_judge(arena, node=node, element=element, term=term, kind=load)
    receipt = arena.answer(dispute, sender=arena.other)
    [event] = arena.events(receipt, "LoadJudged")
    assert event["stored"] == event["claimed"]
    assert arena.state(dispute) is S.SOLVER_WON


@pytest.mark.parametrize("case", LOADS)
def test_wrong_load_convicts(arena: Arena, case: str):
    node, element, term, load = LOADS[case]
    run = FalseWord((STEP, node, element, term), load)
    dispute = to_judge(arena, run, node=node, element=element, term=term, kind=load)
    receipt = arena.answer(dispute)
    [event] = arena.events(receipt, "LoadJudged")
    assert event["stored"] ^ event["claimed"] == 1
    assert arena.state(dispute) is S.CHALLENGER_WON


def test_x05_load_out_of_bounds_opens_nothing(arena: Arena):
    node, element, term, load = LOADS["out of bounds"]
    dispute = to_judge(arena, node=node, element=element, term=term, kind=load)
    move = arena.right_answer(dispute)
    assert (move.tensor_root, move.chunk) == (bytes(32), b"")
    with refused("WrongSubroot", bytes(32), b"\x01" * 32):
        arena.play(dispute, replace(move, tensor_root=b"\x01" * 32))
    with refused("WrongLength", 0, 1):
        arena.play(dispute, replace(move, tensor_proof=(bytes(32),)))
    with refused("WrongLength", 0, 3):
        arena.play(dispute, replace(move, chunk=b"abc"))
    with refused("WrongLength", 0, 2):
        arena.play(dispute, replace(move, chunk_proof=(bytes(32), bytes(32))))


@pytest.mark.parametrize("case", ["data", "state, second chunk", "node"])
def test_load_with_other_openings_is_refused(arena: Arena, case: str):
    node, element, term, load = LOADS[case]
    dispute = to_judge(arena, node=node, element=element, term=term, kind=load)
    move = arena.right_answer(dispute)
    assert isinstance(move, JudgeLoad)
    with refused("WrongDescriptor"):
        arena.play(dispute, replace(move, node=arena.prover.program().leaf(0)))
    with refused("RootMismatch"):
        arena.play(dispute, replace(move, leaf=bent(move.leaf)))
    with refused("RootMismatch"):
        arena.play(dispute, replace(move, tensor_root=bent(move.tensor_root)))
    with refused("RootMismatch"):
        arena.play(dispute, replace(move, chunk=bent(move.chunk)))
    for wrong in (move.chunk[:-1], move.chunk + b"\0", b""):
        with refused("WrongLength", len(move.chunk), len(wrong)):
            arena.play(dispute, replace(move, chunk=wrong))
    for name in ("leaf_proof", "tensor_proof", "chunk_proof"):
        for proof, error in bad_proofs(getattr(move, name) or (bytes(32),)):
            if not getattr(move, name) and len(proof) < 2:
                continue
            with refused(error):
                arena.play(dispute, replace(move, **{name: proof}))


def test_operand_of_another_kind_does_not_serve(arena: Arena):
    """The tree follows from the operand's kind: the data root is not looked for in the state."""
    node, element, term, load = LOADS["data"]
    dispute = to_judge(arena, node=node, element=element, term=term, kind=load)
    state, tensor = arena.prover.operand(STEP, OperandKind.STATE, 0)
    with refused("WrongProofLength"):
        arena.answer(
            dispute,
            tensor_root=state.leaf(0),
            tensor_proof=tuple(state.proof(0)),
            chunk=tensor.leaf(0),
            chunk_proof=tuple(tensor.proof(0)),
        )


def with_node(arena: Arena, node: Node, claim: bytes) -> tuple[bytes, bytes]:
    """A dispute bound to a hostile node 0 that reads what it must not."""
    leaves = arena.prover.execution.program_leaves()
    tree = Tree([encode_node(node), *leaves[1:]])
    arena.register(claim=claim, program_root=tree.root)
    dispute = arena.open()
    arena.descend(dispute, S.BRANCH)
    p = arena.position(dispute)
    move = replace(
        arena.prover.point_element(p, 0, 0), node=tree.leaf(0), program_proof=tuple(tree.proof(0))
    )
    arena.play(dispute, move)
    arena.descend(dispute, S.JUDGE, term=0, kind=0)
    return dispute, tree.leaf(0)


@pytest.mark.parametrize(
    ("kind", "index", "error"),
    [
        (OperandKind.NODE, 0, "OperandNotEarlier"),
        (OperandKind.NODE, 7, "OperandNotEarlier"),
        (OperandKind.STATE, 6, "SourceOutOfRange"),
        (OperandKind.DATA, 2, "SourceOutOfRange"),
    ],
)
def test_x10_operand_that_does_not_exist_is_refused(
    arena: Arena, kind: OperandKind, index: int, error: str
):
    """Validation refuses such a task; the chain does not read beyond a tree either."""
    node = Node(DType.I32, (), operands=(Operand(kind, index, DType.I32, ()),), loads=(Load(0),))
    node = replace(node, result=1)
    dispute, node_bytes = with_node(arena, node, bytes([0xD0, kind, index]) + bytes(29))
    p = arena.position(dispute)
    leaf = arena.prover.fold(STEP, 0, 0).leaf(0)
    with refused(error):
        arena.play(dispute, JudgeLoad(p.hash(), node_bytes, leaf, ()))


def test_x02_load_of_another_nan_counts_as_the_canonical_one(arena: Arena):
    """Data with a payload is refused before the bid; on chain the load canonicalises it."""

    class Payload(ToyExecution):
        def data_tensor(self, index: int) -> bytes:
            stored = super().data_tensor(index)
            return (0xFFC12345).to_bytes(4, "little") + stored[4:] if index == 0 else stored

        def term(
            self, step: int, node: int, element: int, term: int, previous: int
        ) -> tuple[int, Words]:
            accumulator, words = super().term(step, node, element, term, previous)
            if (node, element, term) == (MIX, 0, 0):
                words = [0x7FC00000, *words[1:]]
            return accumulator, words

    dispute = to_judge(arena, Payload(SMALL), node=MIX, element=0, term=0, kind=0)
    receipt = arena.answer(dispute)
    [event] = arena.events(receipt, "LoadJudged")
    assert (event["stored"], event["claimed"]) == (0x7FC00000, 0x7FC00000)
    assert arena.state(dispute) is S.SOLVER_WON


def test_fill_word_is_the_nodes(arena: Arena):
    node, element, term, load = LOADS["indirect, out of bounds, filled"]
    term = next(r for r in range(5) if arena.prover.execution.toy.table[1][r] >= 260)
    dispute = to_judge(arena, node=node, element=element, term=term, kind=load)
    receipt = arena.answer(dispute)
    [event] = arena.events(receipt, "LoadJudged")
    assert event["stored"] == f32(7.5)


# -------------------------------------------------------------------- bindings


@pytest.mark.parametrize("q", range(6))
def test_right_binding_acquits(arena: Arena, q: int):
    """To nodes, to the same state tensor (4) and to another one (5)."""
    dispute = to_judge(arena, binding=q)
    receipt = arena.answer(dispute, sender=arena.other)
    [event] = arena.events(receipt, "BindingJudged")
    assert event["postLeaf"] == event["sourceLeaf"]
    assert arena.state(dispute) is S.SOLVER_WON


@pytest.mark.parametrize("q", range(6))
def test_x11_wrong_binding_convicts(arena: Arena, q: int):
    dispute = to_judge(arena, FalseState(q), binding=q)
    arena.answer(dispute, sender=arena.other)
    assert arena.state(dispute) is S.CHALLENGER_WON


def test_binding_with_other_openings_is_refused(arena: Arena):
    dispute = to_judge(arena, binding=2)
    move = arena.right_answer(dispute)
    assert isinstance(move, AnswerBinding)
    other = encode_binding(Binding(OperandKind.STATE, 2, DType.U8, (2070,)))
    for binding in (other, bent(move.binding), move.binding + b"\0"):
        with refused("RootMismatch"):
            arena.play(dispute, replace(move, binding=binding))
    for name in ("post_leaf", "source_leaf"):
        with refused("RootMismatch"):
            arena.play(dispute, replace(move, **{name: bent(move.post_leaf)}))
    for name in ("program_proof", "post_proof", "source_proof"):
        for proof, error in bad_proofs(getattr(move, name)):
            with refused(error):
                arena.play(dispute, replace(move, **{name: proof}))


def test_x08_binding_reads_the_tree_that_its_kind_names(arena: Arena):
    """Binding 0 names node 2: leaf 2 of the state before the step does not stand for it."""
    dispute = to_judge(arena, binding=0)
    state = arena.prover.state(STEP)
    with refused("RootMismatch", arena.prover.trace(STEP).root):
        arena.answer(dispute, source_leaf=state.leaf(2), source_proof=tuple(state.proof(2)))


@pytest.mark.parametrize(
    ("kind", "index", "error"),
    [
        (OperandKind.NODE, 5, "SourceOutOfRange"),
        (OperandKind.STATE, 6, "SourceOutOfRange"),
        (OperandKind.DATA, 0, "MalformedBinding"),
    ],
)
def test_x10_binding_to_a_source_that_does_not_exist_is_refused(
    arena: Arena, kind: OperandKind, index: int, error: str
):
    leaves = arena.prover.execution.program_leaves()
    stored = encode_binding(Binding(OperandKind.NODE, index, DType.I32, ()))
    stored = stored[:1] + bytes([kind]) + stored[2:]
    tree = Tree([*leaves[:6], stored, *leaves[7:]])
    arena.register(claim=bytes([0xE0, kind]) + bytes(30), program_root=tree.root)
    dispute = arena.open()
    arena.descend(dispute, S.ANSWER_BINDING, binding=1)
    p, post = arena.position(dispute), arena.prover.state(STEP + 1)
    move = AnswerBinding(
        p.hash(),
        stored,
        tuple(tree.proof(6)),
        post.leaf(1),
        tuple(post.proof(1)),
        post.leaf(1),
        tuple(post.proof(1)),
    )
    with refused(error):
        arena.play(dispute, move)


def test_p07_judgement_may_come_from_anyone(arena: Arena):
    for sender in (arena.solver, arena.opener, arena.verifier):
        arena.register(claim=bytes.fromhex(sender[2:]) + bytes(12))
        dispute = to_judge(arena)
        arena.answer(dispute, sender=sender)
        assert arena.state(dispute) is S.SOLVER_WON
