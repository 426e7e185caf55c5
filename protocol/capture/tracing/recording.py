"""Where the operators of a trace come from, and what is refused while it runs.

Forward operators have the origin of the module that runs, backward ones that of the operator which
created their autograd node: the sequence number ties the two together.
"""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorDeviceMismatchError,
)
from torch.fx.experimental.proxy_tensor import PythonKeyTracer
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.utils.module_tracker import ModuleTracker

from protocol.capture.errors import Origin, UnsupportedOperator

_TORCH = str(Path(torch.__file__).parent)
_HERE = str(Path(__file__).parents[1])
_TRACE = str(Path(__file__).with_name("trace.py"))
_CONTEXTLIB = contextlib.__file__


@contextlib.contextmanager
def refusing(recorder: Recorder) -> Iterator[None]:
    """Fake tensors have no values and no devices: what would need them is refused with its line."""
    try:
        yield
    except (
        DataDependentOutputException,
        DynamicOutputShapeException,
        FakeTensorDeviceMismatchError,
        RuntimeError,  # GuardOnDataDependentSymNode too
    ) as error:
        found = _operator_and_advice(error)
        if found is None:
            raise
        operator, advice = found
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_user_code(f)]
        place = recorder.origin()
        origin = Origin(place.module, place.phase, _line_of(frames[-1]) if frames else place.source)
        raise UnsupportedOperator(operator, origin, advice) from error


def _operator_and_advice(error: Exception) -> tuple[str, str] | None:
    """What cannot run without values or devices, and what to do; None for any other error."""
    text = str(error)
    if isinstance(error, FakeTensorDeviceMismatchError):
        kinds = "cpu, cuda, meta and the like"
        return f"on tensors of two devices ({kinds})", (
            "a program has no devices, and the model is traced on the processor; make new tensors "
            "with device=x.device"
        )
    if ".numpy() is not supported" in text:
        return "Tensor.numpy", (
            "NumPy's numbers would be those of one batch for ever; compute it with torch"
        )
    named = (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)
    unknown = r"\bu\d+\b|data is not allocated"  # u0 is such a size
    if not isinstance(error, named) and re.search(unknown, text) is None:
        return None
    advice = "the step would depend on the values of data; use torch.where or a mask instead"
    return str(getattr(error, "func", "bool, int or .item() of a tensor")), advice


class _ForwardTracker(ModuleTracker):
    """Follows modules forwards only: hooks for the way back refuse a parameter as an input."""

    def _fw_pre_hook(self, mod: torch.nn.Module, _: Any) -> None:
        self.parents.add(self._get_mod_name(mod))  # type: ignore[no-untyped-call]

    def _fw_post_hook(self, mod: torch.nn.Module, _: Any, __: Any) -> None:
        self.parents.discard(self._get_mod_name(mod))  # type: ignore[no-untyped-call]


class Recorder:
    """Knows the origin of the operator that is being traced, and writes it on each graph node."""

    def __init__(self, model: torch.nn.Module, outside: str = "loss") -> None:
        """``outside`` is what is told of operators that no module of the model runs."""
        self.phase = "fwd"
        self._outside = outside
        self.current: Origin | None = None
        self._root = type(model).__name__
        self._tracker: ModuleTracker | None = None  # while the first pass runs
        self._by_sequence: dict[int, Origin] = {}

    @contextlib.contextmanager
    def forward(self) -> Iterator[None]:
        """While the first pass runs the model."""
        self.phase = "fwd"
        with _ForwardTracker() as tracker:
            self._tracker = tracker
            yield
        self._tracker = None

    @contextlib.contextmanager
    def stamping(self) -> Iterator[None]:
        """While it lasts, each node of a graph that is traced gets the present origin."""
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
        """The origin of the operator that runs now."""
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
        paths = [p for p in self._tracker.parents if p.partition(".")[0] == self._root]
        if not paths:
            return self._outside
        path = max(paths, key=lambda p: (p.count("."), len(p), p))
        return path.partition(".")[2]


def _user_line() -> str:
    """File, line and code of the innermost frame of the model's own code, if there is any."""
    for frame in reversed(traceback.extract_stack()):
        if frame.filename == _TRACE and frame.name == "step":
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
