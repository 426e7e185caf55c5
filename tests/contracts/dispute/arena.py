"""A claim about the toy run, the dispute contract around it, and short ways to play.

The solver's run may be any `ToyExecution`; its moves are built by the same `Prover` that agents
use, and each test changes what it wants to see refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest
from web3.logs import DISCARD

from protocol.chain.embedded import EmbeddedChain
from protocol.chain.reverts import Reverted
from protocol.dispute.moves import (
    Bisect,
    Pick,
    PointBinding,
    PointStep,
    PointTerm,
    PositionMove,
)
from protocol.dispute.proofs import Prover
from protocol.dispute.state import (
    ARITHMETIC,
    ClaimFacts,
    DisputeState,
    Level,
    Position,
    Side,
    commitment_of,
)
from protocol.dispute.toy import ONE_LEAF, SMALL, ToyConfig, ToyExecution, Words
from protocol.dispute.trees import root_of
from protocol.merkle import frontier

S = DisputeState

SOLVER_SECONDS = 1000
OPENER_SECONDS = 800
GRACE = 50
COVER_SHARE = 4 * 10**17
UNREVEALED_SHARE = 10**17
PARAMETERS = (SOLVER_SECONDS, OPENER_SECONDS, GRACE, COVER_SHARE, UNREVEALED_SHARE)

BOND = 1000
FUNDS = 100 * BOND
SEGMENT_SECONDS = 300
TRACE_SECONDS = 70
WINDOW = 2000
REVEAL = 500

# Where the default cheat is: segment 2, its second step, `mix`, one element, its second term.
SEGMENT, STEP, NODE, ELEMENT, TERM = 2, 4, 1, 3, 1


class Cheat(ToyExecution):
    """The toy run with one wrong accumulator; everything after it follows from the lie."""

    def __init__(
        self,
        config: ToyConfig = SMALL,
        where: tuple[int, int, int, int] = (STEP, NODE, ELEMENT, TERM),
    ) -> None:
        super().__init__(config)
        self.where = where

    def term(
        self, step: int, node: int, element: int, term: int, previous: int
    ) -> tuple[int, Words]:
        accumulator, words = super().term(step, node, element, term, previous)
        return accumulator ^ ((step, node, element, term) == self.where), words


@cache
def honest(config: ToyConfig = SMALL) -> Prover:
    """The honest run."""
    return Prover(ToyExecution(config))


@cache
def cheat() -> Prover:
    """The run with the default cheat."""
    return Prover(Cheat())


@cache
def one_leaf() -> Prover:
    """A run whose trees have one leaf each."""
    return Prover(ToyExecution(ONE_LEAF))


def bent(value: bytes) -> bytes:
    """The bytes with their last bit flipped."""
    return value[:-1] + bytes([value[-1] ^ 1])


def bad_proofs(proof: tuple[bytes, ...]) -> list[tuple[tuple[bytes, ...], str]]:
    """Wrong versions of a proof that is not empty, with the error that each deserves."""
    return [
        ((bent(proof[0]), *proof[1:]), "RootMismatch"),
        (proof[:-1], "WrongProofLength"),
        ((*proof, bytes(32)), "WrongProofLength"),
    ]


@contextmanager
def refused(name: str, *arguments: Any) -> Iterator[None]:
    """Expect a custom error; its arguments are compared as far as they are given."""
    with pytest.raises(Reverted) as caught:
        yield
    assert (caught.value.name, caught.value.arguments[: len(arguments)]) == (name, arguments)


@dataclass
class Arena:
    """The contracts and the parties; gas is the gas of the last transaction of each function."""

    chain: EmbeddedChain
    contracts: dict[str, Any]
    gas: dict[str, int] = field(default_factory=dict)
    prover: Prover = field(default_factory=honest)
    facts: ClaimFacts | None = None
    claim: bytes = b""

    def __post_init__(self) -> None:
        self.dispute = self.contracts["dispute"]
        self.claims = self.contracts["claims"]
        self.vault = self.contracts["vault"]
        _, self.solver, self.opener, self.other, self.verifier = self.chain.accounts[:5]
        self.solver_key = self.chain.keys[1]

    # ------------------------------------------------------------------ claims

    def register(
        self, prover: Prover | None = None, claim: bytes = b"\x11" * 32, **changes: Any
    ) -> bytes:
        """Register a claim about the prover's run, as the solver's."""
        prover = prover or self.prover
        run, now = prover.execution, self.chain.now()
        states = len(run.state_leaves(0))
        facts = ClaimFacts(
            solver=self.solver,
            requester=self.chain.accounts[9],
            task_id=b"\x22" * 32,
            log_root=prover.log().root,
            result_root=run.log_leaves()[-1],
            program_root=prover.program().root,
            data_root=self._data_root(prover),
            initial_state_root=run.log_leaves()[0],
            steps=run.steps,
            interval=run.interval,
            node_count=prover.program().size - states,
            state_count=states,
            data_count=len(run.data_leaves()),
            segment_seconds=SEGMENT_SECONDS,
            trace_seconds=TRACE_SECONDS,
            window_end=now + WINDOW,
            reveal_end=now + WINDOW + REVEAL,
            clock_start=now,
            bond=BOND,
        )
        facts = replace(facts, **changes)
        values = tuple(getattr(facts, name) for name in facts.__dataclass_fields__)
        self.chain.send(self.claims.functions.register(claim, values))
        self.prover, self.facts, self.claim = prover, facts, claim
        return claim

    @staticmethod
    def _data_root(prover: Prover) -> bytes:
        return root_of(prover.execution.data_leaves())

    # ------------------------------------------------------------------ raw calls

    def send(self, function: str, *arguments: Any, sender: str | None = None) -> Any:
        """Send a transaction to the dispute contract and note its gas."""
        call = getattr(self.dispute.functions, function)(*arguments)
        receipt = self.chain.send(call, sender or self.opener)
        self.gas[function] = receipt["gasUsed"]
        return receipt

    def total_gas(self) -> int:
        """Gas of the noted transactions, listed in the log (`pytest --log-cli-level=info`)."""
        total = sum(self.gas.values())
        rows = "".join(f"\n{name:16} {gas:9,}" for name, gas in self.gas.items())
        logging.info("gas of each move%s\n%-16s %9s", rows, "total", f"{total:,}")
        return total

    def view(self, function: str, *arguments: Any) -> Any:
        """Call a view of the dispute contract."""
        return self.chain.call(getattr(self.dispute.functions, function)(*arguments))

    def events(self, receipt: Any, name: str) -> list[Any]:
        """Arguments of the events of one name in a receipt."""
        found = self.dispute.events[name]().process_receipt(receipt, errors=DISCARD)
        return [dict(event["args"]) for event in found]

    def claims_view(self, function: str, *arguments: Any) -> Any:
        """Call a view of the claims harness."""
        return self.chain.call(getattr(self.claims.functions, function)(*arguments))

    def credit(self, account: str) -> int:
        """Vault credit of an account."""
        return int(self.chain.call(self.vault.functions.credits(account)))

    def burned(self) -> int:
        """Everything burned so far."""
        return int(self.chain.call(self.vault.functions.totalBurned()))

    # ------------------------------------------------------------------ positions

    def position(self, dispute: bytes) -> Position:
        """The position, as the contract tells it."""
        values = list(self.view("position", dispute))
        values[2], values[3] = DisputeState(values[2]), Level(values[3])
        return Position(*values)

    def state(self, dispute: bytes) -> DisputeState:
        """The state alone."""
        return self.position(dispute).state

    def clock(self, dispute: bytes) -> tuple[Side, int]:
        """Who is on the clock, and until when."""
        side, deadline = self.view("clock", dispute)
        return Side(side), deadline

    # ------------------------------------------------------------------ opening

    def commitment(self, segment: int, salt: bytes = bytes(32), opener: str | None = None) -> bytes:
        """What an opener commits to; the dispute's id."""
        return commitment_of(self.claim, opener or self.opener, segment, salt)

    def commit(self, segment: int, salt: bytes = bytes(32), opener: str | None = None) -> bytes:
        """Commit to an opening; returns the dispute's id."""
        opener = opener or self.opener
        commitment = self.commitment(segment, salt, opener)
        self.send("commitOpen", self.claim, commitment, sender=opener)
        return commitment

    def open(
        self, segment: int = SEGMENT, salt: bytes = bytes(32), opener: str | None = None
    ) -> bytes:
        """Commit and open; returns the dispute's id."""
        dispute = self.commit(segment, salt, opener)
        self.send("open", self.claim, segment, salt, sender=opener or self.opener)
        return dispute

    # ------------------------------------------------------------------ moves

    def play(self, dispute: bytes, move: PositionMove, sender: str | None = None) -> Any:
        """Send a move: the opener's from the opener of the dispute, the others from the solver."""
        if sender is None:
            position = self.position(dispute)
            sender = position.opener if position.side is Side.OPENER else self.solver
        return self.send(move.function, dispute, *move.arguments(), sender=sender)

    def answer(self, dispute: bytes, sender: str | None = None, **changes: Any) -> Any:
        """Play the solver's right move in the present state, with changed arguments if any."""
        return self.play(dispute, replace(self.right_answer(dispute), **changes), sender)

    def right_answer(self, dispute: bytes) -> PositionMove:
        """The solver's move in the present state, from its run."""
        p, prover = self.position(dispute), self.prover
        assert self.facts is not None
        builders: dict[DisputeState, Callable[[], PositionMove]] = {
            S.NEED_SEGMENT: lambda: prover.post_segment(p),
            S.NEED_TRACE: lambda: prover.post_trace(p),
            S.NEED_FOLD: lambda: prover.post_fold(p),
            S.REVEAL: lambda: prover.reveal(p),
            S.NEED_TENSOR: lambda: prover.open_tensor(p),
            S.NEED_CHUNK: lambda: prover.open_chunk(p),
            S.NEED_TERM: lambda: prover.open_term(p),
            S.ANSWER_BINDING: lambda: prover.answer_binding(p, self.facts.state_count),
            S.JUDGE: lambda: (
                prover.judge_arithmetic(p) if p.kind == ARITHMETIC else prover.judge_load(p)
            ),
        }
        return builders[p.state]()

    def sign(
        self,
        path: bytes,
        root: bytes,
        *,
        claim: bytes | None = None,
        key: Any = None,
        verifier: str | None = None,
    ) -> bytes:
        """The solver's EIP-712 signature of a new root, or another key's."""
        domain = {
            "name": "Pinpoint",
            "version": "1",
            "chainId": self.chain.w3.eth.chain_id,
            "verifyingContract": verifier or self.dispute.address,
        }
        types = {"Root": [{"name": n, "type": "bytes32"} for n in ("claimId", "path", "root")]}
        message = {"claimId": claim or self.claim, "path": path, "root": root}
        signed = (key or self.solver_key).sign_typed_data(domain, types, message)
        return bytes(signed.signature)

    def pick(self, dispute: bytes, leaf: int) -> Any:
        """Pick the revealed child that holds a leaf."""
        p = self.position(dispute)
        children = tuple(self.prover.bisected(p).reveal(p.lo, p.size))
        ranges = frontier(p.lo, p.size)
        child = next(i for i, (lo, size) in enumerate(ranges) if lo <= leaf < lo + size)
        return self.play(dispute, Pick(p.hash(), child, children))

    def bisect(self, dispute: bytes, level: Level, leaf: int) -> None:
        """Bisect a level down to a leaf."""
        self.play(dispute, Bisect(self.position(dispute).hash(), level))
        while self.state(dispute) is S.REVEAL:
            self.answer(dispute)
            self.pick(dispute, leaf)

    # ------------------------------------------------------------------ the way down

    def descend(
        self,
        dispute: bytes,
        until: DisputeState,
        *,
        t: int = STEP - 3,
        node: int = NODE,
        element: int = ELEMENT,
        term: int = TERM,
        kind: int = ARITHMETIC,
        binding: int | None = None,
    ) -> None:
        """Play the direct moves until the dispute is in a state."""
        while (state := self.state(dispute)) is not until:
            p = self.position(dispute)
            expected = p.hash()
            if state is S.POINT_STEP:
                self.play(dispute, PointStep(expected, t))
            elif state is S.BRANCH and binding is not None:
                self.play(dispute, PointBinding(expected, binding))
            elif state is S.BRANCH:
                self.play(dispute, self.prover.point_element(p, node, element))
            elif state is S.POINT_TERM:
                self.play(dispute, PointTerm(expected, term, kind))
            else:
                assert p.side is Side.SOLVER, f"{state.name} is not on the way to {until.name}"
                self.answer(dispute)

    def wait_until(self, time_s: int) -> None:
        """Have the next transaction mined at this time."""
        self.chain.set_next_time(time_s)
