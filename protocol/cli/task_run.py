"""`pinpoint task run`: trains a task folder here, without a chain, and shows the loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from protocol.cli.errors import Code
from protocol.cli.flags import DeviceChoice, DeviceOption
from protocol.cli.output import emit, print_fields
from protocol.cli.settings import JsonOption
from protocol.cli.train import IsaOption, ThreadsOption, make_executor, train_here


def run(
    folder: Annotated[Path, typer.Argument(metavar="TASK", help="Folder of the task.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder of the run; one that was begun is continued. If missing, nothing is kept.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Do at most so many steps now.")
    ] = None,
    isa: IsaOption = None,
    threads: ThreadsOption = None,
    device: DeviceOption = DeviceChoice.CPU,
    as_json: JsonOption = False,
) -> None:
    """Train a task here, without a chain, and show the loss of each step.

    The bits are those of every honest solver. With --out it is `pinpoint train run`.
    """
    from protocol.training.task import Task

    executor = make_executor(device, isa, threads)
    task = Task.load(folder)
    with _folder(out) as home:
        trained = train_here(task, home, executor, steps, tell_steps=True)
    result: dict[str, Any] = {**trained.result, "run": None if out is None else str(out)}
    shown = {**result, "loss": _change(trained.losses)}
    if out is None:
        shown.pop("run")
    emit(
        {**result, "losses": trained.losses},
        lambda: print_fields(shown),
        as_json=as_json,
    )
    if trained.was_interrupted:
        raise typer.Exit(Code.INTERRUPTED)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The run's folder, or one that is gone afterwards."""
    if out is not None:
        yield out
        return
    with TemporaryDirectory(prefix="pinpoint-run-") as folder:
        yield Path(folder)


def _change(losses: list[float]) -> str:
    if not losses:
        return "-"
    return f"{losses[0]:.6g} in the first step of these, {losses[-1]:.6g} in the last"
