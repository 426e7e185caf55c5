"""What a lowering rule sees, and the table of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch.fx import Node as GraphNode

from protocol.capture.errors import COMPLEX, Origin, UnsupportedDtype, UnsupportedOperator
from protocol.capture.writing.caps import check_size
from protocol.capture.writing.values import STORED, Emit, Full, Lazy, Lowered, Shape, View
from protocol.capture.writing.writer import Writer, check_affordable
from protocol.program.body import Value
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType, Type

aten = torch.ops.aten

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}
ELEMENTWISE: set[Any] = set()  # operators whose result may wait for its only consumer
RESHAPES = {aten.view.default, aten._unsafe_view.default, aten.reshape.default}
SUMS = {aten.sum.dim_IntList, aten.sum.default, aten.mean.dim, aten.mean.default}


def lowers(*operators: Any, elementwise: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule: called with a Context and the lowered arguments of the operator."""

    def register(rule: Rule) -> Rule:
        for operator in operators:
            RULES[operator] = rule
            if elementwise:
                ELEMENTWISE.add(operator)
        return rule

    return register


@dataclass
class Context:
    """The writer and the graph node that is being lowered."""

    writer: Writer
    node: GraphNode

    @property
    def origin(self) -> Origin:
        """Where the node comes from."""
        origin: Origin = self.node.meta.get("origin", Origin())
        return origin

    @property
    def operator(self) -> str:
        """The operator's name without its overload, e.g. ``aten.mm``."""
        return operator_name(self.node)

    def shape(self, output: int | None = None) -> Shape:
        """Shape of the node's result (or of one of its results)."""
        value = self.node.meta["val"]
        return tuple(int(d) for d in (value if output is None else value[output]).shape)

    def torch_dtype(self) -> torch.dtype:
        """The result's dtype in PyTorch."""
        dtype: torch.dtype = self.node.meta["val"].dtype
        return dtype

    def dtype(self) -> DType:
        """The result's storage type."""
        return STORED[self.torch_dtype()]

    def argument_dtype(self, position: int) -> torch.dtype:
        """PyTorch dtype of the tensor argument at ``position``."""
        dtype: torch.dtype = self.node.args[position].meta["val"].dtype  # type: ignore[union-attr]
        return dtype

    def view(self, value: Lowered) -> View:
        """``value`` as a stored tensor."""
        return self.writer.view(value, self.origin)

    def views(self, *values: Lowered) -> tuple[View, ...]:
        """Several values as stored tensors."""
        return tuple(self.view(value) for value in values)

    def finish(self, b: FoldBuilder, result: Value, operator: str | None = None) -> View:
        """Write the fold and return its output."""
        node = b.finish(result)
        check_size(node, (self.origin, operator or self.operator))
        check_affordable(node)
        return self.writer.add(node, self.origin, operator or self.operator)

    def lazy(
        self, emit: Emit, *arguments: Lowered, shape: Shape, dtype: DType, placed: bool = False
    ) -> Lazy:
        """An elementwise expression with this node's origin."""
        return Lazy(shape, dtype, emit, arguments, self.origin, self.operator, placed)

    def float_full(self, value: float, shape: Shape = ()) -> Full:
        """A constant f32."""
        return Full(shape, Type.F, value)

    def refuse(self, advice: str) -> NoReturn:
        """Raise UnsupportedOperator for this node."""
        raise UnsupportedOperator(str(self.node.target), self.origin, advice)


def operator_name(node: GraphNode) -> str:
    """``aten.mm`` of ``aten.mm.default``."""
    return ".".join(str(node.target).split(".")[:2])


def check_result(node: GraphNode) -> None:
    """Refuse a node that makes a tensor without a 32-bit form here, or of a shape that varies."""
    values = node.meta.get("val")
    for value in values if isinstance(values, list | tuple) else [values]:
        if isinstance(value, torch.Tensor) and not all(isinstance(d, int) for d in value.shape):
            raise UnsupportedOperator(
                str(node.target),
                node.meta.get("origin", Origin()),
                "its output shape depends on data; use torch.where or a mask",
            )
        if isinstance(value, torch.Tensor) and value.dtype not in STORED:
            origin = node.meta.get("origin", Origin())
            raise unsupported_dtype(f"the output of {node.target}", value.dtype, origin)


def unsupported_dtype(tensor: str, dtype: torch.dtype, origin: Origin) -> UnsupportedDtype:
    """The error for a tensor inside of a step, with what to do about this type."""
    if dtype.is_complex:
        advice = COMPLEX
    elif dtype.is_floating_point:
        advice = "remove the cast or autocast, or use .float()"
    else:
        advice = "use .int() or .long()"
    return UnsupportedDtype(tensor, str(dtype).removeprefix("torch."), advice, origin)
