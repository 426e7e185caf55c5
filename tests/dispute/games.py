"""A small language for games on the reference model.

    game = Game(solver=WrongArithmetic(4, 2, 7, 0), challenger=ToyExecution())
    game.open(segment=2)
    assert game.play() is DisputeState.CHALLENGER_WON
    assert game.moves == ["postSegment", "pointStep", ...]

Each party plays its strategy on its own execution; a party that has no move, or whose move is
refused, lets its clock run out. ``serving`` names the levels whose leaves the solver serves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from hashlib import sha256

from protocol.dispute import challenger, defender
from protocol.dispute.claims import Claims
from protocol.dispute.execution import Execution, Opaque, Withheld
from protocol.dispute.model import Model, Parameters
from protocol.dispute.moves import CommitOpen, Open, PositionMove, Timeout
from protocol.dispute.proofs import Prover
from protocol.dispute.refusal import Refusal
from protocol.dispute.state import (
    ClaimFacts,
    DisputeState,
    Level,
    Position,
    Side,
    commitment_of,
    is_final,
)
from protocol.dispute.trees import ChunkTree, PartialTensor, Tree

SOLVER = "0x" + "50" * 20
CHALLENGER = "0x" + "c4" * 20
SECOND = "0x" + "c5" * 20
REQUESTER = "0x" + "4e" * 20
CLAIM = bytes.fromhex("c1" * 32)
START = 1_000_000
BOND = 1_000
EVERYTHING = frozenset(Level)
NOTHING: frozenset[Level] = frozenset()

PARAMETERS = Parameters(
    solver_seconds=600,
    opener_seconds=600,
    grace_seconds=10,
    cover_share=6 * 10**17,
    unrevealed_share=10**17,
)


class ServedBy:
    """What a solver's execution serves, for the position at hand."""

    def __init__(self, prover: Prover, levels: Collection[Level]) -> None:
        self._prover = prover
        self._levels = levels
        self.position: Position | None = None

    def leaves(self, root: bytes, size: int) -> Sequence[bytes] | None:
        for level in (Level.LOG, Level.SEGMENT, Level.TRACE, Level.POST_STATE, Level.FOLD):
            tree = self._tree(level)
            if tree is not None and (tree.root, tree.size) == (root, size):
                try:
                    return [tree.leaf(i) for i in range(size)]
                except Withheld:
                    return None
        return None

    def tensor(self, root: bytes, nbytes: int) -> bytes | None:
        position = self.position
        if Level.TENSOR not in self._levels or position is None:
            return None
        for node in range(len(self._prover.execution.trace_leaves(position.step))):
            try:
                stored = self._prover.execution.node_output(position.step, node)
            except Withheld:
                continue
            if isinstance(stored, PartialTensor) or len(stored) != nbytes:
                continue
            if ChunkTree(stored).root == root:
                return stored
        return None

    def _tree(self, level: Level) -> Tree | None:
        if level not in self._levels:
            return None
        position = self.position
        if level is Level.LOG:
            return self._prover.log()
        if position is None:
            return None
        try:
            return self._prover.bisected(replace(position, level=level))
        except (Withheld, IndexError):
            return None


def facts_of(run: Execution, state_count: int, **changes: int | str) -> ClaimFacts:
    """The claim that an execution makes, with generous times."""
    log = run.log_leaves()
    program = run.program_leaves()
    data = run.data_leaves()
    fields = {
        "solver": SOLVER,
        "requester": REQUESTER,
        "task_id": bytes(32),
        "log_root": Tree(log).root,
        "result_root": log[-1] if not isinstance(log[-1], Opaque) else bytes(32),
        "program_root": Tree(program).root,
        "data_root": Tree(data).root,
        "initial_state_root": log[0],
        "steps": run.steps,
        "interval": run.interval,
        "node_count": len(program) - state_count,
        "state_count": state_count,
        "data_count": len(data),
        "segment_seconds": 60,
        "trace_seconds": 30,
        "window_end": START + 10_000,
        "reveal_end": START + 20_000,
        "clock_start": 0,
        "bond": BOND,
    }
    return ClaimFacts(**(fields | changes))


class Game:
    """One solver, one challenger, one claim on the model."""

    def __init__(
        self,
        solver: Execution,
        challenger: Execution,
        *,
        serving: Collection[Level] = EVERYTHING,
        model: Model | None = None,
        opener: str = CHALLENGER,
        **facts: int | str,
    ) -> None:
        self.solver, self.challenger = Prover(solver), Prover(challenger)
        self.served = ServedBy(self.solver, serving)
        self.opener = opener
        self.now = START
        self.moves: list[str] = []
        self.refusals: list[Refusal] = []
        if model is None:
            state_count = len(solver.state_leaves(0))
            model = Model(PARAMETERS, Claims({CLAIM: facts_of(solver, state_count, **facts)}))
        self.model = model
        self.model.deposit(opener, 10 * BOND)
        self.id = bytes(32)

    def choose(self) -> int | None:
        """The segment that the challenger would open; 0 for the withheld log, None for none."""
        facts = self.model.claims.facts_of(CLAIM)
        return challenger.choose_segment(facts, self.challenger, self.served)

    def open(self, segment: int | None = None) -> Game:
        """Commit and open, at the segment that the challenger chooses unless one is given."""
        if segment is None:
            segment = self.choose()
            assert segment is not None, "the challenger agrees with the claim"
        salt = sha256(f"{self.opener} {len(self.model.records)}".encode()).digest()
        self.id = commitment_of(CLAIM, self.opener, segment, salt)
        self.model.apply(self.id, CommitOpen(CLAIM, self.id), self.opener, self.tick())
        self.model.apply(self.id, Open(CLAIM, segment, salt), self.opener, self.tick())
        return self

    def tick(self, seconds: int = 1) -> int:
        """Let time pass; the new time."""
        self.now += seconds
        return self.now

    @property
    def position(self) -> Position:
        """Where the dispute stands."""
        return self.model.position(self.id)

    def candidate(self) -> PositionMove | None:
        """What the side on the clock would play; None if nothing."""
        situation = self.model.situation(self.id)
        if situation.position.side is Side.SOLVER:
            return defender.next_move(situation, self.solver)
        self.served.position = situation.position
        try:
            return challenger.next_move(situation, self.challenger, self.served)
        except Withheld:
            return None

    def step(self) -> bool:
        """One move of the side on the clock; False if it has none or it is refused."""
        move = self.candidate()
        if move is None:
            return False
        sender = SOLVER if self.position.side is Side.SOLVER else self.opener
        try:
            self.model.apply(self.id, move, sender, self.tick())
        except Refusal as refusal:
            self.refusals.append(refusal)
            return False
        self.moves.append(move.function)
        return True

    def until(self, state: DisputeState) -> Game:
        """Play until the dispute is in ``state``."""
        while self.position.state is not state:
            assert self.step(), f"stuck in {self.position.state.name}"
        return self

    def play(self) -> DisputeState:
        """Play to the end."""
        while not is_final(self.position.state):
            if not self.step():
                self.expire()
        return self.position.state

    def expire(self) -> None:
        """Let the side on the clock run out of time, and claim it."""
        _, self.now = self.model.clock(self.id, self.now)
        self.model.apply(self.id, Timeout(), REQUESTER, self.now)
        self.moves.append("timeout")
