"""Several openings of one verifier, interrupted: each ends in a dispute or its bond comes back."""

from __future__ import annotations

from collections.abc import Generator

from protocol.agents.checking import Checker
from protocol.agents.journal import Journal
from protocol.agents.sender import Sender
from protocol.agents.verifier import OPENING, VERDICT, Verifier
from protocol.agents.watch.reader import Reader
from protocol.chain.market import ClaimPhase
from protocol.cli.demo.lies import OneUlp
from protocol.cli.demo.world import World
from protocol.dispute.state import DisputeState
from protocol.training import Task
from tests.agents.mortals import DeathAtTransactions, NoDeath, add_mortal
from tests.agents.scenes import FALSE_SEGMENT, LIAR, LIE, OFFER_ALL, play_out


class TwoFindings(Verifier):
    """Finds the false segment and the one after it."""

    def search(self, claim_id, facts, drawn) -> Generator[None, None, list[int]]:
        """Both."""
        found = yield from super().search(claim_id, facts, drawn)
        return [*found, FALSE_SEGMENT + 1]


def play(world: World, task: Task, death: NoDeath):
    """A liar against a verifier that opens two disputes."""
    requester = world.requester()
    world.solver(conduct=LIAR)
    mortal = add_mortal(
        world,
        "verifier",
        lambda reader, sender, journal, store, folder: TwoFindings(
            reader, sender, journal, store, checks_all=True, folder=folder
        ),
        death,
    )
    task_id = requester.post(task, OFFER_ALL)
    return play_out(world, task_id), mortal.deaths


def test_verifier_killed_between_its_two_openings_plays_both_to_the_same_end(
    world: World, task: Task, stage, tmp_path_factory
) -> None:
    end, _ = play(World(stage, tmp_path_factory.mktemp("undisturbed")), task, NoDeath())
    fresh = World(stage, world.folder / "killed")
    killed_end, deaths = play(fresh, task, DeathAtTransactions())
    assert killed_end == end
    assert deaths >= 2 * len([e for e in fresh.ledger.mined() if e.sender == "verifier"])
    assert len(fresh.reader.book.commitments) == len(fresh.reader.book.disputes) == 2
    closed = sorted(record.closed for record in fresh.reader.book.disputes.values())
    assert closed == [DisputeState.CHALLENGER_WON, DisputeState.REFUNDED]
    assert not fresh.ledger.refused()


def commit_and_stop(world: World, task: Task, *, false: bool) -> tuple[Verifier, bytes]:
    """A verifier that has committed to an opening, and its claim."""
    requester = world.requester()
    world.solver(conduct=LIAR) if false else world.solver()
    hooks = None if false else OneUlp(LIE)
    verifier = world.verifier("verifier", staked=False, checks_all=True, hooks=hooks)
    requester.post(task, OFFER_ALL)
    world.play(lambda: bool(world.reader.book.commitments))
    (claim_id,) = world.reader.book.claims
    return verifier, claim_id


def test_verifier_that_comes_back_after_the_reveals_takes_its_bond_less_the_penalty(
    world: World, task: Task
) -> None:
    verifier, claim_id = commit_and_stop(world, task, false=False)
    facts = world.reader.facts(claim_id)
    credit = world.reader.credit(verifier.account)
    world.chain.advance(facts.reveal_end - world.chain.now())
    assert verifier.tick()
    assert world.ledger.mined()[-1].function == "reclaim"
    kept = facts.bond - facts.bond // 10
    assert abs(world.reader.credit(verifier.account) - credit - kept) <= 1
    assert not world.reader.book.commitments
    assert not verifier.tick()  # nothing is committed, opened or reclaimed twice


def test_verifier_whose_claim_fell_before_it_opened_takes_its_whole_bond(
    world: World, task: Task
) -> None:
    verifier, claim_id = commit_and_stop(world, task, false=True)
    before = world.reader.credit(verifier.account)
    tick, verifier.tick = verifier.tick, lambda: False
    world.verifier("quicker", staked=False, checks_all=True)
    world.play(lambda: world.reader.claim(claim_id).phase is ClaimPhase.FALLEN)
    world.settle()
    verifier.tick = tick
    assert verifier.tick()
    assert world.reader.credit(verifier.account) == before + world.reader.facts(claim_id).bond
    assert not verifier.tick()


def test_verifier_killed_after_its_opening_was_mined_does_not_commit_again(
    world: World, task: Task
) -> None:
    """The journal has the salt and the verdict; that the bond is locked is only on the chain."""
    verifier, claim_id = commit_and_stop(world, task, false=True)
    chain_id = world.chain.w3.eth.chain_id
    journal = Journal(world.folder / "verifier" / "journal.sqlite", chain_id, verifier.account)
    assert journal.recall(VERDICT, claim_id) == FALSE_SEGMENT.to_bytes(8, "big")
    assert len(journal.entries(OPENING)) == 1
    sender = Sender(world.deployment, verifier.account, "reborn", world.ledger)
    reborn = Verifier(Reader(world.deployment), sender, journal, world.store, checks_all=True)
    world.chain.mine(1)
    assert reborn.tick()
    assert [entry.function for entry in world.ledger.mined() if entry.sender == "reborn"] == [
        "open"
    ]
    assert not world.ledger.refused()


def test_verifier_restarted_in_a_dispute_re_runs_one_segment_only(world: World, task: Task) -> None:
    """Not the whole task, as long as the segment's start is served; then the whole."""
    verifier, claim_id = commit_and_stop(world, task, false=True)
    checker = Checker(world.reader, world.store)
    assert checker.prover(claim_id, FALSE_SEGMENT).execution._checkpoints.state(1)
    (world.folder / "store" / "leaves").rename(world.folder / "taken away")
    task_only = Checker(world.reader, world.store)
    task_only._tasks = checker._tasks
    whole = task_only.prover(claim_id, FALSE_SEGMENT)
    assert (
        whole.segment(FALSE_SEGMENT).root
        == checker.prover(claim_id, FALSE_SEGMENT).segment(FALSE_SEGMENT).root
    )
    assert task_only.prover(claim_id, FALSE_SEGMENT + 1) is whole
    assert verifier.account
