"""What a step computes from constants alone, and no fold can: computed while the task is built.

Tables in double precision, or by operators without a rule: the task commits to the result. Random
draws are no constants, and what has a rule keeps it.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import GraphModule
from torch.fx import Node as GraphNode

from protocol.capture.lowering.context import RULES
from protocol.capture.writing.values import STORED


class Constants:
    """The nodes of a graph whose values depend on nothing that is given."""

    def __init__(self, graph: GraphModule) -> None:
        self._graph = graph
        self._nodes: set[GraphNode] = set()
        self._values: dict[GraphNode, Any] = {}
        for node in graph.graph.nodes:
            is_possible = node.op == "get_attr" or _is_repeatable(node)
            if is_possible and self._nodes.issuperset(node.all_input_nodes):
                self._nodes.add(node)

    def must_hold(self, node: GraphNode, lowered: Mapping[GraphNode, Any]) -> bool:
        """Is it a constant that cannot be lowered as it is?"""
        if node not in self._nodes:
            return False
        if any(source not in lowered for source in node.all_input_nodes):
            return True
        if not all(_is_stored(tensor) for tensor in self._results(node)):
            return True
        return node.op == "call_function" and node.target not in {*RULES, operator.getitem}

    def is_storable(self, node: GraphNode) -> bool:
        """Is it one tensor of a type that programs hold?"""
        value = self.value(node)
        return isinstance(value, torch.Tensor) and _is_stored(value)

    def value(self, node: GraphNode) -> Any:
        """What the node gives: a tensor, or several."""
        if node not in self._values:
            if node.op == "get_attr":
                self._values[node] = getattr(self._graph, str(node.target))
            else:
                target: Any = node.target
                arguments = torch.fx.node.map_arg((node.args, node.kwargs), self.value)
                with torch.inference_mode(False), torch.no_grad():
                    self._values[node] = target(*arguments[0], **arguments[1])
        return self._values[node]

    def _results(self, node: GraphNode) -> list[torch.Tensor]:
        value = self.value(node) if node.op == "get_attr" else node.meta.get("val")
        values = value if isinstance(value, list | tuple) else [value]
        return [tensor for tensor in values if isinstance(tensor, torch.Tensor)]


def _is_stored(tensor: torch.Tensor) -> bool:
    return tensor.dtype in STORED and tensor.layout is torch.strided


def _is_repeatable(node: GraphNode) -> bool:
    """Does it give the same whenever it is called with the same?"""
    if node.target is operator.getitem:
        return True
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable:
        return False
    return torch.Tag.nondeterministic_seeded not in target.tags
