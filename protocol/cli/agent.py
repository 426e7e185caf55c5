"""From an agent's flags to a process that runs unattended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.cli.output import say
from protocol.cli.settings import parse_address

if TYPE_CHECKING:
    from protocol.agents.process.daemon import Agent
    from protocol.agents.process.runtime import Runtime
    from protocol.agents.process.telemetry import Telemetry
    from protocol.cli.flags import AgentFlags
    from protocol.training.stop import StopSignal

Make = Callable[["Runtime", "StopSignal", "Telemetry"], "Agent"]
"""Makes an agent, given what it stands on, the wish to stop, and where it tells of its steps."""


def run_agent(role: str, flags: AgentFlags, make: Make, folders: Sequence[str] = ()) -> None:
    """Run an agent as this process, until it is told to stop.

    Args:
        role: what it is.
        flags: as given.
        make: the agent.
        folders: in its home, in each of which it has a folder for each task.
    """
    from protocol.agents.process.logs import configure_logs
    from protocol.agents.process.runtime import Runtime

    configure_logs(flags.log_format.value, flags.log_level.value)
    with Runtime(flags.operator(), role) as runtime:
        _announce(runtime, flags.announce)
        _drive(runtime, flags, make, [flags.home / folder for folder in folders])


def _drive(runtime: Runtime, flags: AgentFlags, make: Make, folders: list[Path]) -> None:
    from protocol.agents.process.daemon import Daemon
    from protocol.agents.process.housekeeping import Pruner, Teller
    from protocol.agents.process.telemetry import Telemetry
    from protocol.training.stop import StopSignal

    stop, account = StopSignal(), runtime.account
    telemetry = Telemetry(runtime.role, account, head_age_limit_s=runtime.guard.max_age_s)
    address = runtime.chain.w3.to_checksum_address(account)
    journal, reader = runtime.journal, runtime.reader
    chores: list[Callable[[], None]] = [
        Pruner(reader, runtime.store.own, folders, journal.roots_of, flags.keep_days),
        Teller(reader, account, telemetry, lambda: runtime.chain.w3.eth.get_balance(address)),
    ]
    telemetry.count_logs(logging.getLogger("protocol"))
    with stop.on_signals():
        if flags.metrics is not None:
            say(f"metrics at {telemetry.serve(*parse_address(flags.metrics))}/metrics")
        try:
            agent = make(runtime, stop, telemetry)
            Daemon(
                agent,
                runtime.guard,
                runtime.outbox,
                stop,
                poll_s=flags.poll_seconds,
                watcher=telemetry,
                chores=chores,
            ).run()
        finally:
            telemetry.stop()


def _announce(runtime: Runtime, url: str | None) -> None:
    """Tell on chain where the own store is, unless the chain has it so already.

    Nobody waits for it: an agent that starts again may have a clock to keep.
    """
    from protocol.chain.outbox import AlreadyPending

    wanted = url or (runtime.server.url if runtime.server is not None else None)
    if wanted is None or runtime.reader.book.stores.get(runtime.account) == wanted:
        return
    try:
        runtime.sender.market("announceStore", wanted)
    except AlreadyPending:
        return
