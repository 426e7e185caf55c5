"""`pinpoint verifier`: re-runs what it was drawn for, attests or challenges, unattended."""

from __future__ import annotations

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
    from protocol.agents.runtime import Operator, Runtime
    from protocol.agents.telemetry import Telemetry
    from protocol.agents.verifier import Verifier
    from protocol.training.stop import StopSignal

app = typer.Typer(help="Check other people's training, and challenge what is false.")
TASKS = "tasks"


@app.callback()
def _group() -> None:
    """Check other people's training, and challenge what is false."""


@app.command("run")
def run(
    check_all: Annotated[
        bool,
        typer.Option("--check-all", help="Re-run every claim whole, drawn or not; needs no stake."),
    ] = False,
    rpc: RpcOption = DEFAULT_RPC,
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT,
    home: HomeOption = DEFAULT_HOME / "verifier",
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
    """Watch all claims; re-run, attest or challenge, and play disputes, until it is stopped.

    To be drawn, and paid for it, an account needs a stake: `pinpoint wallet stake`. A challenge is
    made only when two executions with different instruction sets agree. Killed at any point, it
    goes on where it was when it is started again with the same --home.
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
    run_verifier(
        operator,
        check_all=check_all,
        threads=threads,
        announce_url=announce_url,
        keep_days=keep_days,
        poll_seconds=poll_seconds,
        metrics=metrics,
    )


def run_verifier(
    operator: Operator,
    *,
    check_all: bool = False,
    threads: int | None = None,
    announce_url: str | None = None,
    keep_days: float = DEFAULT_KEEP_DAYS,
    poll_seconds: float = DEFAULT_POLL_SECONDS,
    metrics: str | None = None,
) -> None:
    """Run a verifier as this process."""
    from protocol.agents.runtime import Runtime

    with Runtime(operator, "verifier") as runtime:
        announce(runtime, announce_url)
        make = partial(_make_verifier, runtime, check_all, threads)
        drive(
            runtime,
            make,
            folders=[operator.home / TASKS],
            keep_days=keep_days,
            poll_seconds=poll_seconds,
            metrics=metrics,
        )


def _make_verifier(
    runtime: Runtime,
    check_all: bool,
    threads: int | None,
    _stop: StopSignal,
    _telemetry: Telemetry,
) -> Verifier:
    from protocol.agents.verifier import Verifier
    from protocol.kernels.executor import Executor, instruction_sets

    # Two instruction sets and two numbers of threads: a fault of one will not show in the other.
    first = Executor() if threads is None else Executor(threads=threads)
    second = Executor(threads=1, isa=instruction_sets()[-1])
    return Verifier(
        runtime.reader,
        runtime.sender,
        runtime.journal,
        runtime.store_of,
        checks_all=check_all,
        folder=runtime.operator.home / TASKS,
        executors=(first, second),
    )
