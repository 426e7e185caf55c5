"""`pinpoint task run`: computes a task folder here, without a chain, and shows the loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.cli.errors import Code
from protocol.cli.flags import DeviceChoice, DeviceOption
from protocol.cli.output import emit, print_fields, say
from protocol.cli.settings import JsonOption
from protocol.cli.train import IsaOption, ThreadsOption, make_executor, train_here

if TYPE_CHECKING:
    from protocol.training.task import Task


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
    result_file: Annotated[
        Path | None,
        typer.Option(
            "--result",
            help="File for the state then (safetensors), by name as `requester fetch` writes it.",
        ),
    ] = None,
    isa: IsaOption = None,
    threads: ThreadsOption = None,
    device: DeviceOption = DeviceChoice.CPU,
    as_json: JsonOption = False,
) -> None:
    """Compute a task here, without a chain, and show the loss of each step if it trains.

    The bits are those of every honest solver. With --out it is `pinpoint train run`.
    """
    from protocol.training.task import Task

    if result_file is not None and not result_file.parent.is_dir():
        raise typer.BadParameter(f"--result {result_file}: there is no folder {result_file.parent}")
    executor = make_executor(device, isa, threads)
    task = Task.load(folder)
    with _folder(out) as home:
        trained = train_here(task, home, executor, steps, tell_steps=True)
        if result_file is not None:
            _write_result(task, home, result_file)
    outputs = [spec.name for spec in task.manifest.outputs]
    result: dict[str, Any] = {
        **trained.result,
        "run": None if out is None else str(out),
        "outputs": outputs,
        "result": None if result_file is None else str(result_file),
    }
    shown = {name: value for name, value in result.items() if value not in (None, [])}
    if task.manifest.loss_state is not None:
        shown["loss"] = _change(trained.losses)
    if outputs:
        shown["outputs"] = ", ".join(outputs)
        if result_file is None:
            say("the outputs are part of the state; --result FILE writes them, by name")
    emit(
        {**result, "losses": trained.losses},
        lambda: print_fields(shown),
        as_json=as_json,
    )
    if trained.was_interrupted:
        raise typer.Exit(Code.INTERRUPTED)


def _write_result(task: Task, run: Path, path: Path) -> None:
    """The state after the steps done so far, under the names of the manifest."""
    from protocol.training.checkpoints import CheckpointFolder
    from protocol.training.tensors import write_named

    with CheckpointFolder(task, run) as checkpoints:
        _, state = checkpoints.resume()
    names = [spec.name for spec in task.manifest.state]
    write_named(path, dict(zip(names, state, strict=True)))


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
