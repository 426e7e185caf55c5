"""The table at the end of the demo: money, transactions, gas, and the place of each conviction."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from protocol.cli.demo.report import DisputeReport, ScenarioReport
from protocol.cli.show import describe_place

TOKEN = 10**18


def print_table(console: Console, reports: Sequence[ScenarioReport]) -> None:
    """Print the summary and the places of all convictions."""
    table = Table(title="who was paid, who was slashed (tokens; the burned are gone for ever)")
    for heading in ("player", "solver's end", "solver", "requester", "challenger", "burned"):
        table.add_column(
            heading, justify="left" if heading[:6] in ("player", "solver") else "right"
        )
    for heading in ("dispute: winner", "tx", "gas", "judgement"):
        table.add_column(heading, justify="left" if ":" in heading else "right")
    for report in reports:
        decisive = _decisive(report)
        challenger = report.gains.get(decisive.opener, 0) if decisive else 0
        table.add_row(
            report.player,
            report.end if report.ok else f"{report.end} (!)",
            _tokens(report.gains["solver"]),
            _tokens(report.gains["requester"]),
            _tokens(challenger) if decisive else "-",
            _tokens(report.burned),
            _winner(report, decisive),
            str(decisive.transactions) if decisive else "-",
            f"{decisive.gas:,}" if decisive else "-",
            f"{decisive.judgement_gas:,}" if decisive and decisive.judgement_gas else "-",
        )
    console.print(table)
    for report in reports:
        accuracy = report.task.get("held_out_accuracy")
        if accuracy is not None:
            console.print(
                f"honest: the delivered model, loaded into plain PyTorch, classifies "
                f"{accuracy:.1%} of {report.task['held_out_examples']} held-out digits"
            )
    for report in reports:
        decisive = _decisive(report)
        if decisive is not None:
            console.print(f"[bold]{report.player}[/bold] ({report.lie})")
            for line in describe_place(decisive.to_json()):
                console.print(f"    {line}", soft_wrap=True)
        for refusal in report.refused:
            console.print(f"    refused: {refusal}", soft_wrap=True)


def _decisive(report: ScenarioReport) -> DisputeReport | None:
    """The conviction, else the last dispute that was played out."""
    if report.conviction is not None:
        return report.conviction
    return report.disputes[-1] if report.disputes else None


def _winner(report: ScenarioReport, decisive: DisputeReport | None) -> str:
    if decisive is None:
        return "none opened"
    more = f" ({len(report.disputes)} disputes)" if len(report.disputes) > 1 else ""
    return decisive.winner + more


def _tokens(wei: int) -> str:
    return f"{wei / TOKEN:+,.1f}" if wei else "0"
