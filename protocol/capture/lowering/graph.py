"""Lowers a joint graph operator by operator, deciding which elementwise results wait."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import GraphModule
from torch.fx import Node as GraphNode

from protocol.capture.errors import Origin
from protocol.capture.lowering import (  # noqa: F401 - importing them registers their rules
    borders,
    convolution,
    creation,
    indexing,
    mathematics,
    matmul,
    orders,
    placing,
    pointwise,
    pooling,
    random,
    reductions,
    resampling,
    sorting,
    strided,
    views,
    windows,
)
from protocol.capture.lowering.constants import Constants
from protocol.capture.lowering.context import (
    ELEMENTWISE,
    RESHAPES,
    RULES,
    SUMS,
    Context,
    check_result,
    unsupported_dtype,
)
from protocol.capture.lowering.ranges import note_given
from protocol.capture.writing.values import STORED, Full, Lazy, Lowered, View
from protocol.capture.writing.writer import Writer
from protocol.program.builder import BodyTooLarge
from protocol.program.isa import Type

# Operators with a reason of their own why they are refused; others get the general advice.
_ADVICE = {
    "aten._sparse_coo_tensor_with_dims_and_tensors": "a program has no sparse gradients; make the "
    "embedding with sparse=False",
    "aten.embedding_renorm": "max_norm writes into the weights; leave it None, and scale the rows "
    "that are looked up",
    "aten._embedding_bag": "use nn.Embedding, and sum or average over the bag",
    "aten._ctc_loss": "its paths depend on the lengths that the data has; use another loss",
    "aten.nonzero": "its output shape depends on data; use torch.where or a mask",
    "aten.masked_select": "its output shape depends on data; use torch.where or a mask",
    "aten._local_scalar_dense": "reading a value with .item() cannot be part of a program",
}
_GENERAL = "no lowering to folds exists; write it with supported operators (docs/OPERATORS.md)"


def lower_graph(
    graph: GraphModule,
    inputs: Sequence[Lowered],
    writer: Writer,
    commit: Callable[[torch.Tensor], View],
) -> list[Lowered]:
    """Write the graph's nodes; returns its outputs.

    ``inputs`` are the lowered placeholders in order; ``commit`` makes a data tensor of a constant
    that the model creates while it runs. Raises UnsupportedOperator or
    UnsupportedDtype naming the operator and its place.
    """
    nodes = list(graph.graph.nodes)
    waiting = _waiting(nodes)
    values: dict[GraphNode, Any] = {}
    constants = Constants(graph)
    remaining = iter(inputs)
    for node in nodes:
        if node.op == "placeholder":
            values[node] = next(remaining)
            note_given(node, values[node], writer)
        elif node.op == "output":
            return [values[source] for source in node.args[0]]
        elif constants.must_hold(node, values):
            if constants.is_storable(node):
                values[node] = _constant(constants.value(node), commit)
        elif node.target is operator.getitem:
            values[node] = values[node.args[0]][node.args[1]]
        elif node.op == "get_attr":
            values[node] = _constant(constants.value(node), commit)
        else:
            _add_scalars(node, values, constants)
            values[node] = _lower(node, values, writer)
            value = values[node]
            needed = isinstance(value, Lazy) and node not in waiting and node.users
            if needed and not writer.is_cheap(value):
                writer.view(value)
    raise AssertionError("a traced graph ends with its outputs")


def _constant(tensor: torch.Tensor, commit: Callable[[torch.Tensor], View]) -> Lowered:
    """A tensor of the model's own making; one without elements can only be joined to others."""
    if tensor.numel() == 0:
        return Full(tuple(tensor.shape), STORED[tensor.dtype].type, 0)
    return commit(tensor)


def _add_scalars(node: GraphNode, values: dict[GraphNode, Any], constants: Constants) -> None:
    """Numbers in double precision among a node's inputs count as f32, as they do in PyTorch.

    Other inputs that no program holds are refused.
    """
    for source in node.all_input_nodes:
        if source in values:
            continue
        tensor = constants.value(source)
        result = node.meta.get("val")
        is_float = isinstance(result, torch.Tensor) and result.dtype is torch.float32
        if not (is_float and tensor.ndim == 0 and tensor.is_floating_point()):
            raise unsupported_dtype(
                f"a constant that {node.target} takes",
                tensor.dtype,
                node.meta.get("origin", Origin()),
            )
        values[source] = Full((), Type.F, tensor.item())


def _lower(node: GraphNode, values: dict[GraphNode, Any], writer: Writer) -> Any:
    check_result(node)
    rule = RULES.get(node.target)
    context = Context(writer, node)
    if rule is None:
        context.refuse(_ADVICE.get(context.operator, _GENERAL))
    arguments = torch.fx.node.map_arg(node.args, values.__getitem__)
    named = torch.fx.node.map_arg(node.kwargs, values.__getitem__)
    try:
        return rule(context, *arguments, **named)
    except BodyTooLarge as error:
        context.refuse(f"{error}; split it into smaller parts")


def _takes_in(user: GraphNode, shape: torch.Size) -> bool:
    if user.target in SUMS or user.target in RESHAPES:
        return True
    return user.target in ELEMENTWISE and user.meta["val"].shape == shape


def _waiting(nodes: Sequence[GraphNode]) -> set[GraphNode]:
    """Elementwise nodes whose users all end in one other node that can take them in.

    That is an elementwise node of the same shape, also behind a reshape, or a sum. These are
    computed inside that node's body; all others become nodes of their own (unless cheap).
    """
    root: dict[GraphNode, GraphNode] = {}
    waiting: set[GraphNode] = set()
    for node in reversed(nodes):
        root[node] = node
        if node.target not in ELEMENTWISE | RESHAPES or not node.users:
            continue
        shape = node.meta["val"].shape
        roots = {root[user] for user in node.users}
        if len(roots) == 1 and all(_takes_in(user, shape) for user in node.users):
            root[node] = roots.pop()
            waiting.add(node)
    return waiting
