"""Each check of the market side taken out once: the cheat that it stops then succeeds.

The other tests of this folder show that the same moves are refused by the contracts as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from protocol.chain.artifact import Artifact
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.chain.reverts import Reverted
from tests.contracts.market.test_draw import mine_to_before
from tests.contracts.market.test_solving import report_call
from tests.contracts.market.test_vault import hostile_vault
from tests.contracts.market.world import SALT, STAKE, TOKEN, World
from tests.contracts.mutants import Mutant

pytestmark = pytest.mark.slow  # compiles a contract for each check

Attack = Callable[[World], None]
CASES: dict[str, tuple[Mutant, Attack]] = {}


def without(contract: str, source: str, old: str, new: str = "") -> Callable[[Attack], Attack]:
    """Registers an attack on `contract` without the check `old`."""

    def register(attack: Attack) -> Attack:
        CASES[attack.__name__] = (Mutant(contract, source, old, new), attack)
        return attack

    return register


# --- submission ---------------------------------------------------------------------------------

SUBMIT = "        _requireSolver(task);\n        Terms memory terms"


@without("Market", "market/Solving.sol", SUBMIT, "        Terms memory terms")
def stranger_submits_garbage_for_the_solver(world: World) -> None:
    task_id = world.assigned()
    world.do(world.submit_call(task_id, world.terms(), lie=1), world.stranger)
    assert world.phase(task_id) is TaskPhase.SUBMITTED


@without(
    "Market",
    "market/Solving.sol",
    "        Progress.requireLeaf(logRoot, terms.initialStateRoot, 0, size, firstLeafProof);\n",
)
def solver_starts_from_another_state(world: World) -> None:
    terms = world.terms(initial_state_root=b"\x0a" * 32)
    task_id = world.assigned(terms)
    world.do(world.submit_call(task_id, terms), world.solvers[0])


@without(
    "Market",
    "market/Solving.sol",
    "        Progress.requireLeaf(logRoot, resultRoot, size - 1, size, lastLeafProof);\n",
)
def solver_delivers_another_result_than_its_log_ends_with(world: World) -> None:
    task_id = world.assigned()
    log = world.log(world.terms())
    proofs = (log.inclusion_proof(0), log.inclusion_proof(4))
    fn = world.market.functions.submit(task_id, log.root, b"\x0b" * 32, [], *proofs)
    world.do(fn, world.solvers[0])


@without(
    "Market",
    "libraries/Progress.sol",
    "            Merkle.verifyConsistency(log.size, log.root, size, root, proof);",
)
def solver_submits_another_history_than_it_reported(world: World) -> None:
    task_id, solver = world.assigned(), world.solvers[0]
    world.do(report_call(world, task_id, world.log(world.terms()), 3), solver)
    world.do(world.submit_call(task_id, world.terms(), lie=1), solver)


@without("Market", "libraries/Phases.sol", "timestamp >= deadlines.runEnd", "false")
def solver_submits_after_the_deadline(world: World) -> None:
    task_id = world.assigned()
    world.pass_to(world.task(task_id).run_end + 1_000)
    world.submit(task_id)


# --- bidding ------------------------------------------------------------------------------------


@without("Market", "market/Bidding.sol", "if (revealed != commitment)", "if (false)")
def bidder_changes_its_price_after_seeing_the_others(world: World) -> None:
    task_id = world.post()
    honest, cheat = world.solvers[:2]
    world.commit(task_id, honest, 5)
    world.commit(task_id, cheat, 9)
    world.pass_to(world.task(task_id).bid_end)
    world.reveal(task_id, honest, 5)
    world.reveal(task_id, cheat, 4)
    assert world.task(task_id).solver == cheat


@without("Market", "market/Bidding.sol", "if (bidder == task.book.winner)", "if (false)")
def winner_takes_its_stake_back_while_running(world: World) -> None:
    task_id = world.assigned(prices=(5, 6))
    world.do(world.market.functions.reclaim(task_id, 0, world.solvers[0]))
    assert world.gain(world.solvers[0]) == 0


@without("Market", "market/Bidding.sol", "if (price > maxReward)", "if (false)")
def bidders_bid_more_than_the_escrow_holds(world: World) -> None:
    too_much = 2_000 * TOKEN
    task_id = world.assigned(prices=(too_much, too_much))
    claim_id = world.submit(task_id)
    with pytest.raises(Reverted, match="Panic"):
        world.finalise(claim_id)  # the escrow is stuck


@without("Market", "market/Requesting.sol", "if (task.book.commits != 0)", "if (false)")
def requester_cancels_under_its_bidders(world: World) -> None:
    task_id = world.post()
    world.commit(task_id, world.solvers[0], 5)
    world.do(world.market.functions.cancel(task_id), world.requester)


@without("Market", "market/Requesting.sol", "if (msg.sender != task.requester) {", "if (false) {")
def stranger_refunds_what_the_requester_may_reopen(world: World) -> None:
    task_id = world.assigned()
    world.pass_to(world.task(task_id).run_end)
    world.do(world.market.functions.expire(task_id))
    world.do(world.market.functions.refund(task_id), world.stranger)


@without("Market", "market/Settling.sol", "if (msg.sender != address(claims))", "if (false)")
def solver_settles_its_own_claim(world: World) -> None:
    task_id, _ = world.submitted()
    world.do(world.market.functions.settleFinalised(task_id, 0), world.solvers[0])
    assert world.gain(world.solvers[0]) == 1_000 * TOKEN


# --- claims -------------------------------------------------------------------------------------


@without("Claims", "market/Claims.sol", "if (claim.openDisputes != 0)", "if (false)")
def solver_finalises_under_a_live_dispute(world: World) -> None:
    # I2
    _, claim_id = world.submitted()
    world.do(world.dispute.functions.open(claim_id))
    world.finalise(claim_id)


@without(
    "Claims",
    "libraries/Phases.sol",
    "return timestamp < revealEnd ? ClaimPhase.REVEALS : ClaimPhase.DECIDED;",
    "return ClaimPhase.DECIDED;",
)
def solver_finalises_before_committed_openings_are_revealed(world: World) -> None:
    _, claim_id = world.submitted()
    world.pass_to(world.window_end(claim_id))
    world.do(world.claims.functions.finalise(claim_id))


@without("Claims", "market/Claims.sol", "if (msg.sender != dispute)", "if (false)")
def anyone_slashes_without_evidence(world: World) -> None:
    # P28
    _, claim_id = world.submitted()
    world.do(world.claims.functions.convict(claim_id, world.stranger), world.stranger)
    world.do(world.claims.functions.settle(claim_id))
    assert world.gain(world.stranger) == STAKE // 4


@without("Claims", "market/Claims.sol", " || claim.collected & bit != 0")
def verifier_collects_the_fee_of_another(world: World) -> None:
    fee = 7 * TOKEN
    world.stake_verifiers(100 * TOKEN, 100 * TOKEN)
    terms = world.terms(verifiers=2, segments_per_verifier=1, verifier_fee=fee)
    _, claim_id = world.submitted(terms)
    for verifier in world.draw(claim_id).verifiers:
        world.do(world.claims.functions.attest(claim_id), verifier)
    world.finalise(claim_id)
    greedy = world.verifiers[0]
    for _ in range(2):
        world.do(world.claims.functions.collectFee(claim_id, greedy))
    assert world.gain(greedy) == 2 * fee - 100 * TOKEN


@without("Claims", "market/Claims.sol", "if (claim.drawn)", "if (false)")
def solver_draws_again_from_the_second_target(world: World) -> None:
    world.stake_verifiers(*[100 * TOKEN] * 6)
    terms = world.terms(verifiers=1, segments_per_verifier=1, window_seconds=10_000)
    _, claim_id = world.submitted(terms)
    world.draw(claim_id)
    mine_to_before(world, world.claim(claim_id).target_block + 260)
    world.do(world.claims.functions.draw(claim_id))


@without("Claims", "libraries/Draw.sol", "if (block.number <= target)", "if (false)")
def solver_knows_the_draw_before_it_submits(world: World) -> None:
    # P16: without a hash yet, the seed is that of the zero hash.
    _, claim_id = world.submitted()
    receipt = world.do(world.claims.functions.draw(claim_id))
    from eth_utils.crypto import keccak

    seed = world.event(world.claims, "VerifiersDrawn", receipt)["seed"]
    assert seed == keccak(b"\0" * 32 + claim_id)


@without(
    "Claims", "market/Claims.sol", "uint48(claim.submittedAt - 1)", "uint48(block.timestamp - 1)"
)
def solver_stakes_puppets_after_the_target_is_known(world: World) -> None:
    # P16
    terms = world.terms(verifiers=1, segments_per_verifier=1)
    _, claim_id = world.submitted(terms)
    world.chain.mine(3)
    puppet = world.verifiers[5]
    world.do(world.registry.functions.stake(1_000 * TOKEN), puppet)
    assert world.draw(claim_id).verifiers == (puppet,)


@without("Claims", "market/Claims.sol", "if (msg.sender != address(market))", "if (false)")
def anyone_resets_a_fallen_claim(world: World) -> None:
    _, claim_id = world.submitted()
    world.convict(claim_id, world.challenger)
    facts = (b"\1" * 32, world.stranger, 0, b"\1" * 32, b"\1" * 32, 1, 1, 1, 1)
    world.do(world.claims.functions.openClaim(claim_id, facts), world.stranger)
    assert world.claim(claim_id).phase is not ClaimPhase.FALLEN


# --- vault and registry -------------------------------------------------------------------------


@without("Vault", "market/Vault.sol", "if (balance != before + amount)", "if (false)")
def depositor_of_a_fee_token_is_credited_too_much(world: World) -> None:
    # P11
    token, vault, holder = hostile_vault(world, "FeeToken")
    world.do(vault.functions.deposit(1_000), holder)
    assert world.ask(vault.functions.credits(holder)) > world.ask(
        token.functions.balanceOf(vault.address)
    )


@without("Vault", "market/Vault.sol", "if (!isModule(msg.sender))", "if (false)")
def anyone_takes_the_credit_of_another(world: World) -> None:
    world.do(world.vault.functions.take(world.requester, SALT, TOKEN), world.stranger)
    world.do(world.vault.functions.release(SALT, world.stranger, TOKEN), world.stranger)
    assert world.gain(world.stranger) == TOKEN


@without(
    "Registry", "market/Registry.sol", "if (block.timestamp < pending.releaseAt)", "if (false)"
)
def verifier_leaves_at_once(world: World) -> None:
    verifier = world.verifiers[0]
    world.do(world.registry.functions.stake(100 * TOKEN), verifier)
    world.do(world.registry.functions.requestUnbond(100 * TOKEN), verifier)
    world.do(world.registry.functions.completeUnbond(), verifier)
    assert world.gain(verifier) == 0


# --- the tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_check_taken_out_lets_the_cheat_through(compiled: Mapping[str, Artifact], name: str):
    mutant, attack = CASES[name]
    attack(World(EmbeddedChain(mutant.among(compiled))))


@pytest.mark.parametrize("name", CASES)
def test_check_in_place_stops_the_cheat(world: World, name: str):
    _, attack = CASES[name]
    with pytest.raises((AssertionError, Reverted)):
        attack(world)
