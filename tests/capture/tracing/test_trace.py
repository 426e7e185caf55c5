"""The graph of a step without a loss: its inputs and outputs in order, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from protocol.capture.errors import CaptureError, UnsupportedOperator
from protocol.capture.tracing.trace import ForwardGraph, run_on_fakes, trace_forward

BATCH = {"x": torch.zeros(3, 2), "y": torch.zeros(3, dtype=torch.int64)}


class Noting(nn.Module):
    """Two layers, of which one is frozen, and buffers of which forward changes one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 2)
        self.first.requires_grad_(False)
        self.register_buffer("scale", torch.ones(2))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        return self.second(self.first(x).relu()) * self.scale


def compute(forward: Callable[..., Any], fed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    said = forward(fed["x"])
    return {"said": said, "hit": said.argmax(1) == fed["y"]}


@pytest.fixture(scope="module")
def graph() -> ForwardGraph:
    return trace_forward(Noting(), compute, BATCH)


def test_inputs_are_parameters_buffers_and_the_batch_in_order(graph: ForwardGraph) -> None:
    assert graph.parameters == ["first.weight", "first.bias", "second.weight", "second.bias"]
    assert graph.buffers == ["scale", "seen"]
    inputs = [node for node in graph.module.graph.nodes if node.op == "placeholder"]
    shapes = [tuple(node.meta["val"].shape) for node in inputs]
    assert shapes == [(4, 2), (4,), (2, 4), (2,), (2,), (), (3, 2), (3,)]


def test_outputs_are_those_by_name_and_then_the_buffers(graph: ForwardGraph) -> None:
    assert graph.outputs == ["said", "hit"]
    assert graph.changed == ["seen"]
    outputs = list(graph.module.graph.nodes)[-1].args[0]
    values = [node.meta["val"] for node in outputs]
    assert [tuple(v.shape) for v in values] == [(3, 2), (3,), (2,), ()]
    assert [v.dtype for v in values] == [torch.float32, torch.bool, torch.float32, torch.int64]


def test_graph_computes_what_the_module_does(graph: ForwardGraph) -> None:
    model = Noting()
    x, y = torch.randn(3, 2), torch.tensor([0, 1, 1])
    tensors = [*model.parameters(), model.scale, model.seen.clone()]
    said, hit, scale, seen = graph.module(*(t.detach() for t in tensors), x, y)
    expected = model(x)
    assert torch.allclose(said, expected, atol=1e-6)
    assert torch.equal(hit, said.argmax(1) == y)
    assert torch.equal(scale, model.scale)
    assert int(seen) == 3


def test_operators_are_stamped_with_module_and_line_and_none_goes_back(
    graph: ForwardGraph,
) -> None:
    origins = [n.meta["origin"] for n in graph.module.graph.nodes if n.op == "call_function"]
    assert {origin.phase for origin in origins} == {"fwd"}
    assert {"first", "second"} <= {origin.module for origin in origins}
    assert any("test_trace.py" in origin.source for origin in origins)


def test_model_and_its_gradients_stay_as_they_are() -> None:
    model = Noting()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trace_forward(model, compute, BATCH)
    run_on_fakes(model, compute, BATCH)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    assert all(p.grad is None for p in model.parameters())


def test_branch_on_a_value_is_refused() -> None:
    def branches(forward: Any, fed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        said = forward(fed["x"])
        return {"said": said if said.mean() > 0 else -said}

    with pytest.raises(UnsupportedOperator, match="depend on the values of data"):
        trace_forward(Noting(), branches, BATCH)


def test_run_on_fakes_hands_on_what_is_refused_and_nothing_else() -> None:
    def fails(error: Exception) -> Callable[..., dict[str, torch.Tensor]]:
        def compute(forward: Any, fed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            assert forward(fed["x"]).shape == (3, 2)
            raise error

        return compute

    with pytest.raises(CaptureError, match="no row"):
        run_on_fakes(Noting(), fails(CaptureError("no row")), BATCH)
    run_on_fakes(Noting(), fails(ValueError("only batches of four")), BATCH)
