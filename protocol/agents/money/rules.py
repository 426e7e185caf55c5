"""Which movements of money an event entails: docs/PROTOCOL.md, section 10, as a replay. No I/O.

The amounts are computed from the terms and the deployment's constants, not copied from what the
contracts say that they paid: so the books are checked against the rules and not against
themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from protocol.agents.money.ledger import Event
from protocol.chain.market import Terms
from protocol.chain.presets import DisputeConstants, MarketConstants
from protocol.chain.stake import WAD, ceil_div
from protocol.dispute.state import DisputeState

NOBODY: Final = "0x" + "00" * 20


class Direction(StrEnum):
    """Where money went: out of a credit into a pot, out of a pot into a credit, or burned."""

    TAKEN = "taken"
    RELEASED = "released"
    BURNED = "burned"


@dataclass(frozen=True)
class Pot:
    """Money of the vault that is bound to a purpose.

    Attributes:
        module: role of the contract that may move it.
        key: its key there.
        what: escrow, bid, bond or stake.
        owner: who put the money in.
        task_id: the task that it belongs to; None for a verifier's stake.
    """

    module: str
    key: bytes
    what: str
    owner: str
    task_id: bytes | None


@dataclass(frozen=True)
class Expected:
    """A movement that must be there. ``parts``: reason and token wei, which sum up to it."""

    pot: Pot
    direction: Direction
    account: str | None
    parts: tuple[tuple[str, int], ...]

    @property
    def amount(self) -> int:
        """Token wei."""
        return sum(amount for _, amount in self.parts)


@dataclass
class _Round:
    number: int
    stake: int
    deposit: int
    price: int = 0
    solver: str = NOBODY


@dataclass
class _Task:
    requester: str
    terms: Terms
    pot: Pot
    rounds: dict[int, _Round] = field(default_factory=dict)

    @property
    def round(self) -> _Round:
        return self.rounds[max(self.rounds)]


@dataclass
class _Claim:
    task_id: bytes
    solver: str
    bond: int
    attested: int = 0
    beneficiary: str = NOBODY


class Rules:
    """Follows a deployment's events and says which movements each of them entails.

    Args:
        market: the market's constants.
        dispute: the dispute's constants.
    """

    def __init__(self, market: MarketConstants, dispute: DisputeConstants) -> None:
        self._market = market
        self._dispute = dispute
        self.pots: dict[tuple[str, bytes], Pot] = {}
        self._tasks: dict[bytes, _Task] = {}
        self._claims: dict[bytes, _Claim] = {}
        self._bids: dict[tuple[bytes, int, str], bool] = {}  # whether it was revealed
        self._bonds: dict[tuple[str, bytes], _Claim] = {}  # by opener and commitment
        self._disputes: dict[bytes, str] = {}  # opener

    def expect(self, event: Event) -> list[Expected]:
        """The movements that an event entails, in the order of the chain.

        Raises:
            KeyError: It is about something that no earlier event began.
        """
        handler = _HANDLERS.get(event.name)
        if handler is None:
            return []
        return [movement for movement in handler(self, event.args) if movement.amount]

    # ------------------------------------------------------------------ pots

    def _open(self, module: str, key: bytes, what: str, owner: str, task: bytes | None) -> Pot:
        pot = Pot(module, key, what, owner, task)
        self.pots[module, key] = pot
        return pot

    def _bid_pot(self, task_id: bytes, number: int, bidder: str) -> Pot:
        return self.pots["market", bid_key(task_id, number, bidder)]

    def _bond_pot(self, opener: str, commitment: bytes) -> Pot:
        return self.pots["dispute", bond_key(opener, commitment)]

    # ------------------------------------------------------------------ the requester's moves

    def _task_posted(self, a: Mapping[str, Any]) -> list[Expected]:
        terms = a["terms"]
        values = terms.values() if isinstance(terms, Mapping) else terms
        pot = self._open("market", a["taskId"], "escrow", a["requester"], a["taskId"])
        task = _Task(a["requester"], Terms(*values), pot)
        self._tasks[a["taskId"]] = task
        return [_take(pot, a["requester"], ("escrow", task.terms.escrow))]

    def _round_opened(self, a: Mapping[str, Any]) -> list[Expected]:
        opened = _Round(a["round"], a["requiredStake"], a["deposit"])
        self._tasks[a["taskId"]].rounds[opened.number] = opened
        return []

    def _task_refunded(self, a: Mapping[str, Any]) -> list[Expected]:
        task = self._tasks[a["taskId"]]
        return [_release(task.pot, task.requester, "escrow returned", task.terms.escrow)]

    # ------------------------------------------------------------------ bids

    def _bid_committed(self, a: Mapping[str, Any]) -> list[Expected]:
        task_id, number, bidder = a["taskId"], a["round"], a["bidder"]
        terms = self._tasks[task_id].rounds[number]
        pot = self._open("market", bid_key(task_id, number, bidder), "bid", bidder, task_id)
        self._bids[task_id, number, bidder] = False
        return [_take(pot, bidder, ("bid: stake", terms.stake), ("bid: deposit", terms.deposit))]

    def _bid_revealed(self, a: Mapping[str, Any]) -> list[Expected]:
        task_id, number, bidder = a["taskId"], a["round"], a["bidder"]
        self._bids[task_id, number, bidder] = True
        deposit = self._tasks[task_id].rounds[number].deposit
        pot = self._bid_pot(task_id, number, bidder)
        return [_release(pot, bidder, "revealed: deposit returned", deposit)]

    def _bid_reclaimed(self, a: Mapping[str, Any]) -> list[Expected]:
        task_id, number, bidder = a["taskId"], a["round"], a["bidder"]
        terms = self._tasks[task_id].rounds[number]
        pot = self._bid_pot(task_id, number, bidder)
        returned = _release(pot, bidder, "bid not won: stake returned", terms.stake)
        if self._bids.pop((task_id, number, bidder)):
            return [returned]
        return [_burn(pot, "bid not revealed: deposit burned", terms.deposit), returned]

    def _task_assigned(self, a: Mapping[str, Any]) -> list[Expected]:
        assigned = self._tasks[a["taskId"]].rounds[a["round"]]
        assigned.solver, assigned.price = a["solver"], a["price"]
        return []

    def _no_show(self, a: Mapping[str, Any]) -> list[Expected]:
        task = self._tasks[a["taskId"]]
        penalty = ceil_div(task.round.stake * self._market.no_show_wad, WAD)
        share = min(penalty // 2, task.terms.max_reward)
        pot = self._bid_pot(a["taskId"], task.round.number, task.round.solver)
        solver, stake = task.round.solver, task.round.stake
        return [
            _release(pot, solver, "no-show: rest of the stake returned", stake - penalty),
            _release(pot, task.requester, "no-show: requester's share", share),
            _burn(pot, "no-show: burned", penalty - share),
        ]

    # ------------------------------------------------------------------ claims

    def _claim_submitted(self, a: Mapping[str, Any]) -> list[Expected]:
        self._claims[a["claimId"]] = _Claim(a["taskId"], a["solver"], a["bond"])
        return []

    def _attested(self, a: Mapping[str, Any]) -> list[Expected]:
        self._claims[a["claimId"]].attested += 1
        return []

    def _claim_finalised(self, a: Mapping[str, Any]) -> list[Expected]:
        claim = self._claims[a["claimId"]]
        task = self._tasks[claim.task_id]
        price = task.round.price
        rest = task.terms.escrow - price - claim.attested * task.terms.verifier_fee
        stake_pot = self._bid_pot(claim.task_id, task.round.number, claim.solver)
        return [
            _release(stake_pot, claim.solver, "finalised: stake returned", task.round.stake),
            _release(task.pot, claim.solver, "finalised: price", price),
            _release(task.pot, task.requester, "finalised: rest of the escrow", rest),
        ]

    def _fee_collected(self, a: Mapping[str, Any]) -> list[Expected]:
        task = self._tasks[self._claims[a["claimId"]].task_id]
        return [_release(task.pot, a["verifier"], "verifier's fee", task.terms.verifier_fee)]

    def _claim_fallen(self, a: Mapping[str, Any]) -> list[Expected]:
        self._claims[a["claimId"]].beneficiary = a["beneficiary"]
        return []

    def _claim_settled(self, a: Mapping[str, Any]) -> list[Expected]:
        claim = self._claims[a["claimId"]]
        task = self._tasks[claim.task_id]
        stake, solver = task.round.stake, claim.solver
        pot = self._bid_pot(claim.task_id, task.round.number, solver)
        share = 0
        if claim.beneficiary != NOBODY:
            share = stake * self._market.challenger_wad // WAD
        to_requester = min(stake * self._market.requester_wad // WAD, task.round.price)
        return [
            _release(pot, claim.beneficiary, "slashed: challenger's share", share),
            _release(pot, task.requester, "slashed: requester's share", to_requester),
            _burn(pot, "slashed: burned", stake - share - to_requester),
        ]

    # ------------------------------------------------------------------ disputes

    def _opening_committed(self, a: Mapping[str, Any]) -> list[Expected]:
        opener, commitment, claim = a["opener"], a["commitment"], self._claims[a["claimId"]]
        self._bonds[opener, commitment] = claim
        key = bond_key(opener, commitment)
        pot = self._open("dispute", key, "bond", opener, claim.task_id)
        return [_take(pot, opener, ("bond", claim.bond))]

    def _commitment_reclaimed(self, a: Mapping[str, Any]) -> list[Expected]:
        opener, commitment = a["opener"], a["commitment"]
        claim = self._bonds.pop((opener, commitment))
        pot = self._bond_pot(opener, commitment)
        if claim.beneficiary != NOBODY:
            return [_release(pot, opener, "not opened, claim fell: bond returned", claim.bond)]
        burned = claim.bond * self._dispute.unrevealed_share // WAD
        return [
            _release(pot, opener, "not opened: rest of the bond returned", claim.bond - burned),
            _burn(pot, "not opened: burned", burned),
        ]

    def _dispute_opened(self, a: Mapping[str, Any]) -> list[Expected]:
        self._disputes[a["disputeId"]] = a["opener"]
        return []

    def _dispute_closed(self, a: Mapping[str, Any]) -> list[Expected]:
        opener = self._disputes[a["disputeId"]]
        claim = self._bonds.pop((opener, a["disputeId"]))
        pot = self._bond_pot(opener, a["disputeId"])
        state = DisputeState(a["state"])
        if state == DisputeState.SOLVER_WON:
            cover = claim.bond * self._dispute.cover_share // WAD
            return [
                _release(pot, claim.solver, "bond lost: solver's share", cover),
                _burn(pot, "bond lost: burned", claim.bond - cover),
            ]
        won = state == DisputeState.CHALLENGER_WON
        reason = "dispute won: bond returned" if won else "claim fell: bond returned"
        return [_release(pot, opener, reason, claim.bond)]

    # ------------------------------------------------------------------ verifiers' stakes

    def _staked(self, a: Mapping[str, Any]) -> list[Expected]:
        verifier = a["verifier"]
        pot = self._open("registry", stake_key(verifier), "stake", verifier, None)
        return [_take(pot, verifier, ("verifier's stake", a["amount"]))]

    def _unbonded(self, a: Mapping[str, Any]) -> list[Expected]:
        verifier = a["verifier"]
        pot = self.pots["registry", stake_key(verifier)]
        return [_release(pot, verifier, "verifier's stake returned", a["amount"])]


def bid_key(task_id: bytes, number: int, bidder: str) -> bytes:
    """Key of a bid's pot of the market."""
    return keccak(encode(["bytes32", "uint32", "address"], [task_id, number, bidder]))


def bond_key(opener: str, commitment: bytes) -> bytes:
    """Key of a bond's pot of the dispute contract."""
    return keccak(encode(["address", "bytes32"], [opener, commitment]))


def stake_key(verifier: str) -> bytes:
    """Key of a verifier's pot of the registry."""
    return bytes(12) + bytes.fromhex(verifier.removeprefix("0x"))


def _take(pot: Pot, account: str, *parts: tuple[str, int]) -> Expected:
    return Expected(pot, Direction.TAKEN, account, parts)


def _release(pot: Pot, account: str, reason: str, amount: int) -> Expected:
    return Expected(pot, Direction.RELEASED, account, ((reason, amount),))


def _burn(pot: Pot, reason: str, amount: int) -> Expected:
    return Expected(pot, Direction.BURNED, None, ((reason, amount),))


_HANDLERS = {
    "TaskPosted": Rules._task_posted,
    "RoundOpened": Rules._round_opened,
    "TaskRefunded": Rules._task_refunded,
    "BidCommitted": Rules._bid_committed,
    "BidRevealed": Rules._bid_revealed,
    "BidReclaimed": Rules._bid_reclaimed,
    "TaskAssigned": Rules._task_assigned,
    "NoShow": Rules._no_show,
    "ClaimSubmitted": Rules._claim_submitted,
    "Attested": Rules._attested,
    "ClaimFinalised": Rules._claim_finalised,
    "FeeCollected": Rules._fee_collected,
    "ClaimFallen": Rules._claim_fallen,
    "ClaimSettled": Rules._claim_settled,
    "OpeningCommitted": Rules._opening_committed,
    "CommitmentReclaimed": Rules._commitment_reclaimed,
    "DisputeOpened": Rules._dispute_opened,
    "DisputeClosed": Rules._dispute_closed,
    "Staked": Rules._staked,
    "Unbonded": Rules._unbonded,
}
