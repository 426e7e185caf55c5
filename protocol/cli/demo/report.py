"""What happened in a scenario, as data: money, gas, and the exact place of the lie."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from protocol.agents.reader import DisputeRecord, Reader
from protocol.agents.sender import Ledger
from protocol.dispute.place import Word, kind_text, term_text, word_of
from protocol.dispute.state import DisputeState
from protocol.dispute.ulp import distance
from protocol.kernels.reference.evaluator import unravel
from protocol.program.isa import DType
from protocol.training.task import Task

JUDGING = ("judgeArithmetic", "judgeLoad", "answerBinding")


@dataclass(frozen=True)
class Place:
    """Where a dispute ended. What it did not narrow down is None."""

    decided_by: str
    segment: int | None = None
    step: int | None = None
    node: int | None = None
    origin: str | None = None
    binding: int | None = None
    tensor: str | None = None
    element: list[int] | None = None
    term: str | None = None
    kind: str | None = None
    solver_word: Word | None = None
    chain_word: Word | None = None
    ulp: int | None = None


@dataclass(frozen=True)
class DisputeReport:
    """One dispute with its cost.

    ``beneficiary`` has the challenger's share of the stake, if the solver was convicted: a verifier
    that was drawn for the segment comes before the opener of the dispute that was decided.
    """

    dispute_id: str
    opener: str
    beneficiary: str | None
    winner: str
    transactions: int
    gas: int
    judgement_gas: int | None
    moves: list[dict[str, Any]]
    place: Place

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in the report file."""
        return asdict(self)


@dataclass
class ScenarioReport:
    """One scenario: its end, its money (token wei), its disputes."""

    player: str
    lie: str
    expected: str
    end: str = ""
    ok: bool = False
    notes: list[str] = field(default_factory=list)
    gains: dict[str, int] = field(default_factory=dict)
    burned: int = 0
    transactions: int = 0
    gas: int = 0
    refused: list[str] = field(default_factory=list)
    task: dict[str, Any] = field(default_factory=dict)
    disputes: list[DisputeReport] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return asdict(self)

    @property
    def conviction(self) -> DisputeReport | None:
        """The first dispute that the solver lost."""
        lost = (dispute for dispute in self.disputes if dispute.winner == "challenger")
        return next(lost, None)


def report_dispute(
    reader: Reader, ledger: Ledger, task: Task, record: DisputeRecord, names: dict[str, str]
) -> DisputeReport:
    """A dispute with its place and what it cost."""
    mined = ledger.mined(record.dispute_id)
    judged = [entry.gas for entry in mined if entry.function in JUDGING]
    winner = {
        DisputeState.CHALLENGER_WON: "challenger",
        DisputeState.SOLVER_WON: "solver",
        DisputeState.REFUNDED: "nobody (the claim had fallen)",
    }
    return DisputeReport(
        dispute_id=f"0x{record.dispute_id.hex()}",
        opener=names.get(record.opener, record.opener),
        beneficiary=names.get(record.beneficiary or ""),
        winner=winner.get(record.closed or DisputeState.NONE, "nobody (live)"),
        transactions=len(mined),
        gas=sum(entry.gas for entry in mined),
        judgement_gas=judged[-1] if judged else None,
        moves=[
            {"function": entry.function, "sender": entry.sender, "gas": entry.gas}
            for entry in mined
        ],
        place=find_place(reader, task, record),
    )


def find_place(reader: Reader, task: Task, record: DisputeRecord) -> Place:
    """Where the dispute stands or ended, in the words of the model."""
    position = reader.position(record.dispute_id)
    names = record.seen
    pointed: dict[str, Any] = {"segment": position.segment or None}
    if names & {"StepPointed", "TracePosted"} or position.trace_root != bytes(32):
        pointed["step"] = position.step
    if "BindingPointed" in names:
        pointed["binding"] = position.binding
        pointed["tensor"] = task.manifest.state[position.binding].name
    if names & {"NodePointed", "ElementPointed"}:
        node = task.program.nodes[position.node]
        pointed["node"] = position.node
        pointed["origin"] = task.manifest.origins[position.node]
        if "ElementPointed" in names:
            pointed["element"] = unravel(position.element, node.shape)
        if "TermPointed" in names:
            pointed["term"] = term_text(position.term, node)
            pointed["kind"] = kind_text(position.kind, node, task.manifest)
    if record.judged:
        return Place(**pointed, **_judged(record.judged, task, position.node))
    if record.closed in (DisputeState.CHALLENGER_WON, DisputeState.SOLVER_WON):
        return Place(decided_by=f"the clock, in {record.last_state.name}", **pointed)
    return Place(decided_by="nothing yet", **pointed)


def _judged(judged: dict[str, Any], task: Task, index: int) -> dict[str, Any]:
    """The solver's word and the chain's."""
    if judged["judged"] == "BindingJudged":
        return {
            "decided_by": "opening both sides of the binding",
            "solver_word": Word(f"0x{judged['postLeaf'].hex()}", "tensor root"),
            "chain_word": Word(f"0x{judged['sourceLeaf'].hex()}", "tensor root"),
        }
    node = task.program.nodes[index]
    if judged["judged"] == "ArithmeticJudged":
        chain, dtype = judged["computed"], node.dtype
        how = "executing one term on chain"
    else:
        chain = judged["stored"]
        dtype = node.operands[node.loads[judged["load"]].operand].dtype
        how = "opening one loaded element on chain"
    claimed = judged["claimed"]
    return {
        "decided_by": how,
        "solver_word": word_of(claimed, dtype),
        "chain_word": word_of(chain, dtype),
        "ulp": distance(claimed, chain) if dtype is DType.F32 else None,
    }
