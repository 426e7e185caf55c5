"""An example of `examples/`, as the harness sees it: the module ``make_task.py`` of its folder.

    STEPS = 300                                              # of the whole run
    def arguments(steps: int = STEPS) -> dict[str, Any]      # of task_from, or inference_from
    def make_task(steps: int = STEPS) -> Captured            # task_from(**arguments(steps))
    def evaluate(state: Mapping[str, ndarray]) -> dict[str, str]   # what -> figures, or a sample
    def stock_losses(steps: int) -> list[float]              # only where `stock` cannot do it

``evaluate`` loads a state into plain PyTorch and says how good it is. It is called with the
delivered state, and with the initial one if something is trained.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from protocol.capture.captured import Captured

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"
FILE: Final = "make_task.py"
NEEDED: Final = ("STEPS", "arguments", "make_task", "evaluate")


class ExampleError(Exception):
    """There is no such example, or it lacks something."""


@dataclass(frozen=True)
class Example:
    """What an example's module has.

    Attributes:
        name: of its folder.
        steps: of the whole run.
        arguments: those of ``task_from`` or ``inference_from``, for so many steps.
        make_task: the task of so many steps.
        evaluate: what a state can do, for people.
        stock_losses: of plain PyTorch on the same batches, if the example does that itself.
    """

    name: str
    steps: int
    arguments: Callable[[int], dict[str, Any]]
    make_task: Callable[[int], Captured]
    evaluate: Callable[[Mapping[str, np.ndarray]], dict[str, str]]
    stock_losses: Callable[[int], list[float]] | None = None


def names(examples: Path = EXAMPLES) -> list[str]:
    """The examples that there are."""
    return sorted(
        path.parent.name
        for path in examples.glob(f"*/{FILE}")
        if "def evaluate" in path.read_text(encoding="utf-8")
    )


def load(name: str, examples: Path = EXAMPLES) -> Example:
    """The example of that name. ExampleError."""
    path = examples / name / FILE
    if not path.is_file():
        raise ExampleError(
            f"there is no example {name}: {path} is no file; there are {', '.join(names(examples))}"
        )
    module = _run(path)
    missing = [attribute for attribute in NEEDED if not hasattr(module, attribute)]
    if missing:
        raise ExampleError(
            f"{path} lacks {', '.join(missing)}, and has {', '.join(NEEDED)} if the harness is to "
            "run it: see scripts/real/example.py"
        )
    return Example(
        name,
        module.STEPS,
        module.arguments,
        module.make_task,
        module.evaluate,
        getattr(module, "stock_losses", None),
    )


def _run(path: Path) -> Any:
    """The module, which may import what is beside it."""
    spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec.loader.exec_module(module)
    return module
