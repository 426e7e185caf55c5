"""One task sold twice on a devnet of real processes: to an honest solver, and to a cheating one.

A requester, a drawn verifier, an honest and a cheating solver meet only through a node and their
stores, with the commands that anybody would use. The honest solver must be paid and its model must
be to be had; the cheating one must lose its stake to a judgement of the chain. `TownError` if not.

All waiting times of the market are generous, and nobody waits for them: where everybody has done
what there is to do before a deadline, the devnet's clock is set to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import load_file

from protocol.agents.figures import Figures
from protocol.chain.devnet import PEOPLE, STAKE, STAKED, dev_account
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.cli.solver import RUNS
from protocol.dispute.state import DisputeState
from protocol.training.checkpoints import CheckpointFolder
from protocol.training.task import Task
from scripts.devnet.town import Town, read_json
from scripts.real import lie
from scripts.real.lie import Lie

HONEST, CHEAT = "solver", "solver-2"
VERIFIER = "verifier"
WAIT_S: Final = 3_600.0
BID_S, REVEAL_S, WINDOW_S = 600, 60, 6 * 3_600
DRAWN: Final = 2
"""Segments that the verifier re-runs of the honest claim."""

OFFER: Final = {"max-reward": "1000", "value-at-risk": "1000", "verifier-fee": "30"}
_STEP: Final = re.compile(r"trained step (\d+) of \d+, loss (?!None)(\S+)")


@dataclass
class Sale:
    """One of the two.

    Attributes:
        task_id: as posted.
        solver: who won it, of `PEOPLE`.
        losses: step, from 1 -> loss, as that solver saw it.
        facts: what came of it, for people.
        state: the final state as it was delivered; empty if nothing was.
    """

    task_id: bytes
    solver: str
    losses: dict[int, float]
    facts: dict[str, str] = field(default_factory=dict)
    state: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Market:
    """The people, and the task that they are about.

    Attributes:
        people: of a devnet.
        folder: of the task.
        task: the same, read.
    """

    people: Town
    folder: Path
    task: Task

    def open(self) -> None:
        """Start everybody who is honest."""
        people, deployment = self.people, self.people.deployment
        idle = next(person for person in STAKED if person != VERIFIER)
        away = deployment.registry.functions.requestUnbond(STAKE)
        deployment.chain.send(away, _address(idle))  # or it would be drawn, and nobody plays it
        people.agent("requester", "requester", "run", "--serve", "127.0.0.1:0")
        people.agent(HONEST, "solver", "run", "--log-level", "debug")
        people.agent(VERIFIER, "verifier", "run")
        people.wait_until_up("requester", HONEST, VERIFIER)

    def sell_honestly(self) -> Sale:
        """To the honest solver: finalised, paid, and delivered."""
        people, reader = self.people, self.people.reader
        sale = self._sell(HONEST, bids=1, drawn=min(DRAWN, self.task.manifest.segments))
        claim_id = reader.task(sale.task_id).claim_id
        people.wait("the attestation", lambda: reader.claim(claim_id).attested == 1, WAIT_S)
        self._skip_to(reader.book.windows[claim_id][1])
        people.wait("the honest task's end", partial(self._is_over, sale), WAIT_S)
        view, claim = reader.task(sale.task_id), reader.claim(claim_id)
        people.demand(view.phase is TaskPhase.FINALISED, f"it is finalised, not {view.phase.name}")
        people.demand(claim.phase is ClaimPhase.FINALISED, f"so is the claim: {claim.phase.name}")
        people.demand(not reader.disputes_of(claim_id), "nobody disputed it")
        people.wait("the verifier's fee", lambda: bool(reader.book.collected), WAIT_S)
        result = people.folder / "result.safetensors"
        people.pinpoint("requester", "fetch", _hex(sale.task_id), "--out", str(result))
        sale.state = load_file(result)
        segments = ", ".join(map(str, claim.segments))
        sale.facts = {
            "end": "claim finalised, result fetched and hashed against the chain",
            "checked": f"segments {segments} of {self.task.manifest.segments} run again: attested",
            "solver": f"paid {view.price / 10**18:,.0f} tokens, its stake of "
            f"{view.required_stake / 10**18:,.0f} is free",
        }
        self._explain_money(sale)
        return sale

    def choose_lie(self, sale: Sale, name: str) -> Lie:
        """A lie of that name about the task, from the honest run's checkpoints."""
        folder = self.people.devnet.home(HONEST) / RUNS / sale.task_id.hex()
        segment = max(1, self.task.manifest.segments // 3)
        with CheckpointFolder(self.task, folder) as checkpoints:
            return lie.choose(name, self.task, checkpoints, segment)

    def sell_to_cheat(self, told: Lie) -> Sale:
        """To the cheating solver: convicted, its stake slashed."""
        people, reader = self.people, self.people.reader
        home, keystore = people.devnet.home(CHEAT), people.devnet.keystore(CHEAT)
        liar = ("-m", "scripts.real.liar", "pinpoint.toml", str(home), str(keystore))
        people.run(CHEAT, *liar, *told.words())
        people.wait_until_up(CHEAT)
        sale = self._sell(CHEAT, bids=2, drawn=self.task.manifest.segments)
        (claim_id,) = reader.book.claims_on[sale.task_id]
        stake = reader.task(sale.task_id).required_stake
        people.wait("a dispute", lambda: bool(reader.disputes_of(claim_id)), WAIT_S)
        people.wait("its end", lambda: all(d.closed for d in reader.disputes_of(claim_id)), WAIT_S)
        people.wait("the cheat's task's end", partial(self._is_over, sale), WAIT_S)
        phase = reader.claim(claim_id).phase
        people.demand(phase is ClaimPhase.FALLEN, f"the claim has fallen, not {phase.name}")
        won = [
            record
            for record in reader.disputes_of(claim_id)
            if record.closed is DisputeState.CHALLENGER_WON
        ]
        people.demand(len(won) == 1, f"one dispute convicts, not {len(won)}")
        people.demand(won[0].judged, "the chain judged, no clock decided")
        people.demand(won[0].opener == _address(VERIFIER), "the verifier had opened it")
        shown = read_json(people.pinpoint("dispute", "show", _hex(won[0].dispute_id), "--json"))
        sale.facts = {"lie": told.describe(self.task), **verdict(shown, stake)}
        self._explain_money(sale)
        return sale

    def _sell(self, solver: str, *, bids: int, drawn: int) -> Sale:
        """Post, let the solver win and train, up to its claim."""
        people, reader = self.people, self.people.reader
        task_id = people.post(self.folder, **self._terms(drawn))
        waits = partial(people.wait, seconds=WAIT_S)
        waits(f"{bids} bids", lambda: reader.task(task_id).commits == bids)
        self._skip_to(reader.task(task_id).bid_end)
        waits(f"{bids} opened bids", lambda: reader.task(task_id).reveals == bids)
        self._skip_to(reader.task(task_id).reveal_end)
        waits("the claim", lambda: bool(reader.book.claims_on.get(task_id)))
        (claim_id,) = reader.book.claims_on[task_id]
        winner = reader.book.solvers[claim_id]
        people.demand(winner == _address(solver), f"{solver} had won the bidding, not {winner}")
        return Sale(task_id, solver, self.losses(solver))

    def _terms(self, drawn: int) -> dict[str, str]:
        """Times that a solver on a slow machine would ask for; see `Figures.wanted_seconds`."""
        wanted = {
            name: str(seconds + 60)
            for name, seconds in Figures.of(self.task).wanted_seconds.items()
        }
        return {
            **OFFER,
            **wanted,
            "verifiers": "1",
            "segments-per-verifier": str(drawn),
            "bid-seconds": str(BID_S),
            "reveal-seconds": str(REVEAL_S),
            "window-seconds": str(WINDOW_S),
        }

    def _skip_to(self, time: int) -> None:
        """Set the devnet's clock: nobody has anything left to do before."""
        chain = self.people.deployment.chain.w3
        seconds = time - chain.eth.get_block("latest")["timestamp"]
        if seconds > 0:
            chain.provider.make_request("evm_increaseTime", [seconds])
            chain.provider.make_request("evm_mine", [])

    def _is_over(self, sale: Sale) -> bool:
        phase = self.people.reader.task(sale.task_id).phase
        return phase in (TaskPhase.FINALISED, TaskPhase.REFUNDED)

    def losses(self, solver: str) -> dict[int, float]:
        """What the solver told of each step in its log."""
        log = (self.people.folder / f"{solver}.log").read_text(encoding="utf-8", errors="replace")
        return {int(step): float(loss) for step, loss in _STEP.findall(log)}

    def _explain_money(self, sale: Sale) -> None:
        """`task show` explains every balance to the wei, or exits with another code than 0."""
        self.people.pinpoint("task", "show", _hex(sale.task_id), "--json")


def verdict(shown: dict[str, Any], stake: int) -> dict[str, str]:
    """What `pinpoint dispute show` says of a conviction, for people."""
    place = shown["place"]
    where = [f"segment {place['segment']}", f"step {place['step']}"]
    if place["origin"] is not None:
        where.append(f"node {place['node']} ({place['origin']})")
    if place["tensor"] is not None:
        where.append(f"state tensor {place['tensor']}")
    if place["element"] is not None:
        where.append(f"element {place['element']}")
    where += [place[name] for name in ("term", "kind") if place[name] is not None]
    words = [place[side] for side in ("solver_word", "chain_word")]
    shown_words = [f"{word['hex']} ({word['decimal']})" for word in words if word is not None]
    return {
        "end": f"convicted, its stake of {stake / 10**18:,.0f} tokens slashed",
        "place": ", ".join(where),
        "words": " claimed, the chain has ".join(shown_words)
        + ("" if place["ulp"] is None else f": {place['ulp']} ulp apart"),
        "decided by": place["decided_by"],
        "dispute": f"{shown['transactions']} transactions, {shown['gas']:,} gas; the judgement "
        f"alone {shown['judgement_gas']:,}",
    }


def _address(person: str) -> str:
    return str(dev_account(1 + PEOPLE.index(person)).address)


def _hex(identifier: bytes) -> str:
    return f"0x{identifier.hex()}"
