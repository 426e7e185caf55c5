"""New roots: who may bring them, how they hang on the level above, once per path."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.dispute.moves import PointBinding, PostFold, PostSegment, PostTrace, UseRoot
from protocol.dispute.state import (
    DisputeState,
    Side,
    fold_path,
    segment_path,
    trace_path,
)
from protocol.dispute.toy import ToyExecution
from protocol.dispute.trees import Tree
from protocol.merkle import leaf_hash
from tests.contracts.dispute.arena import (
    ELEMENT,
    NODE,
    SEGMENT,
    STEP,
    Arena,
    bad_proofs,
    bent,
    honest,
    one_leaf,
    refused,
)

S = DisputeState
NEEDS = [S.NEED_SEGMENT, S.NEED_TRACE, S.NEED_FOLD]
PATHS = {
    S.NEED_SEGMENT: segment_path(SEGMENT),
    S.NEED_TRACE: trace_path(STEP),
    S.NEED_FOLD: fold_path(STEP, NODE, ELEMENT),
}
ROOT_FIELD = {
    S.NEED_SEGMENT: "segment_root",
    S.NEED_TRACE: "trace_root",
    S.NEED_FOLD: "fold_root",
}


def at(arena: Arena, state: DisputeState, **opening: object) -> bytes:
    """A dispute on the default path that needs a root."""
    dispute = arena.open(**opening)
    arena.descend(dispute, state)
    return dispute


def root_of_move(move: object, state: DisputeState) -> bytes:
    return bytes(getattr(move, ROOT_FIELD[state]))


# -------------------------------------------------------------------- who


@pytest.mark.parametrize("state", NEEDS, ids=lambda s: s.name)
def test_root_with_the_solvers_signature_counts_from_anyone(arena: Arena, state: DisputeState):
    dispute = at(arena, state)
    move = arena.right_answer(dispute)
    root = root_of_move(move, state)
    signature = arena.sign(PATHS[state], root)
    receipt = arena.play(dispute, replace(move, signature=signature), sender=arena.other)
    [event] = arena.events(receipt, "RootStored")
    assert (event["path"], event["root"], event["claimId"]) == (PATHS[state], root, arena.claim)
    assert arena.view("roots", arena.claim, PATHS[state])[0] == root


@pytest.mark.parametrize("state", NEEDS, ids=lambda s: s.name)
def test_root_without_the_solvers_signature_is_refused(arena: Arena, state: DisputeState):
    dispute = at(arena, state)
    move = arena.right_answer(dispute)
    path, root = PATHS[state], root_of_move(move, state)
    forged = arena.sign(path, root, key=arena.chain.keys[3])
    with refused("NotSignedBySolver", arena.solver, arena.other):
        arena.play(dispute, replace(move, signature=forged), sender=arena.other)
    other_claim = arena.sign(path, root, claim=b"\x99" * 32)
    other_path = arena.sign(bent(path), root)
    other_root = arena.sign(path, bent(root))
    other_contract = arena.sign(path, root, verifier=arena.vault.address)
    for signature in (b"", forged[:64], other_claim, other_path, other_root, other_contract):
        with refused("NotSignedBySolver", arena.solver):
            arena.play(dispute, replace(move, signature=signature), sender=arena.opener)
    assert arena.state(dispute) is state


def test_saboteur_cannot_post_a_root_for_the_solver(arena: Arena):
    """A false root in the solver's name would convict an honest solver."""
    dispute = at(arena, S.NEED_SEGMENT)
    move = arena.right_answer(dispute)
    leaves = arena.prover.execution.segment_leaves(SEGMENT)
    false_tree = Tree([bytes(32), *leaves[1:]])
    false = replace(
        move, segment_root=false_tree.root, proof_end=tuple(false_tree.proof(len(leaves) - 1))
    )
    for sender in (arena.opener, arena.other):
        with refused("NotSignedBySolver", arena.solver):
            arena.play(dispute, false, sender=sender)


def test_malleable_twin_of_a_signature_is_refused(arena: Arena):
    dispute = at(arena, S.NEED_SEGMENT)
    move = arena.right_answer(dispute)
    signature = arena.sign(PATHS[S.NEED_SEGMENT], move.segment_root)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high_s = order - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + high_s.to_bytes(32, "big") + bytes([signature[64] ^ 27 ^ 28])
    with refused("NotSignedBySolver", arena.solver):
        arena.play(dispute, replace(move, signature=twin), sender=arena.other)


def test_digest_of_a_root_is_what_the_solver_signs(arena: Arena):
    from eth_account import Account

    path, root = segment_path(1), b"\x07" * 32
    digest = arena.view("rootDigest", arena.claim, path, root)
    signature = arena.sign(path, root)
    assert Account._recover_hash(digest, signature=signature) == arena.solver


# -------------------------------------------------------------------- once per path


@pytest.mark.parametrize("state", NEEDS, ids=lambda s: s.name)
def test_second_root_on_a_path_is_refused(arena: Arena, state: DisputeState):
    first, second = at(arena, state), at(arena, state, opener=arena.other)
    move = arena.right_answer(first)
    arena.play(first, move)
    stored = root_of_move(move, state)
    with refused("RootAlreadyStored", PATHS[state], stored):
        arena.answer(second)
    with refused("RootAlreadyStored", PATHS[state], stored):
        arena.answer(second, **{ROOT_FIELD[state]: bent(stored)})


@pytest.mark.parametrize("state", NEEDS, ids=lambda s: s.name)
def test_stored_root_is_used_at_once(arena: Arena, state: DisputeState):
    """No move and no clock of the solver for what it has shown before."""
    after = {S.NEED_SEGMENT: S.POINT_STEP, S.NEED_TRACE: S.BRANCH, S.NEED_FOLD: S.POINT_TERM}
    first = at(arena, state)
    arena.answer(first)
    second = arena.open(opener=arena.other)
    arena.descend(second, after[state])
    positions = [arena.position(d) for d in (first, second)]
    assert positions[0].segment_root == positions[1].segment_root
    assert positions[0].trace_root == positions[1].trace_root
    assert positions[0].fold_root == positions[1].fold_root
    assert arena.view("remaining", second)[0] == 1000


@pytest.mark.parametrize("state", NEEDS, ids=lambda s: s.name)
def test_waiting_dispute_goes_on_with_the_root_of_another(arena: Arena, state: DisputeState):
    first, second = at(arena, state), at(arena, state, opener=arena.other)
    waiting = arena.position(second)
    with refused("RootNotStored", PATHS[state]):
        arena.play(second, UseRoot(waiting.hash()))
    arena.answer(first)
    assert arena.position(second) == waiting, "I11: no move changes another dispute"
    arena.play(second, UseRoot(waiting.hash()), sender=arena.verifier)
    assert arena.position(second).state is arena.position(first).state


def test_root_of_another_claim_does_not_serve(arena: Arena):
    """A re-opened task is another claim: nothing of the old one counts (X14)."""
    first = at(arena, S.POINT_STEP)
    arena.register(claim=b"\x88" * 32)
    second = arena.open()
    assert arena.state(first) is S.POINT_STEP
    with refused("RootNotStored", PATHS[S.NEED_SEGMENT]):
        arena.play(second, UseRoot(arena.position(second).hash()))


@pytest.mark.parametrize("state", NEEDS, ids=lambda s: s.name)
def test_p05_zero_root_is_refused(arena: Arena, state: DisputeState):
    dispute = at(arena, state)
    with refused("ZeroRoot"):
        arena.answer(dispute, **{ROOT_FIELD[state]: bytes(32)})


# -------------------------------------------------------------------- segment


def test_segment_is_stored_with_both_ends(arena: Arena):
    dispute = at(arena, S.NEED_SEGMENT)
    receipt = arena.answer(dispute)
    log, tree = arena.prover.log(), arena.prover.segment(SEGMENT)
    expected = [tree.root, log.leaf(SEGMENT - 1), log.leaf(SEGMENT)]
    assert list(arena.view("roots", arena.claim, segment_path(SEGMENT))) == expected
    [event] = arena.events(receipt, "SegmentPosted")
    assert (event["segment"], event["root"]) == (SEGMENT, tree.root)
    assert arena.position(dispute).segment_root == tree.root


@pytest.mark.parametrize("name", ["proof_before", "proof_after", "proof_end"])
def test_segment_with_a_wrong_proof_is_refused(arena: Arena, name: str):
    dispute = at(arena, S.NEED_SEGMENT)
    move = arena.right_answer(dispute)
    for proof, error in bad_proofs(getattr(move, name)):
        with refused(error):
            arena.play(dispute, replace(move, **{name: proof}))


@pytest.mark.parametrize("name", ["before", "after"])
def test_segment_between_other_checkpoints_is_refused(arena: Arena, name: str):
    dispute = at(arena, S.NEED_SEGMENT)
    for value in (bytes(32), arena.prover.log().leaf(0)):
        with refused("RootMismatch"):
            arena.answer(dispute, **{name: value})


def test_segment_of_another_number_is_refused(arena: Arena):
    """Right proofs for the wrong place."""
    first, second = at(arena, S.NEED_SEGMENT), at(arena, S.NEED_SEGMENT, segment=1)
    move = replace(arena.right_answer(second), expected=arena.position(first).hash())
    assert isinstance(move, PostSegment)
    with refused("RootMismatch"):
        arena.play(first, move)


def test_p02_segment_of_another_length_is_refused(arena: Arena):
    """The length comes from the task: segment 3 has one step, the others three."""
    dispute = at(arena, S.NEED_SEGMENT)
    leaves = arena.prover.execution.segment_leaves(SEGMENT)
    for tree in (Tree(leaves[2:]), Tree([leaves[0], *leaves])):
        last = tuple(tree.proof(tree.size - 1))
        with refused("WrongProofLength", 1, tree.size // 2):
            arena.answer(dispute, segment_root=tree.root, proof_end=last)


def test_p02_segment_too_short_but_with_a_path_as_long_cannot_be_opened_later(arena: Arena):
    """A root does not bind its size: two leaves end like three, and have no leaf 0 and 1."""
    dispute = at(arena, S.NEED_SEGMENT)
    tree = Tree(arena.prover.execution.segment_leaves(SEGMENT)[1:])
    arena.answer(dispute, segment_root=tree.root, proof_end=tuple(tree.proof(1)))
    arena.descend(dispute, S.NEED_TRACE)
    for proof in (tuple(tree.proof(0)), (*tree.proof(0), *tree.proof(1))):
        with refused("WrongProofLength" if len(proof) == 1 else "RootMismatch"):
            arena.answer(dispute, proof_post=proof, proof_pre=proof)


def test_x07_segment_of_one_step_needs_no_pointer(arena: Arena):
    dispute = arena.open(3)
    move = arena.right_answer(dispute)
    assert isinstance(move, PostSegment)
    assert move.proof_end == ()
    with refused("RootMismatch", bent(leaf_hash(move.after))):
        arena.play(dispute, replace(move, segment_root=bent(move.segment_root)))
    arena.play(dispute, move)
    position = arena.position(dispute)
    assert (position.state, position.step) == (S.NEED_TRACE, 6)
    assert arena.clock(dispute)[0] is Side.SOLVER


# -------------------------------------------------------------------- trace


def test_trace_is_stored_with_both_states(arena: Arena):
    dispute = at(arena, S.NEED_TRACE)
    receipt = arena.answer(dispute)
    run = arena.prover.execution
    pre, post = run.segment_leaves(SEGMENT)[:2]
    root = arena.prover.trace(STEP).root
    assert list(arena.view("roots", arena.claim, trace_path(STEP))) == [root, pre, post]
    [event] = arena.events(receipt, "TracePosted")
    assert (event["step"], event["pre"], event["post"]) == (STEP, pre, post)


@pytest.mark.parametrize("name", ["proof_pre", "proof_post"])
def test_trace_with_a_wrong_proof_is_refused(arena: Arena, name: str):
    dispute = at(arena, S.NEED_TRACE)
    move = arena.right_answer(dispute)
    for proof, error in bad_proofs(getattr(move, name)):
        with refused(error):
            arena.play(dispute, replace(move, **{name: proof}))


@pytest.mark.parametrize("name", ["pre", "post"])
def test_trace_between_other_states_is_refused(arena: Arena, name: str):
    dispute = at(arena, S.NEED_TRACE)
    for value in (bytes(32), arena.prover.log().leaf(0)):
        with refused("RootMismatch"):
            arena.answer(dispute, **{name: value})


def test_trace_of_the_first_step_starts_at_the_checkpoint(arena: Arena):
    dispute = arena.open()
    arena.descend(dispute, S.NEED_TRACE, t=0)
    move = arena.right_answer(dispute)
    assert isinstance(move, PostTrace)
    with refused("WrongPreState", move.pre, move.post):
        arena.play(dispute, replace(move, pre=move.post))
    with refused("WrongLength", 0, 1):
        arena.play(dispute, replace(move, proof_pre=(bytes(32),)))
    arena.play(dispute, move)
    assert arena.state(dispute) is S.BRANCH


# -------------------------------------------------------------------- fold


def test_fold_is_stored_alone(arena: Arena):
    dispute = at(arena, S.NEED_FOLD)
    receipt = arena.answer(dispute)
    root = arena.prover.fold(STEP, NODE, ELEMENT).root
    stored = arena.view("roots", arena.claim, fold_path(STEP, NODE, ELEMENT))
    assert list(stored) == [root, bytes(32), bytes(32)]
    [event] = arena.events(receipt, "FoldPosted")
    assert (event["step"], event["node"], event["element"]) == (STEP, NODE, ELEMENT)


@pytest.mark.parametrize("name", ["trace_proof", "chunk_proof", "last_leaf_proof"])
def test_fold_with_a_wrong_proof_is_refused(arena: Arena, name: str):
    dispute = at(arena, S.NEED_FOLD)
    move = arena.right_answer(dispute)
    for proof, error in bad_proofs(getattr(move, name)):
        with refused(error):
            arena.play(dispute, replace(move, **{name: proof}))


def test_fold_in_another_tensor_is_refused(arena: Arena):
    dispute = at(arena, S.NEED_FOLD)
    with refused("RootMismatch"):
        arena.answer(dispute, tensor_root=arena.prover.output(STEP, 2).root)


def test_x06_fold_with_a_chunk_of_another_length_is_refused(arena: Arena):
    dispute = at(arena, S.NEED_FOLD)
    chunk = arena.right_answer(dispute).chunk
    for other in (chunk[:-1], chunk + b"\0", b""):
        with refused("WrongLength", 1024, len(other)):
            arena.answer(dispute, chunk=other)
    with refused("RootMismatch"):
        arena.answer(dispute, chunk=bent(chunk))


def test_x06_fold_in_the_last_short_chunk_is_accepted(arena: Arena):
    dispute = arena.open()
    arena.descend(dispute, S.POINT_TERM, element=259)
    assert arena.state(dispute) is S.POINT_TERM
    other = arena.open(opener=arena.other)
    arena.descend(other, S.NEED_FOLD, element=258)
    with refused("WrongLength", 16, 1024):
        arena.answer(other, chunk=bytes(1024))


def test_x18_fold_leaf_of_another_length_is_refused(arena: Arena):
    dispute = at(arena, S.NEED_FOLD)
    leaf = arena.right_answer(dispute).last_leaf
    assert len(leaf) == 12
    for other in (leaf[:-4], leaf[:-1], leaf + bytes(4), b""):
        with refused("WrongLength", 12, len(other)):
            arena.answer(dispute, last_leaf=other)


def test_fold_that_ends_elsewhere_than_the_element_is_refused(arena: Arena):
    """Else a solver would answer every challenge with the fold of the true value."""
    dispute = at(arena, S.NEED_FOLD)
    move = arena.right_answer(dispute)
    assert isinstance(move, PostFold)
    word = int.from_bytes(move.last_leaf[:4], "big")
    leaves = arena.prover.execution.fold_leaves(STEP, NODE, ELEMENT)
    leaves[-1] = (word ^ 1).to_bytes(4, "big") + leaves[-1][4:]
    tree = Tree(leaves)
    with refused("WrongElement", word, word ^ 1):
        arena.play(
            dispute,
            replace(
                move,
                fold_root=tree.root,
                last_leaf=leaves[-1],
                last_leaf_proof=tuple(tree.proof(len(leaves) - 1)),
            ),
        )


def test_x02_fold_that_ends_in_another_nan_is_refused(arena: Arena):
    dispute = at(arena, S.NEED_FOLD)
    leaf = arena.right_answer(dispute).last_leaf
    for word in (0x7FC00001, 0xFFC00000, 0x7F800001):
        with refused("AccumulatorNotCanonical", 0x7FC00000, word):
            arena.answer(dispute, last_leaf=word.to_bytes(4, "big") + leaf[4:])


def test_x02_integer_accumulator_that_looks_like_a_nan_is_no_nan(arena: Arena):
    dispute = arena.open()
    arena.descend(dispute, S.NEED_FOLD, node=0, element=0)
    leaf = arena.right_answer(dispute).last_leaf
    with refused("WrongElement", 5, 0x7FC00001):
        arena.answer(dispute, last_leaf=0x7FC00001.to_bytes(4, "big") + leaf[4:])


def test_x03_accumulator_of_a_byte_keeps_its_high_bits(arena: Arena):
    dispute = arena.open()
    folds = ((e, arena.prover.execution.fold_leaves(STEP, 3, e)) for e in range(2070))
    element = next(e for e, leaves in folds if leaves[-1][:3] != bytes(3))
    arena.descend(dispute, S.NEED_FOLD, node=3, element=element)
    move = arena.right_answer(dispute)
    accumulator = int.from_bytes(move.last_leaf[:4], "big")
    stored = arena.prover.execution.node_output(STEP, 3)[element]
    assert accumulator > 0xFF, "the case is about a truncation"
    assert accumulator & 0xFF == stored
    arena.play(dispute, move)
    assert arena.state(dispute) is S.POINT_TERM


def test_p02_fold_of_another_number_of_terms_is_refused(arena: Arena):
    """The number of terms comes from the node, not from the tree."""
    dispute = at(arena, S.NEED_FOLD)
    leaves = arena.prover.execution.fold_leaves(STEP, NODE, ELEMENT)
    for tree in (Tree([*leaves, leaves[-1]]), Tree(leaves[2:])):
        last = tuple(tree.proof(tree.size - 1))
        with refused("WrongProofLength", 1, tree.size // 2):
            arena.answer(dispute, fold_root=tree.root, last_leaf_proof=last)


def test_x07_run_of_one_leaf_everywhere_goes_down_with_empty_proofs(arena: Arena):
    arena.register(one_leaf(), claim=b"\xaa" * 32)
    dispute = arena.open(1)
    arena.descend(dispute, S.JUDGE, node=0, element=0, term=0)
    assert arena.position(dispute).step == 0
    arena.answer(dispute)
    assert arena.state(dispute) is S.SOLVER_WON
    other = arena.open(1, opener=arena.other)
    assert arena.state(other) is S.BRANCH, "segment and trace are stored: nothing to wait for"
    arena.play(other, PointBinding(arena.position(other).hash(), 0))
    arena.answer(other)
    assert arena.state(other) is S.SOLVER_WON


def test_x08_leaf_of_another_level_with_an_equal_hash_needs_its_own_proof(arena: Arena):
    """The pre-state's root is a leaf of the log: as a trace root it still opens nothing."""
    dispute = at(arena, S.NEED_TRACE)
    state_root = arena.prover.execution.segment_leaves(SEGMENT)[0]
    arena.answer(dispute, trace_root=state_root)
    arena.descend(dispute, S.NEED_FOLD)
    with refused("RootMismatch", state_root):
        arena.answer(dispute)
    assert isinstance(honest().execution, ToyExecution)
