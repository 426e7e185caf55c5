"""`pinpoint solver`: trains other people's tasks for money, unattended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from protocol.cli.agent import (
    DEFAULT_KEEP_DAYS,
    AnnounceOption,
    HeadAgeOption,
    KeepDaysOption,
    ServeOption,
    ThreadsOption,
    UrgentFeeOption,
    announce,
    drive,
    make_operator,
)
from protocol.cli.output import parse_tokens
from protocol.cli.settings import (
    DEFAULT_CONFIRMATIONS,
    DEFAULT_DEPLOYMENT,
    DEFAULT_HOME,
    DEFAULT_KEYSTORE,
    DEFAULT_MAX_FEE_GWEI,
    DEFAULT_POLL_SECONDS,
    DEFAULT_RPC,
    ConfirmationsOption,
    DeploymentOption,
    HomeOption,
    KeystoreOption,
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    MaxFeeOption,
    MetricsOption,
    PasswordFileOption,
    PollSecondsOption,
    ReadStoreOption,
    RpcOption,
    StoreOption,
)

if TYPE_CHECKING:
    from protocol.agents.conduct import Conduct
    from protocol.agents.runtime import Operator, Runtime
    from protocol.agents.solver import Solver
    from protocol.agents.telemetry import Telemetry
    from protocol.chain.market import Terms
    from protocol.training.stop import StopSignal

app = typer.Typer(help="Train other people's tasks for money.", no_args_is_help=True)
RUNS = "runs"


@app.callback()
def _group() -> None:
    """Train other people's tasks for money."""


def _tokens(value: str | float) -> int:
    try:
        return parse_tokens(str(value))  # the settings file may have a number
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command("run")
def run(
    price: Annotated[
        int | None,
        typer.Option(
            "--price",
            parser=_tokens,
            metavar="TOKENS",
            help="Bid this for every task that pays at least as much.",
        ),
    ] = None,
    price_share: Annotated[
        float,
        typer.Option(
            "--price-share",
            help="Without --price: bid this share of the most that a task pays.",
            min=0.0,
            max=1.0,
        ),
    ] = 0.8,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    home: HomeOption = DEFAULT_HOME / "solver",
    keystore: KeystoreOption = DEFAULT_KEYSTORE,
    password_file: PasswordFileOption = None,
    store: StoreOption = None,
    read_store: ReadStoreOption = None,
    serve: ServeOption = None,
    announce_url: AnnounceOption = None,
    metrics: MetricsOption = None,
    max_fee_gwei: MaxFeeOption = DEFAULT_MAX_FEE_GWEI,
    max_urgent_fee_gwei: UrgentFeeOption = None,
    confirmations: ConfirmationsOption = DEFAULT_CONFIRMATIONS,
    max_head_age: HeadAgeOption = None,
    poll_seconds: PollSecondsOption = DEFAULT_POLL_SECONDS,
    threads: ThreadsOption = None,
    keep_days: KeepDaysOption = DEFAULT_KEEP_DAYS,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Bid, train, report, submit, serve and defend, until it is stopped.

    A first Ctrl-C (or SIGTERM) finishes the training step and saves it; a second stops at once.
    Killed at any point, it goes on where it was when it is started again with the same --home.
    """
    from protocol.agents.logs import configure_logs

    configure_logs(log_format.value, log_level.value)
    operator = make_operator(
        rpc=rpc,
        deployment=deployment,
        home=home,
        keystore=keystore,
        password_file=password_file,
        store=store,
        read_store=read_store,
        serve=serve,
        max_fee_gwei=max_fee_gwei,
        max_urgent_fee_gwei=max_urgent_fee_gwei,
        confirmations=confirmations,
        max_head_age=max_head_age,
    )
    run_solver(
        operator,
        pricing(price, price_share),
        threads=threads,
        announce_url=announce_url,
        keep_days=keep_days,
        poll_seconds=poll_seconds,
        metrics=metrics,
    )


def pricing(price: int | None, share: float) -> Callable[[Terms], int | None]:
    """What to ask for a task: a fixed price, or a share of the most that it pays; token wei."""
    if price is not None:
        return lambda terms: price if price <= terms.max_reward else None
    parts = round(share * 10**6)
    return lambda terms: terms.max_reward * parts // 10**6


def run_solver(
    operator: Operator,
    price: Callable[[Terms], int | None],
    *,
    threads: int | None = None,
    announce_url: str | None = None,
    keep_days: float = DEFAULT_KEEP_DAYS,
    poll_seconds: float = DEFAULT_POLL_SECONDS,
    metrics: str | None = None,
    conduct: Callable[[], Conduct] | None = None,
) -> None:
    """Run a solver as this process. ``conduct``: how it behaves; only tests pass another."""
    from protocol.agents.runtime import Runtime

    with Runtime(operator, "solver") as runtime:
        announce(runtime, announce_url)
        make = partial(_make_solver, runtime, price, threads, conduct)
        drive(
            runtime,
            make,
            folders=[operator.home / RUNS],
            keep_days=keep_days,
            poll_seconds=poll_seconds,
            metrics=metrics,
        )


def _make_solver(
    runtime: Runtime,
    price: Callable[[Terms], int | None],
    threads: int | None,
    conduct: Callable[[], Conduct] | None,
    stop: StopSignal,
    telemetry: Telemetry,
) -> Solver:
    from protocol.agents.conduct import HONEST
    from protocol.agents.solver import Solver
    from protocol.kernels.executor import Executor

    return Solver(
        runtime.reader,
        runtime.sender,
        runtime.journal,
        runtime.store,
        runtime.operator.home / RUNS,
        price,
        HONEST if conduct is None else conduct(),
        progress=telemetry.stepped,
        executor=Executor() if threads is None else Executor(threads=threads),
        stop=stop,
        source=runtime.store_of,
    )
