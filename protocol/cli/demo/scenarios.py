"""Who plays, and how it must end: one scenario for each row of the demo's table."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protocol.agents.conduct import HONEST, Conduct
from protocol.agents.requester import Requester
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.cli.demo import lies
from protocol.cli.demo.attackers import Saboteur, false_accuser_hooks
from protocol.cli.demo.report import ScenarioReport, report_dispute
from protocol.cli.demo.world import OFFER, TOKEN, Stage, World
from protocol.dispute.state import DisputeState
from protocol.training.task import Task
from protocol.training.tensors import Tensor
from protocol.training.trainer import Progress

PAID, CONVICTED = "paid", "convicted"


@dataclass(frozen=True)
class Scenario:
    """One liar, or none.

    Attributes:
        name: how the command line calls it.
        lie: what the table says of it.
        expected: PAID or CONVICTED: how the solver must end.
        conduct: the solver's, given the task.
        attack: adds a dishonest third party.
        check: further demands on the finished scenario; texts of what is wrong.
    """

    name: str
    lie: str
    expected: str
    conduct: Callable[[Task], Conduct] = lambda _task: HONEST
    attack: Callable[[World, Task], None] | None = None
    check: Callable[[ScenarioReport], list[str]] = lambda _report: []


@dataclass
class Finished:
    """A scenario that was played, with what tests and the caller look at."""

    report: ScenarioReport
    result: list[Tensor] | None


def play(
    scenario: Scenario,
    task: Task,
    stage: Stage,
    progress: Callable[[Progress], None] | None = None,
) -> Finished:
    """Play one scenario from the posting of the task to its end."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="pinpoint-") as folder:
        world = World(stage, Path(folder))
        requester = world.requester()
        world.solver("solver", conduct=scenario.conduct(task), progress=progress)
        world.solver("rival", price=800 * TOKEN)
        world.verifier("verifier 1")
        world.verifier("verifier 2")
        if scenario.attack is None:
            world.verifier("open challenger", staked=False, checks_all=True)
        else:
            scenario.attack(world, task)
        task_id = requester.post(task, OFFER)
        world.play(lambda: _is_over(world, task_id))
        world.settle()
        report = _report(scenario, world, task, task_id)
        result = _fetch(requester, task, task_id, report)
        report.seconds = time.perf_counter() - started
        report.notes += scenario.check(report)
        report.ok = report.end == scenario.expected and not report.notes
        return Finished(report, result)


def _is_over(world: World, task_id: bytes) -> bool:
    return world.reader.task(task_id).phase in (TaskPhase.FINALISED, TaskPhase.REFUNDED)


def _fetch(
    requester: Requester, task: Task, task_id: bytes, report: ScenarioReport
) -> list[Tensor] | None:
    return requester.result(task, task_id) if report.end == PAID else None


def _report(scenario: Scenario, world: World, task: Task, task_id: bytes) -> ScenarioReport:
    reader, names = world.reader, {p.account: p.name for p in world.players.values()}
    (claim_id,) = reader.book.claims
    claim, facts, posted = reader.claim(claim_id), reader.facts(claim_id), reader.task(task_id)
    mined = world.ledger.mined()
    ends = {ClaimPhase.FINALISED: PAID, ClaimPhase.FALLEN: CONVICTED}
    return ScenarioReport(
        player=scenario.name,
        lie=scenario.lie,
        expected=scenario.expected,
        end=ends.get(claim.phase, claim.phase.name),
        gains=world.gains(),
        burned=world.burned(),
        transactions=len(mined),
        gas=sum(entry.gas for entry in mined),
        refused=[
            f"{entry.sender}: {entry.function} {_short(entry.error)}"
            for entry in world.ledger.refused()
        ],
        task={
            "task_id": f"0x{task_id.hex()}",
            "claim_id": f"0x{claim_id.hex()}",
            "name": task.manifest.name,
            "steps": task.manifest.steps,
            "interval": task.manifest.interval,
            "segments": task.manifest.segments,
            "nodes": task.manifest.nodes,
            "state_tensors": len(task.manifest.state),
            "phase": posted.phase.name,
            "claim_phase": claim.phase.name,
            "solver": names[facts.solver],
            "price": posted.price,
            "stake": posted.required_stake,
            "bond": facts.bond,
            "max_reward": OFFER.max_reward,
            "verifiers": [names[v] for v in claim.verifiers],
            "drawn_segments": list(claim.segments),
            "log_root": f"0x{facts.log_root.hex()}",
            "result_root": f"0x{facts.result_root.hex()}",
        },
        disputes=[
            report_dispute(reader, world.ledger, task, record, names)
            for record in reader.disputes_of(claim_id)
        ],
    )


def _short(error: str | None) -> str:
    """A refusal without most of its long arguments."""
    return re.sub(r"0x[0-9a-fA-F]{24,}", lambda found: found.group()[:10] + "…", error or "")


# ------------------------------------------------------------------ demands beyond the solver's end


def _decided(how: str, *, transactions: int | None = None) -> Callable[[ScenarioReport], list[str]]:
    """The conviction was decided in a way whose description contains ``how``."""

    def check(report: ScenarioReport) -> list[str]:
        conviction = report.conviction
        if conviction is None:
            return ["nobody was convicted"]
        wrong = []
        if how not in conviction.place.decided_by:
            wrong.append(f"decided by {conviction.place.decided_by}, expected {how}")
        if transactions is not None and conviction.transactions != transactions:
            wrong.append(f"{conviction.transactions} transactions, expected {transactions}")
        return wrong

    return check


def _one_ulp(report: ScenarioReport) -> list[str]:
    wrong = _decided("executing one term", transactions=9)(report)
    conviction = report.conviction
    if conviction is not None and conviction.place.ulp != 1:
        wrong.append(f"{conviction.place.ulp} ulp apart, expected 1")
    return wrong


def _wrong_data(report: ScenarioReport) -> list[str]:
    wrong = _decided("loaded element", transactions=9)(report)
    conviction = report.conviction
    if conviction is not None and "order" not in str(conviction.place.kind):
        wrong.append(f"judged {conviction.place.kind}, expected the order of the batches")
    return wrong


def _bisected(report: ScenarioReport) -> list[str]:
    wrong = _decided("executing one term")(report)
    conviction = report.conviction
    moves = [move["function"] for move in conviction.moves] if conviction else []
    if "reveal" not in moves:
        wrong.append("no sub-roots were revealed on chain")
    return wrong


def _accuser_lost(report: ScenarioReport) -> list[str]:
    lost = [dispute for dispute in report.disputes if dispute.winner == "solver"]
    wrong = [] if lost else ["no false accusation was refuted"]
    if len(lost) != len(report.disputes):
        wrong.append(f"{len(lost)} of {len(report.disputes)} disputes were lost by the accuser")
    accuser = next((gain for name, gain in report.gains.items() if name in ATTACKERS), 0)
    if accuser != -len(lost) * report.task["bond"]:
        wrong.append(f"the accuser's balance changed by {accuser}, expected the bonds")
    return wrong


def _saboteur_lost(report: ScenarioReport) -> list[str]:
    wrong = _accuser_lost(report)
    if len(report.disputes) != report.task["segments"]:
        wrong.append(f"{len(report.disputes)} disputes, expected one for each segment")
    if not any("NotSignedBySolver" in refusal for refusal in report.refused):
        wrong.append("the garbage root was not refused")
    return wrong


def _no_dispute(report: ScenarioReport) -> list[str]:
    return [f"{len(report.disputes)} disputes"] if report.disputes else []


ATTACKERS = ("false accuser", "saboteur")


def _false_accuser(world: World, task: Task) -> None:
    world.verifier("false accuser", staked=False, checks_all=True, hooks=false_accuser_hooks(task))


def _saboteur(world: World, _task: Task) -> None:
    world.add("saboteur", Saboteur)


def _invented(level: str) -> Scenario:
    return Scenario(
        f"random-{level}",
        f"commits roots of nothing at the level of the {level}",
        CONVICTED,
        lambda task: lies.random_hashes(task, level),
        check=_decided("the clock"),
    )


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("honest", "none", PAID, check=_no_dispute),
    Scenario(
        "one-ulp",
        "adds 1 ulp to one element of one weight gradient in one step",
        CONVICTED,
        lies.one_ulp,
        check=_one_ulp,
    ),
    Scenario(
        "wrong-data",
        "uses another batch in one step",
        CONVICTED,
        lies.wrong_data,
        check=_wrong_data,
    ),
    Scenario(
        "lazy",
        "skips one checkpoint interval and copies the state",
        CONVICTED,
        lies.lazy,
        check=_decided("binding"),
    ),
    Scenario(
        "bad-binding",
        "computes honestly, commits another tensor as new state",
        CONVICTED,
        lies.bad_binding,
        check=_decided("binding"),
    ),
    Scenario(
        "withholder",
        "adds 1 ulp and serves no leaves off chain",
        CONVICTED,
        lies.withholder,
        check=_bisected,
    ),
    Scenario(
        "silent",
        "adds 1 ulp and stops answering in the middle of a dispute",
        CONVICTED,
        lies.silent,
        check=_decided(f"the clock, in {DisputeState.NEED_FOLD.name}"),
    ),
    Scenario(
        "false-accuser",
        "a challenger accuses an honest run",
        PAID,
        attack=_false_accuser,
        check=_accuser_lost,
    ),
    *(_invented(level) for level in ("log", "segment", "trace", "tensor", "fold")),
    Scenario(
        "saboteur",
        "a third party posts a garbage root for the honest solver and disputes every segment",
        PAID,
        attack=_saboteur,
        check=_saboteur_lost,
    ),
)
