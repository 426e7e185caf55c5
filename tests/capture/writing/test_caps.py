"""A model beyond the caps of a program: refused at build time, with operator, place and remedy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.errors import CaptureError, Origin, UnsupportedOperator
from protocol.capture.task import task_from
from protocol.capture.writing import caps
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node
from protocol.program.validate import Limits

X = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
Run = Callable[[torch.Tensor], torch.Tensor]


class Layer(nn.Linear):
    """A layer, and what is done with its output."""

    def __init__(self, run: Run) -> None:
        super().__init__(6, 3)
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(super().forward(x))


def capture(run: Run) -> None:
    model = nn.Sequential(Layer(run))
    task_from(
        model,
        lambda output, _: output.sum(),
        torch.optim.SGD(model.parameters(), lr=0.1),
        (X, X),
        steps=1,
        batch_size=8,
    )


def wide(h: torch.Tensor) -> torch.Tensor:
    return h + h[:, 0].reshape(8, 1, 1, 1).expand(8, 512, 1024, 1024).sin().cumsum(1).sum()


def deep(h: torch.Tensor) -> torch.Tensor:
    return h + h[:1, :1].expand(1, (1 << 24) + 8).prod()


def ranked(h: torch.Tensor) -> torch.Tensor:
    h = h.reshape(2, 2, 2, 3, 1, 1, 1, 1, 1).expand(2, 2, 2, 3, 2, 2, 2, 2, 2)
    return torch.sin(h.permute(*range(8, -1, -1)))


@pytest.mark.parametrize(
    ("run", "operator", "line", "says"),
    [
        (
            wide,
            "aten.sin",
            "reshape(8, 1, 1, 1)",
            "4,294,967,296 elements, the cap is 2,147,483,647",
        ),
        (deep, "aten.prod", ".prod()", "16,777,224 terms, the cap is 16,777,216"),
        (ranked, "aten.", "torch.sin", "9 dimensions .*, the cap is 8"),
    ],
)
def test_operator_beyond_a_cap_is_refused_with_its_place(
    run: Run, operator: str, line: str, says: str
) -> None:
    with pytest.raises(UnsupportedOperator, match=says) as refused:
        capture(run)
    assert operator in refused.value.operator
    assert refused.value.origin.module == "0"
    assert line in refused.value.origin.source


def nodes_of(count: int, size: int) -> list[Node]:
    b = FoldBuilder(DType.F32, (size,))
    return [b.finish(b.f32(1.0))] * count


def test_program_of_too_many_nodes_names_the_line_that_makes_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(caps, "Limits", lambda: Limits(nodes=5))
    loop = (Origin("cell", "fwd", "model.py:7 `h = step(h)`"), "aten.tanh")
    sources = [(Origin("head"), "aten.mm"), *[loop] * 5]
    message = r"6 nodes, the cap is 5; 5 of them come from aten\.tanh in cell, model\.py:7"
    with pytest.raises(CaptureError, match=message):
        caps.check_totals(nodes_of(6, 1), sources)
    caps.check_totals(nodes_of(5, 1), sources[:5])


def test_trace_that_is_too_large_names_the_largest_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caps, "Limits", lambda: Limits(trace_bytes=500))
    sources = [(Origin("a"), "aten.mm"), (Origin("b"), "aten.exp")]
    nodes = [*nodes_of(1, 50), *nodes_of(1, 100)]
    with pytest.raises(
        CaptureError, match=r"600 bytes, the cap is 500.*aten\.exp in b.*accumulate"
    ):
        caps.check_totals(nodes, sources)
    caps.check_totals(nodes[1:], sources[1:])
