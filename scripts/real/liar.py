"""A cheating solver as a process: the honest one of `pinpoint solver run`, but for one lie.

    python -m scripts.real.liar SETTINGS HOME KEYSTORE LIE NUMBER...

LIE with its numbers is what `scripts.real.lie` says: ``one-ulp STEP NODE ELEMENT`` or ``lazy FIRST
END``. SETTINGS is the devnet's settings file. It bids less than the honest solver.
"""

from __future__ import annotations

import sys
from typing import Final

from protocol.cli.settings import LogLevel
from protocol.cli.solver import pricing, run_solver
from scripts.devnet.liar import solver_flags
from scripts.real.lie import Lie

SHARE: Final = 0.5


def main() -> None:
    """Run until stopped."""
    settings, home, keystore, *lie = sys.argv[1:]
    flags = solver_flags(settings, home, keystore, LogLevel.DEBUG)
    told = Lie.parse(lie)
    run_solver(flags, pricing(None, SHARE), conduct=told.conduct)


if __name__ == "__main__":
    main()
