"""`pinpoint solver`: trains other people's tasks for money, unattended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from protocol.cli.agent import run_agent
from protocol.cli.flags import AgentFlags, DeviceChoice, DeviceOption, ThreadsOption, takes
from protocol.cli.output import parse_tokens
from protocol.cli.settings import DEFAULT_HOME

if TYPE_CHECKING:
    from protocol.agents.conduct import Conduct
    from protocol.agents.process.runtime import Runtime
    from protocol.agents.process.telemetry import Telemetry
    from protocol.agents.solver import Solver
    from protocol.chain.market import Terms
    from protocol.kernels.devices import AnyExecutor
    from protocol.training.stop import StopSignal

log = logging.getLogger(__name__)

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


PriceOption = Annotated[
    int | None,
    typer.Option(
        "--price",
        parser=_tokens,
        metavar="TOKENS",
        help="Bid this for every task that pays at least as much.",
    ),
]
PriceShareOption = Annotated[
    float,
    typer.Option(
        "--price-share",
        help="Without --price: bid this share of the most that a task pays.",
        min=0.0,
        max=1.0,
    ),
]
AtOnceOption = Annotated[
    int,
    typer.Option(
        "--at-once",
        help="Most tasks to bid on or train at a time: one that is won and not done costs stake.",
        min=1,
    ),
]
RiskOption = Annotated[
    bool,
    typer.Option(
        "--risk-subnormals",
        help="Bid also on tasks whose disputes this machine could not answer in time if all "
        "numbers became subnormal: that would cost the stake.",
    ),
]


@app.command("run")
@takes(AgentFlags, home=DEFAULT_HOME / "solver")
def run(
    flags: AgentFlags,
    price: PriceOption = None,
    price_share: PriceShareOption = 0.8,
    at_once: AtOnceOption = 1,
    threads: ThreadsOption = None,
    device: DeviceOption = DeviceChoice.CPU,
    risk_subnormals: RiskOption = False,
) -> None:
    """Bid, train, report, submit, serve and defend, until it is stopped.

    A first Ctrl-C (or SIGTERM) finishes the training step and saves it; a second stops at once.
    Killed at any point, it goes on where it was when it is started again with the same --home.
    """
    run_solver(
        flags,
        pricing(price, price_share),
        at_once=at_once,
        threads=threads,
        device=device,
        risks_subnormals=risk_subnormals,
    )


def pricing(price: int | None, share: float) -> Callable[[Terms], int | None]:
    """What to ask for a task: a fixed price, or a share of the most that it pays; token wei."""
    if price is not None:
        return lambda terms: price if price <= terms.max_reward else None
    parts = round(share * 10**6)
    return lambda terms: terms.max_reward * parts // 10**6


def run_solver(
    flags: AgentFlags,
    price: Callable[[Terms], int | None],
    *,
    at_once: int | None = None,
    threads: int | None = None,
    device: DeviceChoice = DeviceChoice.CPU,
    risks_subnormals: bool = False,
    conduct: Callable[[], Conduct] | None = None,
) -> None:
    """Run a solver as this process. ``conduct``: how it behaves; only tests pass another."""
    from protocol.kernels.devices import executor_on

    # Before anything is announced or sent: there may be no such device.
    executor = executor_on(device, threads)
    make = partial(_make_solver, price, at_once, executor, risks_subnormals, conduct)
    run_agent("solver", flags, make, [RUNS])


def _make_solver(
    price: Callable[[Terms], int | None],
    at_once: int | None,
    executor: AnyExecutor,
    risks_subnormals: bool,
    conduct: Callable[[], Conduct] | None,
    runtime: Runtime,
    stop: StopSignal,
    telemetry: Telemetry,
) -> Solver:
    from protocol.agents.appraisal import Rate
    from protocol.agents.conduct import HONEST
    from protocol.agents.solver import Solver
    from protocol.kernels.probe import measure_subnormals

    speed = measure_subnormals(executor)
    log.info(
        "subnormal numbers make this machine %.3g times slower, to %.2g float instructions a "
        "second; tasks whose disputes allow too little time for that are %s",
        speed.slowdown,
        speed.work,
        "risked" if risks_subnormals else "refused",
    )
    return Solver(
        runtime.reader,
        runtime.sender,
        runtime.journal,
        runtime.store,
        runtime.operator.home / RUNS,
        price,
        HONEST if conduct is None else conduct(),
        progress=telemetry.stepped,
        executor=executor,
        rate=Rate(subnormal_work=speed.work),
        stop=stop,
        source=runtime.store_of,
        at_once=at_once,
        risks_subnormals=risks_subnormals,
    )
