"""`pinpoint train`: train a task here, record receipts, and find where two runs part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.cli.errors import Code, UserError, explains
from protocol.cli.flags import DeviceChoice, DeviceOption
from protocol.cli.output import emit, print_fields, print_line, progress, say
from protocol.cli.settings import JsonOption

if TYPE_CHECKING:
    from protocol.kernels.devices import AnyExecutor
    from protocol.training.task import Task
    from protocol.training.trainer import Outcome, Progress

DIFF_PAGE = "docs/DIFF.md"

app = typer.Typer(help="Train here, without a chain; compare runs.", no_args_is_help=True)

TaskOption = Annotated[
    Path | None,
    typer.Option("--task", help="Folder of the task, if the run keeps no copy.", metavar="FOLDER"),
]
IsaOption = Annotated[
    str | None,
    typer.Option("--isa", help="Instruction set of the kernels; the best if missing."),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads of the kernels; all if missing.")
]


@app.callback()
def _train() -> None:
    """Train here, without a chain; compare runs."""


@app.command()
def run(
    task_folder: Annotated[Path, typer.Argument(metavar="TASK", help="Folder of the task.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the run; one that was begun is continued.")
    ],
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Do at most so many steps now.")
    ] = None,
    isa: IsaOption = None,
    threads: ThreadsOption = None,
    device: DeviceOption = DeviceChoice.CPU,
    as_json: JsonOption = False,
) -> None:
    """Train a task; a first Ctrl-C finishes the step and saves it, a second stops at once."""
    from protocol.training.sides import load_task

    executor = make_executor(device, isa, threads)
    trained = train_here(load_task(task_folder), out, executor, steps)
    result = trained.result
    emit(result, lambda: print_fields(result), as_json=as_json)
    if trained.was_interrupted:
        raise typer.Exit(Code.INTERRUPTED)


@app.command()
def receipt(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the receipt; RUN/receipt if missing. It may grow."),
    ] = None,
    task_folder: TaskOption = None,
    segment: Annotated[
        list[int] | None,
        typer.Option("--segment", min=1, help="Record this segment, from 1; all if missing."),
    ] = None,
    step: Annotated[
        list[int] | None,
        typer.Option("--step", min=0, help="Record all that this step computes; from 0."),
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option(
            "--fold",
            help="With one --step: record each term of this element of a node's flat output.",
            metavar="NODE:ELEMENT",
        ),
    ] = None,
    isa: IsaOption = None,
    threads: ThreadsOption = None,
    device: DeviceOption = DeviceChoice.CPU,
    as_json: JsonOption = False,
) -> None:
    """Execute segments of a run again and record what they compute, to be compared elsewhere."""
    from protocol.training.recorded import TASK_FOLDER, RunFolder
    from protocol.training.recorder import Recorder
    from protocol.training.sides import load_task

    place = _fold_place(fold, step)
    executor = make_executor(device, isa, threads)
    task = load_task(task_folder or run_folder / TASK_FOLDER)
    checkpoints = RunFolder(run_folder, task)
    folder = out or run_folder / "receipt"
    recorder = Recorder(task, checkpoints, folder, executor)
    segments = segment or ([] if step else list(range(1, len(checkpoints.log))))
    with progress() as bar:
        for number in bar.track(segments, description="segments"):
            recorder.record_segment(number)
        for number in bar.track(step or [], description="steps"):
            recorder.record_step(number)
        if place is not None:
            recorder.record_fold(*place)
    contents = recorder.contents
    result = {
        "receipt": folder,
        "manifest_root": contents.manifest_root,
        "log_root": contents.log_root,
        "checkpoints": contents.checkpoints,
        "segments": [m for m, _ in contents.segments],
        "steps": [s for s, _ in contents.steps],
        "folds": [list(found) for found, _ in contents.folds],
    }
    emit(result, lambda: print_fields({k: _shown(v) for k, v in result.items()}), as_json=as_json)


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of a run, or a receipt.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Folder of a run, or a receipt.")],
    task_folder: TaskOption = None,
    rerun: Annotated[
        bool,
        typer.Option(help="Execute the segment in which they part on this machine too."),
    ] = True,
    isa: IsaOption = None,
    threads: ThreadsOption = None,
    device: DeviceOption = DeviceChoice.CPU,
    as_json: JsonOption = False,
) -> None:
    """Find where two runs of one task differ first, down to the word; exit code 6 if they do."""
    from protocol.cli.parting import comparison_json, comparison_lines, remarks
    from protocol.training.diff import compare
    from protocol.training.sides import open_sides

    executor = make_executor(device, isa, threads)
    sides = open_sides(first, second, task_folder)
    comparison = compare(sides.first, sides.second, sides.task if rerun else None, executor)
    for remark in remarks(sides, comparison, rerun=rerun):
        say(remark)

    def show() -> None:
        for line in comparison_lines(sides, comparison):
            print_line(line)

    emit(comparison_json(sides, comparison), show, as_json=as_json)
    if comparison.fault is not None:
        raise typer.Exit(Code.DIFFER)


@dataclass(frozen=True)
class Trained:
    """What training here came to.

    Attributes:
        result: as it is printed.
        losses: of the steps done now; none if the task names no loss.
        was_interrupted: by a signal.
    """

    result: dict[str, Any]
    losses: list[float]
    was_interrupted: bool


def train_here(
    task: Task,
    out: Path,
    executor: AnyExecutor,
    steps: int | None = None,
    *,
    tell_steps: bool = False,
) -> Trained:
    """Train a task in a folder, which a run that was begun there continues.

    Args:
        task: validated.
        out: folder of the run; a copy of the task is kept in it.
        executor: computes the nodes.
        steps: do at most so many now; default: all.
        tell_steps: without a terminal, tell the loss of each step and not of each checkpoint.
    """
    from protocol.agents.process.logs import configure_logs
    from protocol.training.recorded import TASK_FOLDER
    from protocol.training.sides import keep_task
    from protocol.training.stop import StopSignal
    from protocol.training.trainer import Trainer

    keep_task(task, out / TASK_FOLDER)
    configure_logs()
    signals, seen = StopSignal(), _Seen(task, tell_steps=tell_steps)
    with signals.on_signals(), seen:
        outcome = Trainer(task, out, executor).run(
            progress=seen.step,
            stop=lambda: signals() or (steps is not None and seen.count >= steps),
        )
    was_interrupted = outcome.stopped is not None and signals()
    return Trained(_run_result(task, out, outcome), seen.losses, was_interrupted)


class _Seen:
    """Shows how training goes: a bar on a terminal, else lines."""

    def __init__(self, task: Task, *, tell_steps: bool) -> None:
        self.count = 0
        self.losses: list[float] = []
        self._tell_steps = tell_steps
        self._bar = progress()
        self._doing = "computing" if task.manifest.loss_state is None else "training"
        self._row = self._bar.add_task(self._doing, total=task.manifest.steps)

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def step(self, seen: Progress) -> None:
        """A step is done."""
        self.count += 1
        if seen.loss is not None:
            self.losses.append(seen.loss)
        loss = "" if seen.loss is None else f", loss {seen.loss:.6g}"
        self._bar.update(self._row, completed=seen.step, description=f"{self._doing}{loss}")
        if not self._bar.disable:
            return
        if self._tell_steps:
            say(f"step {seen.step} of {seen.steps}{loss}")
        elif seen.checkpoint is not None:
            say(f"checkpoint {seen.checkpoint}: step {seen.step} of {seen.steps}{loss}")


def _run_result(task: Task, out: Path, outcome: Outcome) -> dict[str, Any]:
    done = outcome.step if outcome.stopped is None else outcome.stopped
    return {
        "run": str(out),
        "task": task.manifest.name,
        "manifest_root": f"0x{task.manifest.root.hex()}",
        "steps": task.manifest.steps,
        "steps_done": done,
        "steps_logged": outcome.step,
        "checkpoints": outcome.log_size,
        "log_root": f"0x{outcome.log_root.hex()}",
        "state_root": f"0x{outcome.state_root.hex()}",
    }


def make_executor(device: str, isa: str | None, threads: int | None) -> AnyExecutor:
    """What computes, as the flags say. typer.BadParameter, CudaUnavailable."""
    from protocol.kernels.devices import executor_on
    from protocol.kernels.isa import MachineSettingError

    try:
        return executor_on(device, threads, isa)
    except MachineSettingError:
        raise  # it speaks for itself
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _fold_place(fold: str | None, steps: list[int] | None) -> tuple[int, int, int] | None:
    if fold is None:
        return None
    node, colon, element = fold.partition(":")
    if not (colon and node.isdecimal() and element.isdecimal()):
        raise typer.BadParameter(f"--fold {fold!r} is not NODE:ELEMENT, such as 31:57")
    if steps is None or len(steps) != 1:
        raise typer.BadParameter(f"--fold needs one --step, got {len(steps or [])}")
    return steps[0], int(node), int(element)


def _shown(value: object) -> object:
    return f"0x{value.hex()}" if isinstance(value, bytes) else value


@explains("protocol.training.recorded.RecordError")
def _record(error: Exception) -> UserError:
    # The error's own four parts count.
    return UserError("a run cannot be used", str(error), "", DIFF_PAGE, Code.USAGE)


@explains("protocol.training.recorder.NotReproduced")
def _not_reproduced(error: Exception) -> UserError:
    return UserError(
        "no receipt: this machine does not compute what the run's log says",
        str(error),
        "run it on the machine that trained; there, the machine is faulty or the run was changed",
        DIFF_PAGE,
        Code.DIFFER,
    )
