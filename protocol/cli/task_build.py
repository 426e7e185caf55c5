"""`pinpoint task build`: from a requester's own Python file to a task folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.cli.errors import Code, UserError, explains
from protocol.cli.output import emit, print_fields, print_line, say
from protocol.cli.settings import JsonOption

if TYPE_CHECKING:
    from protocol.capture.errors import Origin, UnsupportedDtype, UnsupportedOperator
    from protocol.training.task import Task

PAGE = "docs/operate/requester.md#1-a-task-folder"
CAPTURE_PAGE = "docs/CAPTURE.md"


def build(
    entry: Annotated[
        str,
        typer.Option(
            "--entry",
            help="Your own Python file and its function without arguments; make_task if missing.",
            metavar="FILE:FUNCTION",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the task; other files in it stay.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite another task that is there.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Write nothing; exit code 6 unless the same task is there."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a task folder of your model: runs YOUR file, on this machine only; nobody else does.

    The function returns what task_from, inference_from or decode_from of protocol.capture returns,
    or a dict of the arguments. It is the only command that runs code of a file.
    """
    from protocol.capture.entry import Entry, capture_entry
    from protocol.training.placing import place_task, require_place
    from protocol.training.task import Task

    named = Entry.parse(entry)
    require_place(out)
    say(f"running {named}: your own code, here only; what is published is no code")
    task = Task.create(**capture_entry(named).parts())
    if compare:
        _require_same(task, out)
    else:
        place_task(task, out, replace=replace)
    value = _to_json(task, out)
    emit(value, lambda: print_fields(value, title=f"task in {out}"), as_json=as_json)
    if not compare and not as_json:
        print_line(f"next: pinpoint task check {out}")


def _require_same(task: Task, folder: Path) -> None:
    from protocol.training.placing import root_in

    there = root_in(folder)
    if there == task.manifest.root:
        return
    found = "no task" if there is None else f"0x{there.hex()}" if there else "a damaged manifest"
    raise UserError(
        f"{folder} does not hold the task that the file makes",
        f"there is {found}, the file makes 0x{task.manifest.root.hex()}",
        "build it anew with --replace; if the file draws random numbers from a generator of its "
        "own or reads what changes, fix that first",
        PAGE,
        Code.DIFFER,
    )


def _to_json(task: Task, folder: Path) -> dict[str, Any]:
    manifest = task.manifest
    return {
        "folder": str(folder),
        "name": manifest.name,
        "manifest_root": f"0x{manifest.root.hex()}",
        "steps": manifest.steps,
        "segments": manifest.segments,
        "nodes": manifest.nodes,
        "state_bytes": sum(spec.nbytes for spec in manifest.state),
        "data_bytes": sum(spec.nbytes for spec in manifest.data),
    }


@explains("protocol.capture.entry.EntryError", "protocol.training.placing.PlaceTaken")
def _entry(error: Exception) -> UserError:
    # The error's own four parts count.
    return UserError("no task was made", str(error), "", PAGE, Code.USAGE)


@explains("protocol.capture.errors.UnsupportedOperator")
def _unsupported(error: UnsupportedOperator) -> UserError:
    """The operator, the module and the line, and what to do."""
    return UserError(
        f"operator {error.operator} cannot be captured",
        f"it comes from {_place(error.origin)}; only operators that have a lowering to folds can",
        error.advice,
        f"{CAPTURE_PAGE}#what-is-supported",
        Code.USAGE,
    )


@explains("protocol.capture.errors.UnsupportedDtype")
def _unsupported_dtype(error: UnsupportedDtype) -> UserError:
    """The tensor and its type, for one inside of a step also module and line, and what to do."""
    place = f"it comes from {_place(error.origin)}; " if error.place() else ""
    return UserError(
        f"{error.tensor} is {error.dtype}",
        f"{place}programs compute in float32, int32 and uint8",
        error.advice,
        f"{CAPTURE_PAGE}#what-is-supported",
        Code.USAGE,
    )


def _place(origin: Origin) -> str:
    place = origin.module or "the model"
    place += {"bwd": " (its gradient)", "opt": " (the optimiser)"}.get(origin.phase, "")
    return place + (f", {origin.source}" if origin.source else "")


@explains("protocol.capture.errors.CaptureError")
def _capture(error: Exception) -> UserError:
    return UserError(
        "the model cannot be captured",
        str(error),
        "change the model, the data or the options as the reason says",
        CAPTURE_PAGE,
        Code.USAGE,
    )
