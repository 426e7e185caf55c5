"""`pinpoint requester`: posts tasks, looks after them, fetches what was computed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.cli import offer as offers
from protocol.cli.agent import run_agent
from protocol.cli.errors import Code, UserError
from protocol.cli.flags import AgentFlags, FetchFlags, SendFlags, takes
from protocol.cli.output import emit, format_tokens, print_fields, print_line, say
from protocol.cli.settings import DEFAULT_HOME, DryRunOption, JsonOption, StoreOption

if TYPE_CHECKING:
    from protocol.agents.process.runtime import Runtime
    from protocol.agents.process.telemetry import Telemetry
    from protocol.agents.requester import Requester
    from protocol.chain.market import Terms
    from protocol.training.stop import StopSignal
    from protocol.training.task import Task

app = typer.Typer(help="Have models trained by strangers.", no_args_is_help=True)

HOME = DEFAULT_HOME / "requester"
PAGE = "docs/operate/requester.md"


@app.command("post")
@takes(SendFlags, home=HOME)
def post(
    flags: SendFlags,
    folder: Annotated[Path, typer.Argument(help="Task folder, with an offer.toml or flags.")],
    max_reward: offers.MaxRewardOption = None,
    value_at_risk: offers.ValueAtRiskOption = None,
    verifier_fee: offers.VerifierFeeOption = None,
    verifiers: offers.VerifiersOption = None,
    segments_per_verifier: offers.SegmentsOption = None,
    bid_seconds: offers.BidSecondsOption = None,
    reveal_seconds: offers.RevealSecondsOption = None,
    run_seconds: offers.RunSecondsOption = None,
    window_seconds: offers.WindowSecondsOption = None,
    segment_seconds: offers.SegmentSecondsOption = None,
    trace_seconds: offers.TraceSecondsOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Post it although the same task is open already.")
    ] = False,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a task folder's files into the store, and post the task. Prints its id."""
    from protocol.agents.appraisal import warnings_for
    from protocol.agents.bundle import publish_task
    from protocol.agents.process.runtime import Runtime
    from protocol.agents.requester import terms_of
    from protocol.training.task import Task

    overrides: dict[str, str | int | None] = {
        "max-reward": max_reward,
        "value-at-risk": value_at_risk,
        "verifier-fee": verifier_fee,
        "verifiers": verifiers,
        "segments-per-verifier": segments_per_verifier,
        "bid-seconds": bid_seconds,
        "reveal-seconds": reveal_seconds,
        "run-seconds": run_seconds,
        "window-seconds": window_seconds,
        "segment-seconds": segment_seconds,
        "trace-seconds": trace_seconds,
    }
    offer = offers.read_offer(folder, overrides)
    task = Task.load(folder)
    terms = terms_of(task, offer)
    for warning in warnings_for(task.program, task.manifest.state, terms):
        say(f"warning: {warning}; see {PAGE}, section 2")
    with Runtime(flags.operator(store=store), "requester", exclusive=False) as runtime:
        value = _quote(runtime, task, terms)
        same = _find_open(runtime, terms)
        if same is not None and not again:
            raise UserError(
                "the task is open already",
                f"this account posted it as 0x{same.hex()}",
                "wait for that one, or post it once more with --again",
                PAGE,
                Code.USAGE,
            )
        if not dry_run:
            publish_task(runtime.store, task)
            value["task_id"] = f"0x{_post(runtime, terms).hex()}"
    emit(value, lambda: _show(value), as_json=as_json)


@app.command("run")
@takes(AgentFlags, home=HOME)
def run(
    flags: AgentFlags,
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds", help="Rounds of bidding, if solvers fail, before a refund.", min=1
        ),
    ] = 1,
) -> None:
    """Look after the tasks of the account: auction, no-show, refund; serve their files."""
    run_agent("requester", flags, partial(_make_requester, rounds))


@app.command("fetch")
@takes(FetchFlags, home=HOME)
def fetch(
    flags: FetchFlags,
    task: Annotated[str, typer.Argument(help="The task's id, as `post` printed it.")],
    out: Annotated[
        Path, typer.Option("--out", help="File for the final state (safetensors).")
    ] = Path("result.safetensors"),
    as_json: JsonOption = False,
) -> None:
    """Fetch the result of a finalised task, check it against the chain, and write it.

    It is fetched from where its solver announced its store, or from --read-store.
    """
    from protocol.agents.bundle import fetch_task
    from protocol.agents.process.runtime import Runtime
    from protocol.agents.requester import Requester
    from protocol.training.tensors import write_named

    task_id = _task_id(task)
    with Runtime(flags.operator(), "requester", exclusive=False) as runtime:
        terms = _terms(runtime, task_id)
        source = runtime.store_of(task_id)
        fetched = fetch_task(source, terms)
        requester = Requester(runtime.reader, runtime.sender, source)
        tensors = requester.result(fetched, task_id)
    names = [spec.name for spec in fetched.manifest.state]
    write_named(out, dict(zip(names, tensors, strict=True)))
    value = {"task_id": f"0x{task_id.hex()}", "file": str(out), "tensors": len(names)}
    emit(value, lambda: print_line(str(out)), as_json=as_json)


def _terms(runtime: Runtime, task_id: bytes) -> Terms:
    """The terms of a task, which may have ended long ago."""
    from protocol.chain.market import Terms
    from protocol.chain.reverts import Reverted

    market = runtime.deployment.market.functions
    try:
        return Terms(*runtime.chain.call(market.taskTerms(task_id)))
    except Reverted as refusal:
        raise UserError(
            "there is no such task",
            f"0x{task_id.hex()} was not posted on this deployment: {refusal}",
            "look with `pinpoint task list`",
            PAGE,
            Code.USAGE,
        ) from refusal


def _task_id(text: str) -> bytes:
    try:
        task_id = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        task_id = b""
    if len(task_id) != 32:
        raise typer.BadParameter(f"{text!r} is no task id: 0x and 64 hex digits")
    return task_id


def _make_requester(
    rounds: int, runtime: Runtime, _stop: StopSignal, _telemetry: Telemetry
) -> Requester:
    from protocol.agents.requester import Requester

    return Requester(runtime.reader, runtime.sender, runtime.store, rounds)


def _find_open(runtime: Runtime, terms: Terms) -> bytes | None:
    """An open task of the account with the same manifest."""
    book = runtime.reader.book
    for task_id in book.tasks_of.get(runtime.account, ()):
        if book.tasks[task_id][0].manifest_root == terms.manifest_root:
            return task_id
    return None


def _quote(runtime: Runtime, task: Task, terms: Terms) -> dict[str, Any]:
    """What the task needs of everybody, before it is posted. Reverted, UserError."""
    market = runtime.deployment.market
    stake, deposit, bond, ceiling = runtime.chain.call(
        market.functions.quote(terms.to_tuple()), runtime.account
    )
    credit = runtime.reader.credit(runtime.account)
    if credit < terms.escrow:
        raise UserError(
            "the vault credit does not cover the escrow",
            f"posting takes {format_tokens(terms.escrow, full=True)} tokens, {runtime.account} has "
            f"{format_tokens(credit, full=True)}",
            "deposit the rest: `pinpoint wallet deposit`",
            PAGE,
        )
    if bond > ceiling:
        say(
            f"warning: a challenger's bond is {format_tokens(bond)} tokens, above the "
            f"{format_tokens(ceiling)} that small challengers can win: choose more segments"
        )
    return {
        "task_id": None,
        "name": task.manifest.name,
        "manifest_root": f"0x{terms.manifest_root.hex()}",
        "steps": terms.steps,
        "segments": terms.segments,
        "escrow": terms.escrow,
        "solver_stake": stake,
        "bid_deposit": deposit,
        "challenger_bond": bond,
    }


def _post(runtime: Runtime, terms: Terms) -> bytes:
    market = runtime.deployment.market
    uri = f"sha256:{terms.manifest_root.hex()}"
    receipt = runtime.chain.send(market.functions.post(terms.to_tuple(), uri), runtime.account)
    for entry in receipt["logs"]:
        if entry["address"] == market.address:
            event = runtime.deployment.decode_event(market, entry)
            if event is not None and event["event"] == "TaskPosted":
                return bytes(event["args"]["taskId"])
    raise UserError(
        "the task's id is not known",
        "the transaction was mined without a TaskPosted event",
        "look with `pinpoint task list`, and report it",
    )


def _show(value: dict[str, Any]) -> None:
    amounts = ("escrow", "solver_stake", "bid_deposit", "challenger_bond")
    task_id = value["task_id"]
    if task_id is not None:
        print_line(task_id)
    else:
        fields = {k: format_tokens(v) if k in amounts else v for k, v in value.items() if v}
        print_fields(fields, title="would post")
