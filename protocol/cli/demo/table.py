"""The end of the demo: money, transactions and gas, and the exact place of each verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from protocol.cli.demo.report import DisputeReport, ScenarioReport
from protocol.cli.show import describe_place

TOKEN = 10**18


def print_table(console: Console, reports: Sequence[ScenarioReport]) -> None:
    """Print who won and lost how much, what the disputes took, and where each was decided."""
    console.print(_money(reports))
    console.print(_disputes(reports))
    for report in reports:
        accuracy = report.task.get("held_out_accuracy")
        if accuracy is not None:
            console.print(
                "The honest solver's model, loaded into plain PyTorch, classifies "
                f"{accuracy:.1%} of {report.task['held_out_examples']} held-out digits.\n",
                soft_wrap=True,
            )
    for report in reports:
        decisive = _decisive(report)
        if decisive is not None or report.refused:
            console.print(f"[bold]{report.player}[/bold]: {report.lie}", soft_wrap=True)
        if decisive is not None:
            for line in describe_place(decisive.to_json()):
                console.print(f"    {line}", soft_wrap=True, markup=False)
        for refusal, count in Counter(report.refused).items():
            console.print(f"    refused {count}x: {refusal}", soft_wrap=True, markup=False)


def _money(reports: Sequence[ScenarioReport]) -> Table:
    table = Table(title="who was paid, who was slashed (tokens)", box=box.SIMPLE_HEAD)
    table.add_column("player", no_wrap=True)
    table.add_column("solver is", no_wrap=True)
    for heading in ("solver", "requester", "verifiers", "challenger", "burned"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        decisive = _decisive(report)
        challenger = (decisive.beneficiary or decisive.opener) if decisive else None
        verifiers = sum(
            gain
            for name, gain in report.gains.items()
            if name.startswith("verifier") and name != challenger
        )
        table.add_row(
            report.player,
            report.end if report.ok else f"{report.end} (!)",
            _tokens(report.gains["solver"]),
            _tokens(report.gains["requester"]),
            _tokens(verifiers),
            _tokens(report.gains.get(challenger, 0)) if challenger else "-",
            _tokens(report.burned),
        )
    return table


def _disputes(reports: Sequence[ScenarioReport]) -> Table:
    table = Table(title="what it took (all: from posting to the end)", box=box.SIMPLE_HEAD)
    for heading in ("player", "disputes", "won by"):
        table.add_column(heading, no_wrap=True)
    for heading in ("tx", "gas", "judgement gas", "all tx", "all gas"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        decisive = _decisive(report)
        judged = decisive.judgement_gas if decisive else None
        table.add_row(
            report.player,
            str(len(report.disputes)),
            decisive.winner if decisive else "-",
            str(decisive.transactions) if decisive else "-",
            f"{decisive.gas:,}" if decisive else "-",
            f"{judged:,}" if judged else "-",
            str(report.transactions),
            f"{report.gas:,}",
        )
    return table


def _decisive(report: ScenarioReport) -> DisputeReport | None:
    """The conviction, else the last dispute that was played out."""
    if report.conviction is not None:
        return report.conviction
    return report.disputes[-1] if report.disputes else None


def _tokens(wei: int) -> str:
    return f"{wei / TOKEN:+,.1f}" if wei else "0"
