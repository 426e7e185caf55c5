"""A deployed market with funded people, and short cuts to any point of a task's life."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from protocol.chain.deployment import Deployment, deploy_all
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.market import ClaimPhase, ClaimView, TaskPhase, TaskView, Terms
from protocol.chain.presets import MINIMAL, Preset
from protocol.chain.reverts import Reverted
from protocol.merkle.tree import MerkleTree

TOKEN = 10**18
WEALTH = 1_000_000 * TOKEN
# Of World.terms(): four segments checked only openly (q = 0.2), (1,000 / 0.2 - 1,000) / 0.75.
STAKE = 5_333_333_333_333_333_333_334
DEPOSIT = 50 * TOKEN
SALT = b"\x07" * 32
ZERO = "0x" + "0" * 40
BURN = "0x000000000000000000000000000000000000dEaD"


def state_root(index: int, lie: int = 0) -> bytes:
    """A stand-in for the state root at checkpoint `index`."""
    return hashlib.sha256(b"state %d %d" % (index, lie)).digest()


class World:
    """One market. Every person has WEALTH as vault credit."""

    def __init__(self, chain: EmbeddedChain, preset: Preset = MINIMAL) -> None:
        self.chain = chain
        self.preset = preset
        self.deployment: Deployment = self.deploy()
        self.token, self.vault = self.deployment.token, self.deployment.vault
        self.registry, self.market = self.deployment.registry, self.deployment.market
        self.claims, self.dispute = self.deployment.claims, self.deployment.dispute
        people = chain.accounts[1:]
        self.requester, *self.solvers = people[:4]
        self.verifiers = people[4:10]
        self.challenger, self.stranger = people[10:12]
        self.people = people[:12]
        for person in self.people:
            self.deployment.fund(person, WEALTH)

    def deploy(self) -> Deployment:
        """The contracts, with a stand-in that obeys anyone in the place of the dispute."""

        def stand_in(claims: Any, vault: Any, _judge: Any) -> Any:
            return self.chain.deploy("DisputeStandIn", claims.address, vault.address)

        return deploy_all(self.chain, self.preset, deploy_dispute=stand_in)

    # --- calls ------------------------------------------------------------------------------

    def do(self, fn: Any, sender: str | None = None, *, at: int | None = None) -> Any:
        """Send a transaction, at an exact time if one is given."""
        if at is not None:
            self.chain.set_next_time(at)
        return self.chain.send(fn, sender or self.stranger)

    def refuses(self, fn: Any, sender: str | None, error: str, *values: Any, **how: Any) -> None:
        """The transaction reverts with this error and these values."""
        with pytest.raises(Reverted) as caught:
            self.do(fn, sender, **how)
        assert (caught.value.name, caught.value.arguments) == (error, values)

    def ask(self, fn: Any) -> Any:
        return self.chain.call(fn)

    def event(self, contract: Any, name: str, receipt: Any) -> dict[str, Any]:
        found = [
            e
            for log in receipt["logs"]
            if log["address"] == contract.address
            and (e := self.deployment.decode_event(contract, log)) is not None
            and e["event"] == name
        ]
        assert len(found) == 1, f"{len(found)} events {name}"
        return dict(found[0]["args"])

    # --- money ------------------------------------------------------------------------------

    def credit(self, account: str) -> int:
        return self.ask(self.vault.functions.credits(account))

    def gain(self, account: str) -> int:
        """What the account's credit has gained since the start."""
        return self.credit(account) - WEALTH

    def burned(self) -> int:
        return self.ask(self.vault.functions.totalBurned())

    def pots(self) -> int:
        return self.ask(self.vault.functions.totalPots())

    def audit(self) -> None:
        """The vault's books balance and equal its tokens (I3)."""
        vault = self.vault.functions
        owned = sum(self.credit(a) for a in [*self.chain.accounts, BURN])
        held = self.ask(self.token.functions.balanceOf(self.vault.address))
        assert owned == self.ask(vault.totalCredits())
        assert held == owned + self.pots()
        assert owned + self.pots() == WEALTH * len(self.people)

    def assert_settled(self) -> None:
        """Everything that came in went out or was burned, and no pot holds anything."""
        self.audit()
        assert self.pots() == 0
        assert sum(self.gain(p) for p in self.people) == -self.burned()

    # --- views ------------------------------------------------------------------------------

    def task(self, task_id: bytes) -> TaskView:
        return TaskView.from_tuple(self.ask(self.market.functions.taskView(task_id)))

    def claim(self, claim_id: bytes) -> ClaimView:
        return ClaimView.from_tuple(self.ask(self.claims.functions.claimView(claim_id)))

    def phase(self, task_id: bytes) -> TaskPhase:
        return self.task(task_id).phase

    # --- the life of a task -----------------------------------------------------------------

    def terms(self, **changes: Any) -> Terms:
        """10 steps in 4 segments; no verifiers."""
        plain = Terms(
            program_root=b"\x01" * 32,
            data_root=b"\x02" * 32,
            initial_state_root=state_root(0),
            manifest_root=b"\x04" * 32,
            steps=10,
            interval=3,
            node_count=5,
            state_count=3,
            data_count=2,
            max_reward=1_000 * TOKEN,
            value_at_risk=0,
            verifier_fee=0,
            verifiers=0,
            segments_per_verifier=0,
            bid_seconds=100,
            reveal_seconds=100,
            run_seconds=1_000,
            window_seconds=2_000,
            segment_seconds=60,
            trace_seconds=30,
        )
        return replace(plain, **changes)

    def post(self, terms: Terms | None = None) -> bytes:
        terms = terms or self.terms()
        fn = self.market.functions.post(terms.to_tuple(), "ipfs://manifest")
        receipt = self.do(fn, self.requester)
        return self.event(self.market, "TaskPosted", receipt)["taskId"]

    def commitment(self, task_id: bytes, bidder: str, price: int, salt: bytes = SALT) -> bytes:
        round_ = self.task(task_id).round
        return self.ask(self.market.functions.bidCommitment(task_id, round_, bidder, price, salt))

    def commit(self, task_id: bytes, bidder: str, price: int, **how: Any) -> Any:
        commitment = self.commitment(task_id, bidder, price)
        return self.do(self.market.functions.commitBid(task_id, commitment), bidder, **how)

    def reveal(self, task_id: bytes, bidder: str, price: int, **how: Any) -> Any:
        return self.do(self.market.functions.revealBid(task_id, price, SALT), bidder, **how)

    def auction(self, task_id: bytes, *prices: int) -> None:
        """Solver i bids and reveals price i."""
        for bidder, price in zip(self.solvers, prices, strict=False):
            self.commit(task_id, bidder, price)
        self.pass_to(self.task(task_id).bid_end)
        for bidder, price in zip(self.solvers, prices, strict=False):
            self.reveal(task_id, bidder, price)
        self.pass_to(self.task(task_id).reveal_end)

    def assigned(self, terms: Terms | None = None, prices: tuple[int, ...] = (0,)) -> bytes:
        """A RUNNING task; solver 0 won if prices are increasing."""
        task_id = self.post(terms)
        self.auction(task_id, *prices)
        self.do(self.market.functions.assign(task_id))
        return task_id

    def log(self, terms: Terms, lie: int = 0) -> MerkleTree:
        """The checkpoint log of an honest solver, or of one that lies after the first leaf."""
        roots = [state_root(i, lie if i else 0) for i in range(terms.segments + 1)]
        return MerkleTree(roots)

    def submit_call(self, task_id: bytes, terms: Terms, lie: int = 0) -> Any:
        log, last = self.log(terms, lie), terms.segments
        size = self.task(task_id).reported_size
        return self.market.functions.submit(
            task_id,
            log.root,
            state_root(last, lie if last else 0),
            log.consistency_proof(size) if size else [],
            log.inclusion_proof(0),
            log.inclusion_proof(last),
        )

    def submit(self, task_id: bytes, terms: Terms | None = None, **how: Any) -> bytes:
        terms = terms or self.terms()
        receipt = self.do(self.submit_call(task_id, terms), self.task(task_id).solver, **how)
        return self.event(self.claims, "ClaimSubmitted", receipt)["claimId"]

    def submitted(
        self, terms: Terms | None = None, prices: tuple[int, ...] = (0,)
    ) -> tuple[bytes, bytes]:
        """A SUBMITTED task and its claim."""
        task_id = self.assigned(terms, prices)
        return task_id, self.submit(task_id, terms)

    def stake_verifiers(self, *amounts: int) -> None:
        for verifier, amount in zip(self.verifiers, amounts, strict=False):
            self.do(self.registry.functions.stake(amount), verifier)

    def draw(self, claim_id: bytes) -> ClaimView:
        missing = self.claim(claim_id).target_block - self.chain.w3.eth.block_number
        self.chain.mine(max(missing, 0))
        self.do(self.claims.functions.draw(claim_id))
        return self.claim(claim_id)

    def window_end(self, claim_id: bytes) -> int:
        return self.facts(claim_id)["windowEnd"]

    def facts(self, claim_id: bytes) -> dict[str, Any]:
        fn = self.claims.functions.claimFacts(claim_id)
        names = [c["name"] for c in fn.abi["outputs"][0]["components"]]
        return dict(zip(names, self.ask(fn), strict=True))

    def finalise(self, claim_id: bytes) -> None:
        self.pass_to(self.facts(claim_id)["revealEnd"])
        self.do(self.claims.functions.finalise(claim_id))
        assert self.claim(claim_id).phase is ClaimPhase.FINALISED

    def convict(self, claim_id: bytes, beneficiary: str) -> Any:
        """The verdict, and the split of the stake that anybody may ask for after it."""
        receipt = self.do(self.dispute.functions.convict(claim_id, beneficiary))
        return self.settle(claim_id) or receipt

    def settle(self, claim_id: bytes) -> Any:
        """Split the stake of a claim that has fallen, if that was not done; the receipt or None."""
        view = self.claim(claim_id)
        if view.phase is not ClaimPhase.FALLEN or view.settled:
            return None
        return self.do(self.claims.functions.settle(claim_id))

    def pass_to(self, time_s: int) -> None:
        """Mine a block at that time, if it is not past already."""
        if self.chain.now() < time_s:
            self.chain.set_next_time(time_s)
            self.chain.mine(1)
