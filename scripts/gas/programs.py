"""Judgements of every node of real captured programs, each by arithmetic and by a load."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from protocol.capture.examples import digits
from protocol.capture.task import task_from
from protocol.chain.compiler import CompiledArtifacts
from protocol.chain.embedded import EmbeddedChain
from protocol.dispute.state import ARITHMETIC
from protocol.program import cost
from protocol.program.cost import TreeSizes
from protocol.program.node import Node
from protocol.training.task import Task
from tests.contracts.dispute.judged_claim import Case, JudgedClaim
from tests.random_nodes import random_word

TRIES = 300


def digits_task() -> Task:
    """The demo's classifier: layer norm, GELU, AdamW."""
    return Task.create(**digits.make_task().parts())


def convolution_task() -> Task:
    """A small convolutional network on the same digits: batch norm, pooling, momentum."""
    (inputs, targets), _ = digits.digits()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 10),
        )
    captured = task_from(
        model,
        nn.CrossEntropyLoss(),
        torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        (np.ascontiguousarray(inputs.reshape(-1, 1, 8, 8)), targets),
        steps=4,
        interval=2,
        batch_size=16,
        name="small CNN",
    )
    return Task.create(**captured.parts())


PROGRAMS: dict[str, Callable[[], Task]] = {"digits": digits_task, "small CNN": convolution_task}


def judgements(task: Task) -> dict[str, Any]:
    """Gas and bound of the worst judgement of each operator of a program, and of all.

    The solver is right, is paid for the first time, and the market burns for the first time: the
    dearest way for a dispute to end.
    """
    sizes = TreeSizes.of(task.program, task.manifest.data)
    cases = [case for i, node in enumerate(task.program.nodes) for case in _cases(i, node, sizes)]
    claim = JudgedClaim(EmbeddedChain(CompiledArtifacts()), sizes, cases)
    rows: dict[str, dict[str, Any]] = {}
    for case in cases:
        gas, kind = claim.gas(case), "arithmetic" if case.kind == ARITHMETIC else "load"
        bound = (
            cost.arithmetic_gas(case.node)
            if kind == "arithmetic"
            else cost.load_gas(case.node, sizes)
        )
        row = rows.setdefault(_operator(task.manifest.origins[case.index]), {})
        if gas > row.get(kind, {"gas": 0})["gas"]:
            row[kind] = {"node": case.index, "gas": gas, "bound": bound}
    return {"nodes": len(task.program.nodes), "operators": dict(sorted(rows.items()))}


def _operator(origin: str) -> str:
    """`aten.mm (fwd)` of `0: aten.mm (fwd)`."""
    return origin.rpartition(": ")[2]


def _cases(index: int, node: Node, sizes: TreeSizes) -> list[Case]:
    """One term that is not skipped, by arithmetic and by its dearest load, in bounds."""
    rng = random.Random(index)  # noqa: S311 - cases, not secrets
    tried = [_try(rng, index, node) for _ in range(TRIES)]
    judged = [next((case for case in tried if not case.is_skipped), tried[0]).acquitted]
    dearest = max(
        range(len(node.loads)),
        key=lambda load: cost.judgement_of_load(node, node.loads[load], sizes),
        default=None,
    )
    if dearest is not None:
        loads = [replace(c, kind=dearest, accumulator=judged[0].accumulator) for c in tried]
        judged.append(next((c for c in loads if c.source is not None), loads[0]).acquitted)
    return judged


def _try(rng: random.Random, index: int, node: Node) -> Case:
    """Any element; a term with another before it, if there is one; words that may be indices."""
    words = tuple(
        random_word(rng, node.operands[load.operand].dtype.type)
        if rng.random() < 0.3
        else rng.randrange(16)
        for load in node.loads
    )
    element, term = rng.randrange(node.numel), rng.randrange(min(1, node.terms - 1), node.terms)
    return Case(index, node, element, term, ARITHMETIC, words)
