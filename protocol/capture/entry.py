"""Runs the one function of a requester's own file that says what to train or to compute.

This is the only place where Pinpoint runs code of a file. It is the requester's own, on the
requester's machine: what comes out is a program of folds and tensors, and nobody else gets the
file.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, KeysView, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from protocol.capture.errors import CaptureError, quiet_torch
from protocol.program.manifest import ManifestError
from protocol.program.validate import InvalidProgram

if TYPE_CHECKING:
    from protocol.capture.captured import Captured

DEFAULT_FUNCTION: Final = "make_task"
MAKERS: Final = (
    ("protocol.capture.task", "task_from"),
    ("protocol.capture.inference.scoring", "inference_from"),
    ("protocol.capture.inference.decoding", "decode_from"),
)
"""The functions whose result, or whose arguments, an entry may return: module and name."""
SEED: Final = 0
PAGE: Final = "docs/operate/requester.md#1-a-task-folder"

_OWN_WORDS = (CaptureError, InvalidProgram, ManifestError)
"""What capture raises itself: these name the operator, the place and the rule."""


class EntryError(Exception):
    """A file or its function does not say what to compute; in four parts for people."""

    def __init__(self, what: str, why: str, todo: str, read: str = PAGE) -> None:
        super().__init__(f"{what}: {why}; {todo}")
        self.what = what
        self.why = why
        self.todo = todo
        self.read = read


@dataclass(frozen=True)
class Entry:
    """A function of a file.

    Attributes:
        path: of the file.
        function: its name.
    """

    path: Path
    function: str

    @staticmethod
    def parse(text: str) -> Entry:
        """From ``FILE:FUNCTION``; without a colon the function is `DEFAULT_FUNCTION`. EntryError.

        Nothing is run.
        """
        path, colon, function = text.rpartition(":")
        if not colon:
            path, function = text, DEFAULT_FUNCTION
        if not path or not function.isidentifier():
            raise EntryError(
                f"{text!r} names no function of a file",
                f"found the file {path!r} and the function {function!r}, expected FILE:FUNCTION",
                f"write it such as my_model.py:{DEFAULT_FUNCTION}",
            )
        if not Path(path).is_file():
            raise EntryError(
                f"there is no file {path}",
                f"it was looked for in {Path.cwd()}",
                "correct the path before the colon",
            )
        return Entry(Path(path), function)

    def __str__(self) -> str:
        """As a person says it."""
        return f"{self.function} of {self.path}"


def capture_entry(entry: Entry) -> Captured:
    """Load the file, call its function without arguments, and capture what it returns.

    The function returns a `Captured`, as the functions of `MAKERS` give it, or the arguments of one
    of them by name, as a dict. What it prints goes to stderr. Python's, NumPy's and torch's random
    numbers start from `SEED`, so that a file that draws weights gives the same task each time.

    Raises:
        EntryError: it cannot be loaded, it raises or exits, or it returns something else.
        CaptureError, InvalidProgram, ManifestError: what it returns cannot become a program.
    """
    with _stdout_to_stderr(), _importable(entry.path.resolve()), quiet_torch():
        with _told_as(entry):
            _seed_all()
            function = _find(_load(entry.path.resolve()), entry)
        with _told_as(entry):
            return _captured(function(), entry)


def _captured(value: object, entry: Entry) -> Captured:
    from protocol.capture.captured import Captured

    if isinstance(value, Captured):
        return value
    makers = [getattr(import_module(module), name) for module, name in MAKERS]
    if not isinstance(value, Mapping):
        raise EntryError(
            f"{entry} does not return a task",
            f"it returned {_describe(value)}, expected what "
            f"{' or '.join(m.__name__ for m in makers)} returns, or a dict of its arguments",
            "let it `return protocol.capture.task_from(...)`, or another of these",
        )
    fits = [_Fit.of(maker, value) for maker in makers]
    best = max(fits, key=lambda fit: (len(fit.known & value.keys()), -len(fit.missing)))
    if best.missing or best.unknown:
        found = [f"missing are {', '.join(best.missing)}"] if best.missing else []
        found += [f"unknown are {', '.join(best.unknown)}"] if best.unknown else []
        raise EntryError(
            f"the dict that {entry} returns is not the arguments of {best.maker.__name__}",
            f"{'; '.join(found)}; known are {', '.join(best.known)}",
            "correct the names",
        )
    made: Captured = best.maker(**value)
    return made


@dataclass(frozen=True)
class _Fit:
    """How a dict fits the arguments of a function."""

    maker: Callable[..., Any]
    known: KeysView[str]
    missing: list[str]
    unknown: list[str]

    @staticmethod
    def of(maker: Callable[..., Any], value: Mapping[Any, Any]) -> _Fit:
        parameters = inspect.signature(maker).parameters
        required = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty]
        return _Fit(
            maker,
            parameters.keys(),
            [name for name in required if name not in value],
            [str(name) for name in value if name not in parameters],
        )


def _load(path: Path) -> ModuleType:
    name = f"pinpoint_entry_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise EntryError(
            f"{path.name} is no file of Python",
            f"its name ends in {path.suffix or 'nothing'}, expected .py",
            "name the file in which the function is",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and the like look their module up
    spec.loader.exec_module(module)
    return module


def _find(module: ModuleType, entry: Entry) -> Any:
    function = getattr(module, entry.function, None)
    if callable(function):
        return function
    own = [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    raise EntryError(
        f"{entry.path} has no function {entry.function}",
        f"its functions are {', '.join(own) or 'none'}",
        f"define {entry.function}, or name another after the colon",
    )


def _seed_all() -> None:
    import numpy as np
    import torch

    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


@contextlib.contextmanager
def _told_as(entry: Entry) -> Iterator[None]:
    """Turn whatever the file raises into an EntryError, with the line that it came from."""
    try:
        yield
    except (EntryError, *_OWN_WORDS):
        raise
    except SystemExit as error:
        raise EntryError(
            f"{entry} ended the process",
            f"it called sys.exit({error.code!r}){_place(error, entry)}, expected a task",
            "return the task instead; keep what else the file does under "
            '`if __name__ == "__main__":`',
        ) from error
    except Exception as error:
        words = "".join(traceback.format_exception_only(error)).strip().splitlines()
        raise EntryError(
            f"{entry} failed",
            f"{words[-1] if words else type(error).__name__}{_place(error, entry)}",
            "correct the file; --debug shows the whole traceback, which is worth a report if the "
            "file is right",
        ) from error


def _place(error: BaseException, entry: Entry) -> str:
    """Where in the requester's own files it came from: the innermost line of its folder."""
    folder = str(entry.path.resolve().parent)
    if isinstance(error, SyntaxError) and error.filename:
        return f", {Path(error.filename).name} line {error.lineno}"
    lines = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(folder) and "site-packages" not in frame.filename
    ]
    if not lines:
        return ""
    return f", {Path(lines[-1].filename).name} line {lines[-1].lineno}: {lines[-1].line}"


def _describe(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"


@contextlib.contextmanager
def _importable(path: Path) -> Iterator[None]:
    """Modules beside the file can be imported, as when Python runs it."""
    before = list(sys.path)
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.path[:] = before


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Whatever is printed meanwhile, by libraries in C too, is no result."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
