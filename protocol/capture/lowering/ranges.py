"""Whether addresses that come straight from the data fit the table that they address.

PyTorch stops at a token beyond the vocabulary, or a label beyond the classes; a program would read
a zero. Of what is computed in between, only the mask of ignored labels is followed: what becomes of
a part of the data, such as one column of several, is not known here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.fx import Node as GraphNode

from protocol.capture.lowering.context import RESHAPES, Context, aten
from protocol.capture.writing.values import Lowered, View
from protocol.capture.writing.writer import Writer
from protocol.program.node import OperandKind

_GIVEN = "given"  # in a graph node's meta: the data that its elements are taken from
_MOVES = RESHAPES | {
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.expand.default,
    aten.alias.default,
    aten.clone.default,
    aten._to_copy.default,
}


def note_given(node: GraphNode, value: Lowered, writer: Writer) -> None:
    """Remember at an input of the graph which data it is gathered from, if it is of integers."""
    if isinstance(value, View) and value.operand.kind is OperandKind.NODE:
        given = writer.given.get(value.operand.index)
        if given is not None:
            node.meta[_GIVEN] = given


def check_addresses(ctx: Context, argument: int, size: int) -> None:
    """UnsupportedOperator if the data is known to hold an address outside of 0..size - 1.

    ``argument`` is the position of the addresses among the operator's arguments.
    """
    values = _values(ctx.node.args[argument])
    if values is None or not values.size:
        return
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= size:
        ctx.refuse(
            f"the data gives it indices from {low} to {high}, and there are {size:,} places: 0 to "
            f"{size - 1:,}; correct the data, or make the table (the number of classes, the "
            "vocabulary) larger (docs/CAPTURE.md, Data)"
        )


def _values(node: Any) -> np.ndarray | None:
    """The values of an index, as far as they are those of the data."""
    node = _moved_from(node)
    if not isinstance(node, GraphNode):
        return None
    if node.target is aten.where.self:
        condition, kept, _ = node.args
        values, ignored = _values(kept), _ignored(condition, kept)
        if values is None or ignored is None:
            return None
        rest: np.ndarray = values[values != ignored]
        return rest
    return node.meta.get(_GIVEN) if node.op == "placeholder" else None


def _ignored(condition: Any, kept: Any) -> Any:
    """k, where the condition is that the kept values are not k."""
    if not isinstance(condition, GraphNode) or condition.target is not aten.ne.Scalar:
        return None
    tested, number = condition.args
    return number if _moved_from(tested) is _moved_from(kept) else None


def _moved_from(node: Any) -> Any:
    while isinstance(node, GraphNode) and node.target in _MOVES:
        node = node.args[0]
    return node
