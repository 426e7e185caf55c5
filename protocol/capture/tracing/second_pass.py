"""The second pass of a trace: without mutation, decomposed to core ATen, with the same origins.

Tensors that the model or its loss holds without registering them become constants of the graph.
What a program cannot have of them is refused here: writing to them, and being a trained parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch.func import functionalize
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.experimental.proxy_tensor import make_fx

from protocol.capture.errors import CaptureError, Origin, UnsupportedOperator
from protocol.capture.tracing.decompositions import decomposition_table
from protocol.capture.tracing.recording import Recorder, refusing

TRACING: Final[dict[str, Any]] = {"tracing_mode": "fake", "_allow_non_fake_inputs": True}
"""How both passes trace."""

_READ = "(docs/CAPTURE.md, What is supported)"


def in_core_operators(
    first: GraphModule, flat: Sequence[torch.Tensor], model: torch.nn.Module, recorder: Recorder
) -> GraphModule:
    """The graph of the first pass in core ATen operators, none of which writes to a tensor.

    ``flat`` are its inputs: the model's tensors, then the batch.

    Raises:
        UnsupportedOperator: something that only has a value when it runs, or a write to a tensor
            that is neither a buffer nor made in the step.
        CaptureError: a trained parameter that is used from outside of the model.
    """
    replay = _Replay(first, model, recorder)

    def functional(*inputs: Any) -> Any:
        return replay.run(*inputs)

    assert len([n for n in first.graph.nodes if n.op == "placeholder"]) == len(flat)
    with refusing(recorder):
        second: GraphModule = make_fx(
            functionalize(functional, remove="mutations"),
            decomposition_table=decomposition_table(),
            **TRACING,
        )(*flat)
    _refuse_written_parameters(second, model)
    second.graph.eliminate_dead_code(is_impure_node=_is_kept)
    return second


class _Replay(Interpreter):
    """Runs the first graph under the second trace and hands on each node's origin.

    Constants are wrapped, so that what is made of them and then written to is followed too.
    """

    def __init__(self, graph: GraphModule, model: torch.nn.Module, recorder: Recorder) -> None:
        super().__init__(graph)
        self.extra_traceback = False  # errors have an origin of their own
        self._recorder = recorder
        self._constants: dict[str, torch.Tensor] = {}
        self._trained = {
            parameter.untyped_storage().data_ptr(): name
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and parameter.numel() and not parameter.is_meta
        }

    def run_node(self, n: Node) -> Any:
        origin = n.meta.get("origin", Origin())
        self._recorder.current = origin
        result = super().run_node(n)
        if isinstance(n.target, torch._ops.OpOverload) and n.target._schema.is_mutable:
            for constant in self._constants.values():
                if torch._functionalize_mutation_counter(constant):
                    raise UnsupportedOperator(
                        str(n.target),
                        origin,
                        "it writes into a tensor that no step would see again; register it as a "
                        f"buffer of the model (register_buffer), which is state {_READ}",
                    )
        return result

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        value = super().get_attr(target, args, kwargs)
        if not isinstance(value, torch.Tensor):
            self._refuse_object(str(target), value)
        if target not in self._constants:
            self._refuse_parameter(value)
            self._constants[target] = torch._to_functional_tensor(value)
        return self._constants[target]

    def _refuse_object(self, target: str, value: Any) -> None:
        users = [n for node in self.graph.nodes if node.target == target for n in node.users]
        user = users[0] if users else None
        if isinstance(value, torch.Generator):
            advice = "leave generator= away: random numbers come from the task's seed"
        elif isinstance(value, GraphModule):
            advice = (
                "the step would depend on the values of data; compute what either way gives, and "
                "choose with torch.where"
            )
        else:
            advice = f"it works on a {type(value).__name__}, and a program knows tensors only"
        origin = Origin() if user is None else user.meta.get("origin", Origin())
        raise UnsupportedOperator(target if user is None else str(user.target), origin, advice)

    def _refuse_parameter(self, constant: torch.Tensor) -> None:
        if constant.layout is not torch.strided or constant.is_meta or not constant.numel():
            return
        name = self._trained.get(constant.untyped_storage().data_ptr())
        if name is not None:
            raise CaptureError(
                f"the parameter {name} is used as a tensor that was taken from the model before, "
                "which would stay what it is now; take it from the module where it is used, e.g. "
                f"model.get_parameter({name!r}) {_READ}"
            )


def _refuse_written_parameters(graph: GraphModule, model: torch.nn.Module) -> None:
    """The last writes to inputs stand at the end of the graph: parameters must not be among them.

    The inputs begin with the parameters, trained ones first.
    """
    named = sorted(model.named_parameters(), key=lambda part: not part[1].requires_grad)
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    names = {node: name for node, (name, _) in zip(placeholders, named, strict=False)}
    for node in graph.graph.nodes:
        if node.target is torch.ops.aten.copy_.default and node.args[0] in names:
            origin = node.args[1].meta.get("origin", Origin())
            raise UnsupportedOperator(
                str(node.args[1].target),
                origin,
                f"it changes the parameter {names[node.args[0]]} in place, which only the "
                f"optimiser does in a program; compute with a new tensor instead {_READ}",
            )


def _is_kept(node: Node) -> bool:
    return node.op in ("placeholder", "output")
