"""A lying solver as a process: the honest one of `pinpoint solver run`, with another conduct.

    python -m scripts.devnet.liar LIE SETTINGS HOME KEYSTORE

LIE is one of `LIES`; SETTINGS is the devnet's settings file. It underbids everybody on tasks that
pay at least `LEAST_REWARD`, and leaves the others to honest people.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from protocol.cli.demo import lies
from protocol.cli.flags import AgentFlags
from protocol.cli.settings import LogLevel
from protocol.cli.solver import pricing, run_solver
from protocol.training.task import Task

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"

LIES = {
    "one-ulp": lies.one_ulp,
    "withholder": lies.withholder,
    "silent": lies.silent,
    "lazy": lies.lazy,
    "wrong-data": lies.wrong_data,
    "bad-binding": lies.bad_binding,
}
SHARE = 0.5
LEAST_REWARD = 1_000 * 10**18


def solver_flags(
    settings: str, home: str, keystore: str, log_level: LogLevel = LogLevel.INFO
) -> AgentFlags:
    """What `pinpoint solver run` would be given on a devnet, out of its settings file."""
    shared = tomllib.loads(Path(settings).read_text(encoding="utf-8"))
    return AgentFlags(
        rpc=shared["rpc"],
        deployment=Path(shared["deployment"]),
        home=Path(home),
        keystore=Path(keystore),
        password_file=Path(shared["password-file"]),
        read_store=shared["solver"]["read-store"],
        serve="127.0.0.1:0",
        confirmations=2,
        log_level=log_level,
    )


def main() -> None:
    """Run until stopped."""
    lie, settings, home, keystore = sys.argv[1:]
    flags = solver_flags(settings, home, keystore)
    task, price = Task.load(EXAMPLE), pricing(None, SHARE)
    run_solver(
        flags,
        lambda terms: price(terms) if terms.max_reward >= LEAST_REWARD else None,
        threads=1,
        conduct=lambda: LIES[lie](task),
    )


if __name__ == "__main__":
    main()
