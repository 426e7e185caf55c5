"""`pinpoint verifier`: re-runs what it was drawn for, attests or challenges, unattended."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from protocol.cli.agent import run_agent
from protocol.cli.flags import AgentFlags, DeviceChoice, DeviceOption, ThreadsOption, takes
from protocol.cli.settings import DEFAULT_HOME

if TYPE_CHECKING:
    from protocol.agents.process.runtime import Runtime
    from protocol.agents.process.telemetry import Telemetry
    from protocol.agents.verifier import Verifier
    from protocol.kernels.devices import AnyExecutor
    from protocol.training.stop import StopSignal

app = typer.Typer(
    help="Check other people's training, and challenge what is false.", no_args_is_help=True
)
TASKS = "tasks"

CheckAllOption = Annotated[
    bool,
    typer.Option("--check-all", help="Re-run every claim whole, drawn or not; needs no stake."),
]


@app.callback()
def _group() -> None:
    """Check other people's training, and challenge what is false."""


@app.command("run")
@takes(AgentFlags, home=DEFAULT_HOME / "verifier")
def run(
    flags: AgentFlags,
    check_all: CheckAllOption = False,
    threads: ThreadsOption = None,
    device: DeviceOption = DeviceChoice.CPU,
) -> None:
    """Watch all claims; re-run, attest or challenge, and play disputes, until it is stopped.

    To be drawn, and paid for it, an account needs a stake: `pinpoint wallet stake`. A challenge is
    made only when two executions with different instruction sets agree. Killed at any point, it
    goes on where it was when it is started again with the same --home.
    """
    from protocol.kernels.devices import executor_on

    # Before anything is announced or sent: there may be no such device.
    first = executor_on(device, threads)
    run_agent("verifier", flags, partial(_make_verifier, check_all, first), [TASKS])


def _make_verifier(
    check_all: bool,
    first: AnyExecutor,
    runtime: Runtime,
    _stop: StopSignal,
    _telemetry: Telemetry,
) -> Verifier:
    from protocol.agents.verifier import Verifier
    from protocol.kernels import second_opinion

    return Verifier(
        runtime.reader,
        runtime.sender,
        runtime.journal,
        runtime.store_of,
        checks_all=check_all,
        folder=runtime.operator.home / TASKS,
        executors=(first, second_opinion()),
    )
