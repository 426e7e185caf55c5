"""Progress reports, the submission, and the price of not submitting."""

from __future__ import annotations

import pytest

from protocol.chain.market import TaskPhase
from protocol.chain.reverts import Reverted
from protocol.merkle.tree import MerkleTree
from tests.contracts.market.world import STAKE, TOKEN, World, state_root

PENALTY = -(-STAKE // 10)


def report_call(world: World, task_id: bytes, log: MerkleTree, size: int):
    old = world.task(task_id).reported_size
    part = MerkleTree([state_root(i) for i in range(size)])
    proof = part.consistency_proof(old) if old else []
    return world.market.functions.report(task_id, size, log.root_at(size), proof)


def test_report_extends_the_log_up_to_its_size(world: World):
    terms = world.terms()
    task_id, solver = world.assigned(), world.solvers[0]
    log = world.log(terms)
    for size in (1, 2, 4, 5):
        receipt = world.do(report_call(world, task_id, log, size), solver)
        task = world.task(task_id)
        assert (task.reported_size, task.reported_root) == (size, log.root_at(size))
    assert world.event(world.market, "ProgressReported", receipt)["size"] == 5
    world.submit(task_id)


def test_report_that_does_not_grow_or_grows_too_far_is_refused(world: World):
    task_id, solver = world.assigned(), world.solvers[0]
    log = world.log(world.terms())
    world.do(report_call(world, task_id, log, 3), solver)
    for size in (0, 3, 6):
        fn = world.market.functions.report(task_id, size, log.root, [])
        world.refuses(fn, solver, "ReportOutOfRange", 4, 5, size)


def test_report_of_another_history_is_refused(world: World):
    task_id, solver = world.assigned(), world.solvers[0]
    world.do(report_call(world, task_id, world.log(world.terms()), 3), solver)
    other = world.log(world.terms(), lie=1)
    fn = world.market.functions.report(task_id, 5, other.root, other.consistency_proof(3))
    with pytest.raises(Reverted, match="RootMismatch"):
        world.do(fn, solver)


def test_report_with_a_superfluous_proof_is_refused(world: World):
    task_id, solver = world.assigned(), world.solvers[0]
    fn = world.market.functions.report(task_id, 1, state_root(0), [b"\1" * 32])
    world.refuses(fn, solver, "WrongProofLength", 0, 1)


def test_report_by_a_stranger_is_refused(world: World):
    task_id = world.assigned()
    fn = world.market.functions.report(task_id, 1, state_root(0), [])
    world.refuses(fn, world.stranger, "NotSolver", world.stranger, world.solvers[0])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"steps": 9, "interval": 3},  # T % C == 0: no double last leaf (X06)
        {"steps": 2, "interval": 5},  # T < C: one segment
        {"steps": 1, "interval": 1},
        {"steps": 7, "interval": 1},
    ],
)
def test_submit_makes_a_claim_with_all_facts(world: World, changes):
    terms = world.terms(**changes)
    task_id, claim_id = world.submitted(terms)
    task, claim, facts = world.task(task_id), world.claim(claim_id), world.facts(claim_id)
    log = world.log(terms)
    assert (task.phase, task.claim_id) == (TaskPhase.SUBMITTED, claim_id)
    assert facts["logRoot"] == log.root
    assert facts["resultRoot"] == state_root(terms.segments)
    assert (facts["solver"], facts["requester"]) == (world.solvers[0], world.requester)
    assert facts["windowEnd"] == claim.submitted_at + terms.window_seconds
    reveals = world.preset.market.open_reveal_seconds
    assert facts["revealEnd"] == facts["windowEnd"] + reveals
    assert facts["clockStart"] == claim.submitted_at == world.chain.now()
    assert facts["bond"] == world.ask(world.market.functions.quote(terms.to_tuple()))[2]
    same = ["steps", "interval", "node_count", "state_count", "data_count", "segment_seconds"]
    same += ["trace_seconds", "program_root", "data_root", "initial_state_root"]
    for name in same:
        head, *rest = name.split("_")
        assert facts[head + "".join(map(str.title, rest))] == getattr(terms, name)


def test_submit_of_an_id_binds_task_round_and_solver(world: World):
    # P06, X14: the same roots by another solver, or in another round, are another claim.
    from eth_abi.abi import encode
    from eth_utils.crypto import keccak

    terms = world.terms()
    task_id, claim_id = world.submitted(terms)
    log = world.log(terms)
    kinds = ["uint256", "address", "bytes32", "uint32", "address", "bytes32", "bytes32"]
    market, solver = world.market.address, world.solvers[0]
    chain_id = world.chain.w3.eth.chain_id
    values = [chain_id, market, task_id, 0, solver, log.root, state_root(4)]
    assert claim_id == keccak(encode(kinds, values))


def submit_arguments(world: World):
    terms = world.terms()
    log = world.log(terms)
    roots = {"log_root": log.root, "result": state_root(4)}
    return {**roots, "cons": [], "first": log.inclusion_proof(0), "last": log.inclusion_proof(4)}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"log_root": b"\x01" * 32}, "RootMismatch"),
        ({"result": b"\x01" * 32}, "RootMismatch"),
        ({"cons": [b"\x01" * 32]}, "WrongProofLength"),
        ({"first": []}, "WrongProofLength"),
        ({"last": [b"\x01" * 32]}, "RootMismatch"),
        ({"last": [b"\x01" * 32] * 2}, "WrongProofLength"),
    ],
)
def test_submit_with_a_wrong_root_or_proof_is_refused(world: World, changes, error):
    # P02: sizes come from the task.
    task_id = world.assigned()
    arguments = {**submit_arguments(world), **changes}
    with pytest.raises(Reverted, match=error):
        world.do(world.market.functions.submit(task_id, *arguments.values()), world.solvers[0])


def test_submit_from_another_initial_state_is_refused(world: World):
    task_id = world.assigned(world.terms(initial_state_root=b"\x0a" * 32))
    fn = world.market.functions.submit(task_id, *submit_arguments(world).values())
    with pytest.raises(Reverted, match="RootMismatch"):
        world.do(fn, world.solvers[0])


def test_submit_that_contradicts_the_reports_is_refused(world: World):
    task_id, solver = world.assigned(), world.solvers[0]
    honest = world.log(world.terms())
    world.do(report_call(world, task_id, honest, 3), solver)
    with pytest.raises(Reverted, match="RootMismatch"):
        world.do(world.submit_call(task_id, world.terms(), lie=1), solver)
    world.do(world.submit_call(task_id, world.terms()), solver)


def test_submit_after_a_full_report_needs_no_proof_but_the_same_root(world: World):
    task_id, solver = world.assigned(), world.solvers[0]
    world.do(report_call(world, task_id, world.log(world.terms()), 5), solver)
    arguments = submit_arguments(world)
    world.do(world.market.functions.submit(task_id, *arguments.values()), solver)


def test_submit_twice_or_by_a_stranger_is_refused(world: World):
    task_id = world.assigned()
    fn = world.submit_call(task_id, world.terms())
    world.refuses(fn, world.stranger, "NotSolver", world.stranger, world.solvers[0])
    world.submit(task_id)
    phases = (TaskPhase.RUNNING, TaskPhase.SUBMITTED)
    world.refuses(fn, world.solvers[0], "WrongPhase", task_id, *phases)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_submit_and_report_around_the_deadline_work_only_before_it(world: World, offset):
    # P18
    task_id, solver = world.assigned(), world.solvers[0]
    end = world.task(task_id).run_end
    report = report_call(world, task_id, world.log(world.terms()), 1)
    if offset < 0:
        world.do(report, solver, at=end - 2)
        world.do(world.submit_call(task_id, world.terms()), solver, at=end - 1)
    else:
        phases = (TaskPhase.RUNNING, TaskPhase.OVERDUE)
        submit = world.submit_call(task_id, world.terms())
        world.refuses(submit, solver, "WrongPhase", task_id, *phases, at=end + offset)
        world.refuses(report, solver, "WrongPhase", task_id, *phases)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_expire_around_the_deadline_works_only_from_it(world: World, offset):
    task_id = world.assigned()
    end = world.task(task_id).run_end
    fn = world.market.functions.expire(task_id)
    if offset < 0:
        phases = (TaskPhase.OVERDUE, TaskPhase.RUNNING)
        world.refuses(fn, None, "WrongPhase", task_id, *phases, at=end + offset)
    else:
        world.do(fn, at=end + offset)
        assert world.phase(task_id) is TaskPhase.VACANT


@pytest.mark.parametrize("late", [0, 1, 500])
def test_expire_costs_the_solver_a_tenth_however_late_it_is_called(world: World, late):
    # P19
    task_id, solver = world.assigned(), world.solvers[0]
    world.chain.set_next_time(world.task(task_id).run_end + late)
    receipt = world.do(world.market.functions.expire(task_id))
    half = PENALTY // 2
    event = world.event(world.market, "NoShow", receipt)
    split = (event["returned"], event["toRequester"], event["burned"])
    assert split == (STAKE - PENALTY, half, PENALTY - half)
    assert world.gain(solver) == -PENALTY
    assert world.gain(world.requester) == half - 1_000 * TOKEN
    assert world.burned() == PENALTY - half
    world.audit()


def test_expire_twice_or_after_a_submission_is_refused(world: World):
    # I7
    first = world.assigned()
    world.pass_to(world.task(first).run_end)
    fn = world.market.functions.expire(first)
    world.do(fn)
    world.refuses(fn, None, "WrongPhase", first, TaskPhase.OVERDUE, TaskPhase.VACANT)
    second, _ = world.submitted()
    world.chain.advance(5_000)
    fn = world.market.functions.expire(second)
    world.refuses(fn, None, "WrongPhase", second, TaskPhase.OVERDUE, TaskPhase.SUBMITTED)


def test_assign_that_comes_too_late_to_run_leads_to_a_no_show(world: World):
    # Anyone may assign, the winner first of all: waiting does not free its stake.
    task_id = world.post()
    world.auction(task_id, 5)
    world.pass_to(world.task(task_id).run_end)
    world.do(world.market.functions.assign(task_id))
    assert world.phase(task_id) is TaskPhase.OVERDUE
    world.do(world.market.functions.expire(task_id))
    assert world.gain(world.solvers[0]) == -PENALTY
