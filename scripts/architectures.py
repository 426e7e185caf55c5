"""Architectures that people train, by program and by stock PyTorch: the tables of docs/MODELS.md.

    python -m scripts.architectures              train both, print the table
    python -m scripts.architectures --write      and put it into the page
    python -m scripts.architectures --large      build a GPT-2 of 124 M parameters instead
    python -m scripts.architectures --judged     dispute every kind of node of every model instead

The first table takes two minutes, that of disputes six. The large model is not downloaded: its
weights are random ones.
"""

from __future__ import annotations

import argparse
import copy
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

from protocol.capture.captured import Captured
from protocol.capture.task import task_from
from protocol.capture.tracing.trace import trace_joint
from protocol.program.cost import TreeSizes, judgement_gas
from protocol.program.validate import validate_program
from protocol.training.task import Task
from tests.capture.architectures.base import Architecture
from tests.capture.architectures.catalogue import ARCHITECTURES
from tests.capture.architectures.training import (
    BATCH,
    Pair,
    batch_of,
    capture,
    make_model,
    relative_difference,
    stock_losses,
)
from tests.capture.running import states

PAGE = Path(__file__).resolve().parents[1] / "docs" / "MODELS.md"
STEPS, FIRST = 100, 20
HEAD = (
    "| architecture | nodes | ATen operators | kinds of folds | worst judgement, gas "
    f"| losses, first {FIRST} steps | {STEPS} steps | PyTorch f32 against f64 |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|\n"
)
DISPUTES_HEAD = (
    "| model | kinds of nodes | places | worst judgement in a dispute, gas "
    "| in a market | bound |\n"
    "|---|---:|---:|---:|---:|---:|\n"
)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print, and write if asked to; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put it into docs/MODELS.md")
    parser.add_argument("--large", action="store_true", help="the large GPT-2 instead")
    parser.add_argument("--judged", action="store_true", help="disputes about nodes instead")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    mark = "large" if options.large else "judged" if options.judged else "architectures"
    text = {"large": large, "judged": disputes, "architectures": table}[mark]()
    print(text, end="")
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(replace_part(page, mark, text), encoding="utf-8")
    return 0


def table() -> str:
    """All architectures beside PyTorch."""
    return HEAD + "".join(map(row, ARCHITECTURES))


def disputes() -> str:
    """What disputes about every kind of node of every model came to."""
    from tests.dispute.charges import Case
    from tests.dispute.judgements import judge_all
    from tests.dispute.models import MODELS, task_of

    text = DISPUTES_HEAD
    for name in MODELS:
        judged = judge_all(Case(task_of(name)))
        figures = (judged.kinds, judged.charges, judged.in_dispute, judged.in_market, judged.bound)
        text += "| " + " | ".join([name, *(f"{figure:,}" for figure in figures)]) + " |\n"
    return text


def row(name: str) -> str:
    """The table's row of an architecture, trained three times."""
    architecture = ARCHITECTURES[name]()
    model = make_model(architecture)
    stock, exact = copy.deepcopy(model), copy.deepcopy(model)
    captured = capture(architecture, STEPS, model)
    pair = Pair(
        captured,
        np.array([state["loss"].item() for state in states(captured)]),
        stock_losses(architecture, stock, captured),
    )
    noise = relative_difference(
        pair.stock, stock_losses(architecture, exact, captured, torch.float64)
    )
    cells = [
        architecture.says,
        f"{len(captured.program.nodes):,}",
        str(len(operators(architecture))),
        str(len({kind_of(origin) for origin in captured.origins})),
        f"{worst_gas(captured):,}",
        f"{pair.worst(FIRST):.0e}",
        f"{pair.worst():.0e}",
        f"{noise:.0e}",
    ]
    return "| " + " | ".join(cells) + " |\n"


def operators(architecture: Architecture) -> set[str]:
    """The ATen operators of one step, forward and backward, that are lowered to folds."""
    batch = batch_of(architecture.data, torch.arange(BATCH))
    graph = trace_joint(make_model(architecture), architecture.loss, *batch)
    nodes = graph.module.graph.nodes
    return {str(n.target) for n in nodes if str(n.target).startswith("aten.")}


def kind_of(origin: str) -> str:
    """``aten.mm (fwd)`` of ``head: aten.mm (fwd)``."""
    return origin.rpartition(": ")[2]


def worst_gas(captured: Captured) -> int:
    """The most that a judgement of any term of the program may cost."""
    sizes = TreeSizes.of(captured.program, captured.data_specs())
    return max(judgement_gas(node, sizes) for node in captured.program.nodes)


def large() -> str:
    """What it takes to build the task of a GPT-2 with 124 M parameters, dropout on."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config())
    ids = np.random.default_rng(0).integers(0, 50_257, size=(64, 1_024))
    started = time.perf_counter()
    captured = task_from(
        model,
        None,
        torch.optim.AdamW(model.parameters(), lr=1e-4),
        {"input_ids": ids, "labels": ids},
        steps=100,
        interval=10,
        batch_size=8,
    )
    Task.create(**captured.parts())
    built = time.perf_counter() - started
    started = time.perf_counter()
    validate_program(captured.program, captured.data_specs(), captured.origins)
    validated = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / 1e9
    count = sum(parameter.numel() for parameter in model.parameters())
    return (
        f"GPT-2 with {count / 1e6:.0f} M parameters, 8 x 1,024 tokens, dropout, AdamW: "
        f"{len(captured.program.nodes):,} nodes. Building its task takes {built:.0f} s and "
        f"{peak:.1f} GB, validating the program {validated:.1f} s; the worst judgement costs "
        f"{worst_gas(captured):,} gas.\n"
    )


def replace_part(page: str, mark: str, text: str) -> str:
    """The page with ``text`` between the marks of that name. ValueError if they are not there."""
    begin, end = f"<!-- {mark}: begin -->\n", f"<!-- {mark}: end -->\n"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE.name} lacks {begin.strip()} or {end.strip()}; put them back")
    return before + begin + text + end + after


if __name__ == "__main__":
    sys.exit(main())
