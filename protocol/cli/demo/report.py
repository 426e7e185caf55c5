"""What happened in a scenario, as data: money, gas, and the exact place of the lie."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from protocol.agents.sender import Ledger
from protocol.agents.watch.reader import DisputeRecord, Reader
from protocol.cli.verdict import Model, Place, find_place
from protocol.dispute.state import DisputeState
from protocol.training.task import Task

JUDGING = ("judgeArithmetic", "judgeLoad", "answerBinding")


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
        place=find_place(reader, Model(task.manifest, task.program), record),
    )
