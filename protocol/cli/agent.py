"""What the commands of solver and verifier share: flags to a running process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocol.cli.errors import Code, UserError
from protocol.cli.output import say
from protocol.cli.settings import parse_address

if TYPE_CHECKING:
    from protocol.agents.daemon import Agent
    from protocol.agents.runtime import Operator, Runtime
    from protocol.agents.telemetry import Telemetry
    from protocol.training.stop import StopSignal

GWEI = 10**9

ServeOption = Annotated[
    str | None,
    typer.Option(
        "--serve",
        help="Serve the own store over HTTP here; port 0 takes a free one.",
        metavar="HOST:PORT",
    ),
]
AnnounceOption = Annotated[
    str | None,
    typer.Option(
        "--announce",
        help="Announce on chain that the own store is reached here; with --serve alone: where it "
        "listens.",
        metavar="URL",
    ),
]
UrgentFeeOption = Annotated[
    float | None,
    typer.Option(
        "--max-urgent-fee-gwei",
        help="The most per gas where a clock runs; five times --max-fee-gwei if missing.",
        min=0,
    ),
]
HeadAgeOption = Annotated[
    int | None,
    typer.Option(
        "--max-head-age",
        help="Seconds: act on no chain whose latest block is older; 0: any age.",
        min=0,
    ),
]
KeepDaysOption = Annotated[
    float,
    typer.Option(
        "--keep-days",
        help="Days for which the files of tasks that have ended stay: results are fetched later.",
        min=0,
    ),
]
DEFAULT_KEEP_DAYS = 7.0
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", help="Threads to compute with; all if missing.", min=1)
]


def make_operator(
    *,
    rpc: Sequence[str],
    deployment: Path,
    home: Path,
    keystore: Path,
    password_file: Path | None,
    store: str | None,
    read_store: Sequence[str] | None,
    serve: str | None,
    max_fee_gwei: float,
    max_urgent_fee_gwei: float | None,
    confirmations: int,
    max_head_age: int | None,
) -> Operator:
    """An operator's decisions out of flags. UserError if two of them contradict each other."""
    from protocol.agents.runtime import Operator
    from protocol.chain.fees import FeePolicy

    urgent = 5 * max_fee_gwei if max_urgent_fee_gwei is None else max_urgent_fee_gwei
    try:
        fees = FeePolicy(round(max_fee_gwei * GWEI), round(urgent * GWEI))
    except ValueError as error:
        raise UserError(
            "the fee caps contradict each other",
            str(error),
            "change --max-fee-gwei or --max-urgent-fee-gwei",
            code=Code.USAGE,
        ) from error
    return Operator(
        rpc=tuple(rpc),
        deployment=deployment,
        home=home,
        keystore=keystore,
        password_file=password_file,
        store=store,
        read_stores=tuple(read_store or ()),
        serve=None if serve is None else parse_address(serve),
        fees=fees,
        confirmations=confirmations,
        max_head_age_s=max_head_age,
    )


def drive(
    runtime: Runtime,
    make: Callable[[StopSignal, Telemetry], Agent],
    *,
    folders: Sequence[Path] = (),
    keep_days: float,
    poll_seconds: float,
    metrics: str | None,
) -> None:
    """Run an agent until it is told to stop.

    Args:
        runtime: what it stands on.
        make: the agent, given the wish to stop and where it tells of its steps.
        folders: where it has a folder for each task.
        keep_days: how long what has ended stays on its disk.
        poll_seconds: pause between two looks.
        metrics: where to serve metrics, if anywhere.
    """
    from protocol.agents.daemon import Daemon
    from protocol.agents.housekeeping import Pruner, Teller
    from protocol.agents.telemetry import Telemetry
    from protocol.training.stop import StopSignal

    stop, account = StopSignal(), runtime.account
    telemetry = Telemetry(runtime.role, account, head_age_limit_s=runtime.guard.max_age_s)
    address = runtime.chain.w3.to_checksum_address(account)
    journal, reader = runtime.journal, runtime.reader
    chores: list[Callable[[], None]] = [
        Pruner(reader, runtime.store.own, list(folders), journal.roots_of, keep_days),
        Teller(reader, account, telemetry, lambda: runtime.chain.w3.eth.get_balance(address)),
    ]
    with stop.on_signals():
        if metrics is not None:
            say(f"metrics at {telemetry.serve(*parse_address(metrics))}/metrics")
        try:
            agent = make(stop, telemetry)
            Daemon(
                agent,
                runtime.guard,
                runtime.outbox,
                stop,
                poll_s=poll_seconds,
                watcher=telemetry,
                chores=chores,
            ).run()
        finally:
            telemetry.stop()


def announce(runtime: Runtime, url: str | None) -> None:
    """Tell on chain where the own store is, unless the chain has it so already."""
    wanted = url or (runtime.server.url if runtime.server is not None else None)
    if wanted is None:
        return
    known = runtime.reader.book.stores.get(runtime.account)
    if known != wanted:
        market = runtime.deployment.market
        runtime.chain.send(market.functions.announceStore(wanted), runtime.account)
