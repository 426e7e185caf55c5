"""From a module to a graph in core ATen: of forward and backward jointly, or of forward alone.

Two passes of ``make_fx``: the first runs the module (and ``torch.autograd.grad``) on fake tensors,
the second removes mutation and decomposes. Each operator is stamped with its ``Origin`` on the way:
forward operators by the module that runs, backward ones by the sequence number that ties an
autograd node to the operator that created it.
"""

from __future__ import annotations

import contextlib
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.func import functional_call, functionalize
from torch.fx import GraphModule, Interpreter
from torch.fx.experimental.proxy_tensor import PythonKeyTracer, make_fx
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.module_tracker import ModuleTracker

from protocol.capture.decompositions import decomposition_table
from protocol.capture.errors import CaptureError, Origin, UnsupportedOperator, quiet_torch
from protocol.capture.feeds import Loss, by_name, like, loss_of

Compute = Callable[[Callable[..., Any], dict[str, torch.Tensor]], dict[str, torch.Tensor]]
"""Outputs by name, of the model's forward and a batch by name."""

_TORCH = str(Path(torch.__file__).parent)
_HERE = str(Path(__file__).parent)
_CONTEXTLIB = contextlib.__file__


@dataclass(frozen=True)
class JointGraph:
    """One step's loss, gradients and new buffers as a graph of core ATen operators.

    Inputs in order: trainable parameters, frozen parameters, buffers, the batch.
    Outputs in order: loss, gradients of ``with_gradient``, then the buffers.
    """

    module: GraphModule
    trainable: list[str]
    frozen: list[str]
    buffers: list[str]
    with_gradient: list[str]


@dataclass(frozen=True)
class ForwardGraph:
    """What one step computes, and its new buffers, as a graph of core ATen operators.

    Inputs in order: parameters, buffers, the batch. Outputs in order: ``outputs``, then the
    buffers; ``changed`` are those that the step writes.
    """

    module: GraphModule
    parameters: list[str]
    buffers: list[str]
    changed: list[str]
    outputs: list[str]


def trace_joint(model: torch.nn.Module, loss: Loss | None, inputs: Any, targets: Any) -> JointGraph:
    """Trace one step on a batch like ``inputs``, ``targets`` (values are not read).

    Each is one tensor or tensors by keyword, see ``feeds``; without a ``loss`` it is the model's.
    The mode of the model (train or eval) is kept; autocast, default dtype, TF32 and determinism
    settings of the calling process have no influence.
    """
    parameters = dict(model.named_parameters())
    trainable = {k: p for k, p in parameters.items() if p.requires_grad}
    frozen = {k: p for k, p in parameters.items() if not p.requires_grad}
    buffers = dict(model.named_buffers())
    recorder = _Recorder(model)
    used: list[str] = []
    batch = by_name(inputs, targets)

    def step(
        own: list[torch.Tensor],
        fixed: list[torch.Tensor],
        kept: list[torch.Tensor],
        fed: list[torch.Tensor],
    ) -> list[torch.Tensor]:
        own = [p.detach().requires_grad_(True) for p in own]
        state = dict(zip(buffers, kept, strict=True))
        weights = dict(zip([*trainable, *frozen], [*own, *fixed], strict=True))

        def forward(*given: torch.Tensor, **named: torch.Tensor) -> Any:
            return functional_call(model, (weights, state), given, named, tie_weights=True)

        with torch.enable_grad(), recorder.forward():
            with _refusing_data_dependence(recorder):
                fed_by_name = dict(zip(batch, fed, strict=True))
                value = loss_of(forward, loss, *like(inputs, targets, fed_by_name))
            _check_loss(value)
            recorder.phase = "bwd"
            # The stub forgets that an unused parameter's gradient is None.
            gradients: Sequence[Any] = torch.autograd.grad(value, own, allow_unused=True)
        present = {k: g for k, g in zip(trainable, gradients, strict=True) if g is not None}
        used[:] = present
        return [value.detach(), *present.values(), *state.values()]

    arguments = (
        [p.detach().cpu().contiguous() for p in trainable.values()],
        [p.detach().cpu().contiguous() for p in frozen.values()],
        [b.detach().cpu().contiguous() for b in buffers.values()],
        list(batch.values()),
    )
    module = _core_graph(step, arguments, recorder)
    return JointGraph(module, list(trainable), list(frozen), list(buffers), used)


def trace_forward(
    model: torch.nn.Module, compute: Compute, batch: dict[str, torch.Tensor]
) -> ForwardGraph:
    """Trace ``compute(forward, batch)`` on a batch like this one (values are not read).

    ``forward`` is the model's; what ``compute`` returns are the outputs by name. The mode of the
    model is kept, and settings of the process have no influence, as in `trace_joint`.
    """
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    recorder = _Recorder(model)
    names: list[str] = []

    def step(
        own: list[torch.Tensor], kept: list[torch.Tensor], fed: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        state = dict(zip(buffers, kept, strict=True))
        weights = dict(zip(parameters, own, strict=True))

        def forward(*given: Any, **named: Any) -> Any:
            return functional_call(model, (weights, state), given, named, tie_weights=True)

        before = [tensor._version for tensor in own]
        with torch.no_grad(), recorder.forward(), _refusing_data_dependence(recorder):
            outputs = compute(forward, dict(zip(batch, fed, strict=True)))
        written = [n for (n, t), v in zip(weights.items(), before, strict=True) if t._version != v]
        if written:
            raise CaptureError(
                f"forward writes into the parameter {written[0]}, and nothing is trained; make it "
                "a buffer (register_buffer) if the next step shall see that, or a new tensor"
            )
        names[:] = outputs
        return [*outputs.values(), *state.values()]

    arguments = (
        [p.detach().cpu().contiguous() for p in parameters.values()],
        [b.detach().cpu().contiguous() for b in buffers.values()],
        list(batch.values()),
    )
    module = _core_graph(step, arguments, recorder)
    nodes = list(module.graph.nodes)
    before = nodes[len(parameters) : len(parameters) + len(buffers)]
    after = nodes[-1].args[0][len(names) :]
    changed = [n for n, old, new in zip(buffers, before, after, strict=True) if old is not new]
    return ForwardGraph(module, list(parameters), list(buffers), changed, names)


def run_on_fakes(model: torch.nn.Module, compute: Compute, batch: dict[str, torch.Tensor]) -> None:
    """Run ``compute`` on a batch like this one without values: what CaptureError it raises counts.

    A model that takes only batches of one size may fail otherwise, and that is its own affair.
    """
    fakes = FakeTensorMode(allow_non_fake_inputs=True)
    named = (*model.named_parameters(), *model.named_buffers())

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        return fakes.from_tensor(tensor.detach().cpu())

    tensors = {name: fake(tensor) for name, tensor in named}
    fed = {name: fake(tensor) for name, tensor in batch.items()}

    def forward(*given: Any, **named: Any) -> Any:
        return functional_call(model, tensors, given, named, tie_weights=True)

    with fakes, _neutral_settings(), torch.no_grad(), quiet_torch():
        try:
            compute(forward, fed)
        except Exception as error:
            if isinstance(error, CaptureError):
                raise


def _core_graph(
    step: Callable[..., list[torch.Tensor]],
    arguments: tuple[list[torch.Tensor], ...],
    recorder: _Recorder,
) -> GraphModule:
    """The step in core ATen operators without mutation, each with its origin."""
    options: dict[str, Any] = {"tracing_mode": "fake", "_allow_non_fake_inputs": True}
    with _neutral_settings(), recorder.stamping():
        first = make_fx(step, record_stack_traces=True, **options)(*arguments)
        replay = _Replay(first, recorder)

        def functional(*flat: Any) -> Any:
            return replay.run(*flat)

        flat = [tensor for part in arguments for tensor in part]
        placeholders = [n for n in first.graph.nodes if n.op == "placeholder"]
        assert len(placeholders) == len(flat)
        with _refusing_data_dependence(recorder):
            second: GraphModule = make_fx(
                functionalize(functional, remove="mutations"),
                decomposition_table=decomposition_table(),
                **options,
            )(*flat)
    second.graph.eliminate_dead_code(is_impure_node=_is_buffer_write)
    return second


def _check_loss(value: Any) -> None:
    if not isinstance(value, torch.Tensor) or value.shape != ():
        got = f"a tensor of shape {tuple(value.shape)}" if torch.is_tensor(value) else type(value)
        raise CaptureError(f"the loss must return one number, got {got}; reduce it with .mean()")
    if not value.requires_grad:
        raise CaptureError(
            "the loss does not depend on any trainable parameter; "
            "is requires_grad off, or does forward detach its result?"
        )


@contextlib.contextmanager
def _refusing_data_dependence(recorder: _Recorder) -> Iterator[None]:
    """Fake tensors have no values: what would need one is refused with its line."""
    try:
        yield
    except (
        DataDependentOutputException,
        DynamicOutputShapeException,
        RuntimeError,  # GuardOnDataDependentSymNode too
    ) as error:
        if not _is_of_data(error):
            raise
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_user_code(f)]
        place = recorder.origin()
        origin = Origin(place.module, "fwd", _line_of(frames[-1]) if frames else "")
        advice = "the step would depend on the values of data; use torch.where or a mask instead"
        operator = str(getattr(error, "func", "bool, int or .item() of a tensor"))
        raise UnsupportedOperator(operator, origin, advice) from error


def _is_of_data(error: Exception) -> bool:
    """Does the error come from a size or a number that only the data has?"""
    named = (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)
    unknown = r"\bu\d+\b|data is not allocated"  # u0 is such a size
    return isinstance(error, named) or re.search(unknown, str(error)) is not None


def _is_buffer_write(node: torch.fx.Node) -> bool:
    return node.op in ("placeholder", "output")


class _ForwardTracker(ModuleTracker):
    """Follows modules forwards only: hooks for the way back refuse a parameter as an input."""

    def _fw_pre_hook(self, mod: torch.nn.Module, _: Any) -> None:
        self.parents.add(self._get_mod_name(mod))  # type: ignore[no-untyped-call]

    def _fw_post_hook(self, mod: torch.nn.Module, _: Any, __: Any) -> None:
        self.parents.discard(self._get_mod_name(mod))  # type: ignore[no-untyped-call]


class _Recorder:
    """Knows the origin of the operator that is being traced, and writes it on each graph node."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.phase = "fwd"
        self.current: Origin | None = None
        self._root = type(model).__name__
        self._tracker: ModuleTracker | None = None  # while the first pass runs
        self._by_sequence: dict[int, Origin] = {}

    @contextlib.contextmanager
    def forward(self) -> Iterator[None]:
        with _ForwardTracker() as tracker:
            self._tracker = tracker
            yield
        self._tracker = None

    @contextlib.contextmanager
    def stamping(self) -> Iterator[None]:
        original = PythonKeyTracer.create_node
        recorder = self

        def create_node(self: PythonKeyTracer, kind: str, *args: Any, **kwargs: Any) -> Any:
            node = original(self, kind, *args, **kwargs)
            if kind == "call_function":
                node.meta["origin"] = recorder.origin()
            return node

        PythonKeyTracer.create_node = create_node  # type: ignore[method-assign]
        try:
            yield
        finally:
            PythonKeyTracer.create_node = original  # type: ignore[method-assign]

    def origin(self) -> Origin:
        if self.current is not None:
            return self.current
        if self._tracker is None:
            return Origin()
        if self.phase == "fwd":
            found = Origin(self._module_path(), "fwd", _user_line())
            # The autograd node of this operator took the number before the next one.
            # The first to see that number is its operator: others may create no autograd node.
            self._by_sequence.setdefault(torch._C._autograd._get_sequence_nr() - 1, found)
            return found
        node: Any = torch._C._current_autograd_node()  # None before the first backward node
        number = -1 if node is None else node._sequence_nr()
        forward = self._by_sequence.get(number, Origin())
        return Origin(forward.module, "bwd", forward.source)

    def _module_path(self) -> str:
        assert self._tracker is not None
        paths = [p for p in self._tracker.parents if p != "Global"]
        if not paths:
            return "loss"
        path = max(paths, key=lambda p: (p.count("."), len(p), p))
        root, _, rest = path.partition(".")
        return rest if root == self._root else "loss"


class _Replay(Interpreter):
    """Runs the first graph under the second trace and hands on each node's origin."""

    def __init__(self, graph: GraphModule, recorder: _Recorder) -> None:
        super().__init__(graph)
        self._recorder = recorder

    def run_node(self, n: torch.fx.Node) -> Any:
        self._recorder.current = n.meta.get("origin", Origin())
        return super().run_node(n)


def _user_line() -> str:
    """File, line and code of the innermost frame of the model's own code, if there is any."""
    for frame in reversed(traceback.extract_stack()):
        if frame.filename == __file__ and frame.name == "step":
            return ""  # from here outwards it is the code that asked for the capture
        if _is_user_code(frame):
            return _line_of(frame)
    return ""


def _is_user_code(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith((_TORCH, _HERE, _CONTEXTLIB, "<"))


def _line_of(frame: traceback.FrameSummary) -> str:
    code = frame.line or ""
    code = code if len(code) <= 60 else code[:57] + "..."
    return f"{Path(frame.filename).name}:{frame.lineno} `{code}`"


@contextlib.contextmanager
def _neutral_settings() -> Iterator[None]:
    """Hide the process's numeric settings from the trace and restore them afterwards."""
    default = torch.get_default_dtype()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)
    try:
        with (
            torch.inference_mode(False),
            torch.autocast("cpu", enabled=False),
            sdpa_kernel(SDPBackend.MATH),
            _without_mkldnn(),
        ):
            yield
    finally:
        torch.set_default_dtype(default)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@contextlib.contextmanager
def _without_mkldnn() -> Iterator[None]:
    """Keep fused oneDNN operators out of the graph; their TF32 warning is about other machines."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*TF32.*", category=UserWarning)
        with torch.backends.mkldnn.flags(enabled=False):
            yield
