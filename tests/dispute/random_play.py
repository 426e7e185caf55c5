"""Random play of many disputes at once on the model and the contracts, from a seed.

Ten claims: honest ones whose solver keeps its clocks, and false ones, each with one honest
challenger that keeps its clock. Everybody else does anything: right moves, random pointers, mutated
moves, moves out of turn, late ones. What must hold after every accepted move is checked here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256
from random import Random

from eth_account import Account

from protocol.dispute import challenger, defender
from protocol.dispute.bounds import most_moves
from protocol.dispute.execution import Withheld
from protocol.dispute.model import Record
from protocol.dispute.moves import (
    CommitOpen,
    Move,
    Open,
    OpenChunk,
    OpenTerm,
    PositionMove,
    Reclaim,
    Refund,
    Reveal,
    Timeout,
    UseRoot,
)
from protocol.dispute.proofs import Prover
from protocol.dispute.refusal import Refusal
from protocol.dispute.state import (
    DisputeState,
    Position,
    Side,
    commitment_of,
    is_final,
)
from protocol.dispute.toy import ONE_LEAF, SMALL
from protocol.dispute.turns import REQUIRED
from protocol.merkle import leaf_hash, recombine
from tests.adversaries.wrong_arithmetic import WrongArithmetic
from tests.adversaries.wrong_state import WrongState
from tests.dispute.games import BOND, EVERYTHING, NOTHING, START, ServedBy, facts_of
from tests.dispute.matrix import ADVANCE, honest
from tests.dispute.progress import progress
from tests.dispute.random_moves import mutated, random_pointer
from tests.dispute.signatures import RootSigner
from tests.dispute.twin import Twin

S = DisputeState
KINDS = ("honest", "honest", "honest", "single", "step", "step", "step", "step", "state", "state")
CLAIMS = {bytes([n + 1]) * 32: kind for n, kind in enumerate(KINDS)}
KEPT_CLAIMS = tuple(claim for claim, kind in CLAIMS.items() if kind in ("honest", "single"))
FALSE_CLAIMS = tuple(claim for claim in CLAIMS if claim not in KEPT_CLAIMS)
BELIEVED = {"honest": "step", "single": "single"}
"""What a challenger takes for right, if not the honest run."""
SOLVER_KEY = Account.from_key(b"\x11" * 32)
SOLVER = SOLVER_KEY.address.lower()
KEEPER = "0x" + "ee" * 20
OPENERS = ["0x" + f"{n:02x}" * 20 for n in (0xA1, 0xA2, 0xA3)]
STRANGER = "0x" + "77" * 20
EVERYONE = [SOLVER, KEEPER, STRANGER, *OPENERS]
WINDOW = 40_000
SAFE_SECONDS = 40


class RandomPlay:
    """One run of random play. ``act`` until enough, then ``finish``."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = START
        runs = {
            "honest": honest(SMALL),
            "single": honest(ONE_LEAF),
            "step": WrongArithmetic(4, ADVANCE, 7, 0),
            "state": WrongState(5, 2),
        }
        self.provers = {kind: Prover(run) for kind, run in runs.items()}
        facts = {
            claim: facts_of(
                runs[kind],
                len(runs[kind].state_leaves(0)),
                solver=SOLVER,
                window_end=START + WINDOW,
                reveal_end=START + WINDOW + 500,
            )
            for claim, kind in CLAIMS.items()
        }
        self.twin = Twin(facts)
        self.signer = RootSigner(SOLVER_KEY, self.twin.chain.dispute.address)
        self.twin.recover = self.signer.recover
        for account in EVERYONE:
            self.twin.deposit(account, 1000 * BOND)
        self.deposited = self.twin.vault.total
        for claim in CLAIMS:
            self.twin.draw(claim, 2, OPENERS[1])
        self.pending: list[Open] = []
        self.owners: dict[bytes, str] = {}
        self.kept: set[bytes] = set()
        self.history: list[PositionMove] = []
        self.outcomes: Counter[S] = Counter()
        self.unchallenged = list(FALSE_CLAIMS)

    # ------------------------------------------------------------------ actions

    def act(self) -> None:
        """One random action."""
        self.now += self.random.choice((1, 1, 1, 2, 5))
        self._keep(SAFE_SECONDS)
        actions = (
            (self._act_right, 40),
            (self._act_random, 22),
            (self._act_mutated, 16),
            (self._act_opening, 12),
            (self._act_end, 12),
            (self._act_signed, 6),
            (self._act_wait, 3),
            (self._act_keeper, 2),
        )
        choices, weights = zip(*actions, strict=True)
        self.random.choices(choices, weights)[0]()

    def finish(self) -> None:
        """Play the kept sides to the end, time out everybody else, and settle everything."""
        while self.unchallenged:
            self._act_keeper()
        while live := self._live():
            self._keep(10**9)
            deadlines = [self.twin.clock(i, self.now)[1] for i in live]
            self.now = max(self.now + 1, min(deadlines))
            for dispute in self._live():
                self._try(dispute, Timeout(), STRANGER)
        self.now = max(self.now, START + WINDOW + 500)
        for (opener, commitment), locked in list(self.twin.commitments.items()):
            self._play(b"", Reclaim(locked.claim_id, opener, commitment), STRANGER)
        self.check_money()

    # ------------------------------------------------------------------ what must hold

    def check_money(self) -> None:
        """I3: what came in is what there is."""
        self.twin.compare_money(EVERYONE)
        assert self.twin.vault.total == self.deposited

    def _play(self, dispute: bytes, move: Move, sender: str) -> None:
        """Play a move that must be accepted or raise Refusal, and check what must hold after it."""
        twin = self.twin
        before = dict(twin.records)
        fallen = dict(twin.claims.fallen)
        old = twin.position(dispute) if dispute in before else None
        viewed, deadline = twin.chain.clock(dispute, self.now)
        over = viewed is not Side.NONE and self.now >= deadline
        try:
            twin.apply(dispute, move, sender, self.now)
        except Refusal as refusal:
            self._check_refusal(refusal.reason, before, over=over or viewed is Side.NONE)
            raise
        if isinstance(move, PositionMove):
            assert viewed is not Side.NONE, "I10: the view names who may move"
            assert not over, "I10: the view says until when"
        if isinstance(move, Timeout):
            assert over or old is None or old.claim_id in fallen, "I10"
        for other, record in before.items():
            if other != dispute:
                assert twin.records[other] is record, "I11: other disputes do not move"
        if old is None or dispute not in twin.records:
            return
        new = twin.position(dispute)
        assert not is_final(old.state), "I7: a finished dispute stays"
        assert progress(new) > progress(old), "I5: every move leads further down"
        facts = twin.claims.facts_of(new.claim_id)
        assert new.turn == old.turn + 1 <= most_moves(facts, chunks=3, terms=5)
        self._check_opened(old, move)
        if isinstance(move, PositionMove):
            self.history.append(move)
        side, _ = twin.clock(dispute, self.now)
        live = not is_final(new.state) and not twin.claims.is_fallen(new.claim_id)
        assert (side is not Side.NONE) == live, "I4: exactly one side is on the clock"
        for claim in fallen:
            assert twin.claims.fallen[claim] == fallen[claim], "I7: a claim falls once"
        for claim in KEPT_CLAIMS:
            assert not twin.claims.is_fallen(claim), "I1: an honest solver is never convicted"
        if is_final(new.state):
            self.outcomes[new.state] += 1

    def _check_refusal(self, reason: str, before: dict[bytes, Record], *, over: bool) -> None:
        assert self.twin.records == before, "a refused move changes nothing"
        if reason == "DeadlinePassed":
            assert over, "I10: the view gave time"

    @staticmethod
    def _check_opened(old: Position, move: Move) -> None:
        """I8."""
        if isinstance(move, Reveal):
            assert recombine(old.size, move.children) == old.subroot
        if isinstance(move, OpenChunk):
            assert leaf_hash(move.chunk) == old.subroot
        if isinstance(move, OpenTerm):
            assert leaf_hash(move.leaf) == old.subroot

    # ------------------------------------------------------------------ playing

    def _live(self) -> list[bytes]:
        return [i for i, d in self.twin.records.items() if not is_final(d.state)]

    def _try(self, dispute: bytes, move: Move | None, sender: str) -> bool:
        if move is None:
            return False
        try:
            self._play(dispute, move, sender)
        except Refusal:
            return False
        return True

    def _keep(self, seconds: int) -> None:
        """Those who keep their clocks move if less than ``seconds`` are left."""
        for dispute in self._live():
            while True:
                d = self.twin.records[dispute]
                side, deadline = self.twin.clock(dispute, self.now)
                solver_keeps = side is Side.SOLVER and d.claim_id in KEPT_CLAIMS
                opener_keeps = side is Side.OPENER and dispute in self.kept
                if not (solver_keeps or opener_keeps) or deadline - self.now > seconds:
                    break
                move = self._right(dispute)
                assert move is not None, f"nothing to play in {d.state.name}"
                self._play(dispute, move, SOLVER if solver_keeps else KEEPER)

    def _right(self, dispute: bytes) -> PositionMove | None:
        """The strategy's move; challengers believe in a run that is not the solver's."""
        situation = self.twin.situation(dispute)
        kind = CLAIMS[situation.position.claim_id]
        own = self.provers[BELIEVED.get(kind, "honest")]
        if situation.position.side is Side.SOLVER:
            return defender.next_move(situation, self.provers[kind])
        served = ServedBy(self.provers[kind], self.random.choice((EVERYTHING, NOTHING)))
        served.position = situation.position
        try:
            return challenger.next_move(situation, own, served)
        except Withheld:
            return None

    def _sender(self, dispute: bytes) -> str:
        d = self.twin.records[dispute]
        return d.opener if self.twin.position(dispute).side is Side.OPENER else SOLVER

    def _some(self) -> bytes | None:
        """A dispute, usually a live one."""
        live = [i for i in self._live() if self._can_move(i)]
        if live and self.random.random() < 0.93:
            return self.random.choice(live)
        return self.random.choice(list(self.twin.records)) if self.twin.records else None

    def _can_move(self, dispute: bytes) -> bool:
        """Whether a move could be accepted: the claim stands and the time is not over."""
        side, deadline = self.twin.clock(dispute, self.now)
        return side is not Side.NONE and self.now < deadline

    def _act_right(self) -> None:
        if dispute := self._some():
            move = self._right(dispute) or self._pointer(dispute)
            self._try(dispute, move, self._sender(dispute))

    def _is_wilful(self, dispute: bytes) -> bool:
        """Whether who is to move may do anything; kept challengers play right moves only."""
        side = self.twin.position(dispute).side
        return side is Side.SOLVER or dispute not in self.kept

    def _act_random(self) -> None:
        dispute = self._some()
        if dispute is not None and self._is_wilful(dispute):
            self._try(dispute, self._pointer(dispute), self._sender(dispute))

    def _act_mutated(self) -> None:
        dispute = self._some()
        if dispute is None or not self._is_wilful(dispute):
            return
        move = self._right(dispute) or self._pointer(dispute)
        if move is None:
            return
        if isinstance(move, UseRoot):
            move = self._posted_again(dispute)
        sender = self._sender(dispute)
        if sender == SOLVER and self.twin.records[dispute].claim_id in KEPT_CLAIMS:
            sender = STRANGER  # an honest solver brings no roots but its own
        kind = self.random.random()
        if kind < 0.7:
            move = mutated(self.random, move)
        elif kind < 0.85:
            sender = self.random.choice([STRANGER, KEEPER, *OPENERS])
        else:
            # A move that was right somewhere else, half of the time in such a state.
            state = self.twin.records[dispute].state
            fitting = [m for m in self.history if state in REQUIRED[type(m)]]
            past = fitting if fitting and self.random.random() < 0.5 else self.history
            move = replace(self.random.choice(past or [move]), expected=move.expected)
        self._try(dispute, move, sender)

    def _act_opening(self) -> None:
        if self.pending and self.random.random() < 0.6:
            opening = self.random.choice(self.pending)
            if not self.twin.claims.is_disputable(opening.claim_id):
                self.pending.remove(opening)
            if self.random.random() < 0.15:
                opening = replace(opening, salt=self._salt())
            try:
                self._open(opening)
            except Refusal:
                return
        elif len(self._live()) < 12:
            claim = self.random.choice(list(CLAIMS))
            segments = self.twin.claims.facts_of(claim).segments
            segment = 2 if self.random.random() < 0.6 else self.random.randint(0, segments)
            if self.random.random() < 0.05:
                segment = segments + 1
            for opener in self.random.sample(OPENERS, self.random.choice((1, 2, 3))):
                try:
                    self._commit(claim, segment, opener)
                except Refusal:
                    return

    def _act_keeper(self) -> None:
        """The honest challenger opens against one more false claim, and two others do as well."""
        if not self.unchallenged:
            return
        claim = self.unchallenged.pop(self.random.randrange(len(self.unchallenged)))
        if self.twin.claims.is_fallen(claim):
            return
        others = self.random.sample(OPENERS, 2)
        for opener in (KEEPER, *others):
            self._commit(claim, 2, opener)
        self.now += 1
        keeper, *rest = self.pending[-3:]
        self.kept.add(self._open(keeper))
        for opening in rest:
            self._open(opening)

    def _act_end(self) -> None:
        over = [i for i in self._live() if not self._can_move(i)]
        dispute = self.random.choice(over) if over else self._some()
        if dispute is not None:
            move = self.random.choice((Timeout(), Refund()))
            self._try(dispute, move, STRANGER)
        if self.pending and self.random.random() < 0.3:
            o = self.random.choice(self.pending)
            owner = self.owners[o.salt]
            commitment = commitment_of(o.claim_id, owner, o.segment, o.salt)
            self._try(b"", Reclaim(o.claim_id, owner, commitment), STRANGER)

    def _act_signed(self) -> None:
        """A stranger brings a new root with the solver's signature, or with a broken one."""
        waiting = [
            i
            for i in self._live()
            if self.twin.records[i].state in (S.NEED_SEGMENT, S.NEED_TRACE, S.NEED_FOLD)
        ]
        if not waiting:
            return
        dispute = self.random.choice(waiting)
        move = self._right(dispute)
        if move is None or isinstance(move, UseRoot):
            self._try(dispute, move, STRANGER)
            return
        signature = self.signer.sign(self.twin.position(dispute), move)
        move = replace(move, signature=signature)  # type: ignore[call-arg]
        if self.random.random() < 0.3:
            move = mutated(self.random, move)
        self._try(dispute, move, STRANGER)

    def _act_wait(self) -> None:
        """Time passes: to the second before, of or after some deadline."""
        dispute = self._some()
        if dispute is None:
            return
        _, deadline = self.twin.clock(dispute, self.now)
        target = deadline + self.random.choice((-1, 0, 1))
        while self.now < target:
            # Nobody who keeps its clock is jumped over.
            self._keep(SAFE_SECONDS)
            self.now = min(target, self.now + SAFE_SECONDS // 2)
        if self.now == deadline:
            move = self._right(dispute) or self._pointer(dispute)
            self._try(dispute, move, self._sender(dispute))
        self._try(dispute, Timeout(), STRANGER)

    # ------------------------------------------------------------------ moves

    def _commit(self, claim: bytes, segment: int, opener: str) -> None:
        salt = self._salt()
        commitment = commitment_of(claim, opener, segment, salt)
        self._play(b"", CommitOpen(claim, commitment), opener)
        self.pending.append(Open(claim, segment, salt))
        self.owners[salt] = opener

    def _open(self, opening: Open) -> bytes:
        owner = self.owners.get(opening.salt, STRANGER)
        dispute = commitment_of(opening.claim_id, owner, opening.segment, opening.salt)
        self._play(dispute, opening, owner)
        if opening in self.pending:
            self.pending.remove(opening)
        return dispute

    def _salt(self) -> bytes:
        return sha256(self.random.randbytes(8)).digest()

    def _pointer(self, dispute: bytes) -> PositionMove | None:
        situation = self.twin.situation(dispute)
        prover = self.provers[CLAIMS[situation.position.claim_id]]
        return random_pointer(self.random, situation, prover)

    def _posted_again(self, dispute: bytes) -> PositionMove:
        """The root that is stored already, as if it were new."""
        p = self.twin.position(dispute)
        prover = self.provers[CLAIMS[p.claim_id]]
        builders = {
            S.NEED_SEGMENT: prover.post_segment,
            S.NEED_TRACE: prover.post_trace,
            S.NEED_FOLD: prover.post_fold,
        }
        return builders[p.state](p)
