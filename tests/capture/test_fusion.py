"""Which elementwise operators share a node, and what happens at the limits of a body."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from protocol.capture.captured import Captured
from protocol.program.cost import TreeSizes, judgement_gas
from tests.capture.running import run_operator

X = np.random.default_rng(4).normal(size=(5, 8)).astype(np.float32)


def forward_nodes(operator: Callable[..., torch.Tensor]) -> list[str]:
    """Origins of the operator's own forward nodes."""
    outcome = run_operator(operator, X)
    assert outcome.worst() < 4e-6
    _check_gas(outcome.captured)
    return [o for o in outcome.captured.origins if o.startswith("model: ") and "(fwd)" in o]


def _check_gas(captured: Captured) -> None:
    sizes = TreeSizes.of(captured.program, captured.data_specs())
    assert all(judgement_gas(node, sizes) <= 400_000 for node in captured.program.nodes)


def test_chain_of_elementwise_operators_is_one_node() -> None:
    nodes = forward_nodes(lambda x: (x * 2 + 1 - 4 * x).abs().detach() + x)
    assert [n for n in nodes if "aten.add" not in n] == []


def test_value_used_twice_by_one_consumer_is_computed_in_it_once() -> None:
    def operator(x: torch.Tensor) -> torch.Tensor:
        e = torch.exp(x)
        return e / (e + 1) + e * 0.1

    assert len([n for n in forward_nodes(operator) if "exp" in n]) <= 1


def test_body_beyond_128_instructions_becomes_several_nodes() -> None:
    def operator(x: torch.Tensor) -> torch.Tensor:
        y = x.detach()
        for _ in range(5):
            y = torch.tanh(torch.sin(y)) + 0.1
        return y + x

    assert any("tanh" in n or "sin" in n for n in forward_nodes(operator))


def test_more_than_16_loads_become_several_nodes() -> None:
    def operator(x: torch.Tensor) -> torch.Tensor:
        rolled = [torch.cat([x[:, i:], x[:, :i]], 1) for i in range(1, 8)]
        total = x
        for part in rolled:
            for factor in (x[:1], x[1:2], x[2:3]):
                total = total + part * factor
        return total

    assert any("aten.mul" in n or "aten.add" in n for n in forward_nodes(operator))


def test_concatenation_of_more_than_16_parts_is_a_tree() -> None:
    nodes = forward_nodes(lambda x: torch.cat([x * float(i) for i in range(20)], 1))
    assert len([n for n in nodes if "aten.cat" in n]) in (3, 7)  # by the gas of a judgement


def test_equal_nodes_are_written_once() -> None:
    nodes = forward_nodes(lambda x: x.sum(1, keepdim=True) * x + x.sum(1, keepdim=True))
    assert len([n for n in nodes if "aten.sum" in n]) == 1
