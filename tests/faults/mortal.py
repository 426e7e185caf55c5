"""Runs `pinpoint` as a process that kills itself at named points, one in each life.

    python -m tests.faults.mortal FOLDER SCENE COMMAND...

FOLDER has `points`, the names to die at, and gets `hits`, those where it died; in `idle` an agent
says at which block it had nothing to do. In the scene ``dispute`` the solver lies. Nothing in the
program knows of this.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from tests.faults.points import DISPUTE, POINTS, Point

NAMES, HITS, IDLE = "points", "hits", "idle"


def main() -> None:
    """Wrap what is listed and not yet hit, and run the command."""
    folder, scene, command = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    wanted = set(_lines(folder / NAMES)) - set(_lines(folder / HITS))
    for point in POINTS:
        if point.name in wanted:
            _arm(point, folder)
    _tell_when_idle(folder / IDLE)
    if scene == DISPUTE:
        _lie()
    from protocol.cli.main import app

    app(command)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _arm(point: Point, folder: Path) -> None:
    module_name, _, path = point.target.partition(":")
    owner: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = getattr(owner, name)

    @functools.wraps(original)
    def mortal(*arguments: Any, **named: Any) -> Any:
        chosen = point.where is None or point.where(arguments)
        if chosen and not point.after:
            if point.torn:
                os.truncate(arguments[0], Path(arguments[0]).stat().st_size // 2)
                original(*arguments)  # the name reached the disk before the bytes
            _die(point, folder)
        result = original(*arguments, **named)
        if chosen:
            _die(point, folder)
        return result

    if isinstance(owner, type) and isinstance(owner.__dict__.get(name), staticmethod):
        setattr(owner, name, staticmethod(mortal))
    else:
        setattr(owner, name, mortal)


def _die(point: Point, folder: Path) -> NoReturn:
    with (folder / HITS).open("a") as hits:
        hits.write(point.name + "\n")
        hits.flush()
        os.fsync(hits.fileno())
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("somebody survived SIGKILL")


def _tell_when_idle(path: Path) -> None:
    """Write the block at which a second round in a row found nothing to do."""
    from protocol.agents.process.daemon import PASSING, Daemon

    original = Daemon._round
    rounds: list[int] = []

    def round_(self: Daemon) -> bool:
        acted = original(self)
        agent: Any = self._agent
        try:
            number = agent._reader.block_number()
        except PASSING:
            return acted
        if acted or self._pause_s or (rounds and rounds[-1] != number):
            rounds.clear()
        rounds.append(number)
        if not acted and len(rounds) >= 2:
            draft = path.with_suffix(".draft")
            draft.write_text(str(number))
            os.replace(draft, path)  # noqa: PTH105 - a point may be at Path.replace
        return acted

    Daemon._round = round_  # type: ignore[method-assign]


def _lie() -> None:
    """The solver's conduct is a liar's."""
    from protocol.agents import conduct
    from tests.agents.scenes import LIAR

    conduct.HONEST = LIAR  # type: ignore[misc]


if __name__ == "__main__":
    main()
