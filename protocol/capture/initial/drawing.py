"""What each weight of a model was drawn from, noted while the model is made.

`drawing` watches torch's operators. A tensor's story is that of its memory: what it was filled
with, scaled by, copied from. The last whole filling counts; what is not understood (an orthogonal
matrix, a part drawn anew) makes the weight a given one, with its reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from protocol.capture.errors import CaptureError
from protocol.capture.initial.distributions import (
    READ,
    Constant,
    Distribution,
    Normal,
    Padded,
    TruncatedNormal,
    Uniform,
)

aten = torch.ops.aten


@dataclass(frozen=True)
class Story:
    """How memory came by its values.

    Attributes:
        distribution: what they were drawn from; None if that is not known.
        reason: then, why not.
        draw: number of the draw: copies of one draw have equal numbers.
    """

    distribution: Distribution | None
    reason: str = ""
    draw: int = -1


ELSEWHERE: Final = Story(None, "it was not made in the drawing block")


class Drawing:
    """The stories of what was made in a `drawing` block; ask when the block is left."""

    def __init__(self) -> None:
        self.is_open = True
        self._stories: dict[StorageWeakRef, Story] = {}
        self._prints: dict[StorageWeakRef, bytes] = {}
        self._draws = 0

    def story(self, tensor: torch.Tensor) -> Story:
        """How a tensor came by the values that it has now.

        Raises:
            CaptureError: the block has not been left yet.
        """
        if self.is_open:
            raise CaptureError(
                "a drawing was asked for what it saw while it was still watching; leave the "
                f"`with drawing()` block once the model is made {READ}"
            )
        ref = _ref(tensor)
        story = self._stories.get(ref, ELSEWHERE)
        if story.distribution is None:
            return story
        if not _is_whole(tensor) or tensor.dtype is not torch.float32:
            return Story(None, "it is a part of what was drawn, or of another type")
        if isinstance(story.distribution, Padded) and not tensor.is_contiguous():
            return Story(None, "its rows lie askew, so that the constant ones are not known")
        if _print_of(ref) != self._prints.get(ref):
            return Story(None, "it was changed after the drawing block")
        return story

    def stories(self, model: torch.nn.Module) -> dict[str, Story]:
        """The story of each parameter by name, tied ones once."""
        return {name: self.story(tensor) for name, tensor in model.named_parameters()}

    def report(self, model: torch.nn.Module) -> str:
        """A line for each parameter: what it is drawn from, or that it is given, and why."""
        lines = []
        for name, story in self.stories(model).items():
            if story.distribution is None:
                lines.append(f"{name}: given, {story.reason}")
            elif isinstance(story.distribution, Constant):
                lines.append(f"{name}: given, {story.distribution.value} everywhere")
            else:
                lines.append(f"{name}: drawn from {story.distribution}")
        return "\n".join(lines)

    def close(self) -> None:
        """Stop; what is changed from now on is noticed."""
        self.is_open = False
        for ref, story in self._stories.items():
            if story.distribution is not None:
                self._prints[ref] = _print_of(ref)

    # What the operators tell.

    def filled(self, tensor: torch.Tensor, distribution: Distribution | None) -> None:
        """A tensor was filled by a new draw, or with a constant; None for bounds that are none."""
        if not tensor.is_floating_point():
            return
        if distribution is None:
            self.lost(tensor, "it was drawn between bounds that are none")
        elif _is_whole(tensor):
            self._draws += 1
            self._stories[_ref(tensor)] = Story(distribution, draw=self._draws)
        elif isinstance(distribution, Constant):
            self._padded(tensor, distribution.value)
        else:
            self.lost(tensor, "a part of it was drawn on its own")

    def copied(self, tensor: torch.Tensor, source: torch.Tensor) -> None:
        """A tensor got the values of another one."""
        story = self._stories.get(_ref(source))
        value = None if tensor.numel() == 1 else _number(source)
        if value is not None:
            self.filled(tensor, Constant(value) if math.isfinite(value) else None)
        elif story is None or not (_is_whole(tensor) and _is_whole(source)):
            self.lost(tensor, "it was copied from values that were not drawn in the block")
        elif tensor.shape == source.shape:
            self._stories[_ref(tensor)] = story
        else:
            self.lost(tensor, "it was copied from values of another shape")

    def moved(
        self, tensor: torch.Tensor, source: torch.Tensor, factor: float, shift: float
    ) -> None:
        """A tensor became ``factor`` times another one, or itself, plus ``shift``."""
        story = self._stories.get(_ref(source), Story(None, "it was computed"))
        known = story.distribution
        if known is None or isinstance(known, Padded) or not _is_whole(source):
            self.lost(tensor, story.reason or "a part of it was computed")
            return
        try:
            changed = known.moved(factor, shift)
        except CaptureError:
            self.lost(tensor, f"{known} was scaled beyond what can be drawn")
            return
        if _is_whole(tensor) and tensor.shape == source.shape:
            self._stories[_ref(tensor)] = replace(story, distribution=changed)
        else:
            self.lost(tensor, "a part of it was computed")

    def lost(self, tensor: torch.Tensor, reason: str) -> None:
        """A tensor was written by something that is not understood."""
        if tensor.is_floating_point():
            self._stories[_ref(tensor)] = Story(None, reason)

    def _padded(self, tensor: torch.Tensor, value: float) -> None:
        ref = _ref(tensor)
        story = self._stories.get(ref, Story(None, "a part of it was filled"))
        known, start = story.distribution, int(tensor.storage_offset())
        stop = start + tensor.numel()
        if known == Constant(value) or tensor.numel() == 0:
            return
        if isinstance(known, Padded) and (known.start, known.stop) == (start, stop):
            known = known.drawn
        if isinstance(known, Uniform | Normal | TruncatedNormal) and tensor.is_contiguous():
            self._stories[ref] = replace(story, distribution=Padded(known, start, stop, value))
        else:
            self.lost(tensor, story.reason or "several parts of it were filled")


@contextlib.contextmanager
def drawing() -> Iterator[Drawing]:
    """Note what each tensor that is made in the block is drawn from.

    with drawing() as drawn:
        model = GPT2LMHeadModel(config)
    task_from(model, ..., drawn=drawn)
    """
    drawn = Drawing()
    try:
        with _watched_cuts(drawn), _Watch(drawn):
            yield drawn
    finally:
        drawn.close()


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells a `Drawing` of every operator that makes or changes a tensor."""

    def __init__(self, drawn: Drawing) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._drawn = drawn

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = _arguments(func, args, kwargs)
        written = [
            value
            for argument, value in zip(func._schema.arguments, given, strict=True)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        tensors = [t for t in _flat(written) if isinstance(t, torch.Tensor)]
        if not tensors and any(r.alias_info is not None for r in func._schema.returns):
            return result  # a view: the memory's story goes on
        tensors = tensors or [t for t in _flat([result]) if isinstance(t, torch.Tensor)]
        rule = _RULES.get(func.overloadpacket)
        for tensor in tensors:
            if rule is None or len(tensors) > 1 or not rule(self._drawn, tensor, given):
                self._drawn.lost(tensor, f"it was computed by {func}")
        return result


@contextlib.contextmanager
def _watched_cuts(drawn: Drawing) -> Iterator[None]:
    """A cut-off normal is drawn again and again until it fits: only the whole makes sense."""
    name = "_no_grad_trunc_normal_"
    original: Callable[..., torch.Tensor] = getattr(torch.nn.init, name)

    def cut(
        tensor: torch.Tensor, mean: float, std: float, a: float, b: float, generator: Any = None
    ) -> torch.Tensor:
        result = original(tensor, mean, std, a, b, generator=generator)
        try:
            drawn.filled(tensor, TruncatedNormal(float(mean), float(std), float(a), float(b)))
        except CaptureError:
            drawn.filled(tensor, None)
        return result

    setattr(torch.nn.init, name, cut)
    try:
        yield
    finally:
        setattr(torch.nn.init, name, original)


# One rule per operator: whether it understood what the operator did to the tensor.

_Rule = Callable[[Drawing, torch.Tensor, list[Any]], bool]


def _fill(of: Callable[..., Distribution], *places: int) -> _Rule:
    """A filling with what ``of`` makes of the arguments at ``places``."""

    def rule(drawn: Drawing, tensor: torch.Tensor, given: list[Any]) -> bool:
        values = [_number(given[place]) for place in places]
        if any(value is None for value in values):
            return False
        try:
            drawn.filled(tensor, of(*values))
        except CaptureError:
            drawn.filled(tensor, None)
        return True

    return rule


def _move(of: Callable[..., tuple[float, float]], *places: int) -> _Rule:
    """The first argument times a factor plus a shift."""

    def rule(drawn: Drawing, tensor: torch.Tensor, given: list[Any]) -> bool:
        values = [_number(given[place]) for place in places]
        if any(value is None for value in values) or not isinstance(given[0], torch.Tensor):
            return False
        factor, shift = of(*values)
        if not math.isfinite(factor) or not math.isfinite(shift):
            return False
        drawn.moved(tensor, given[0], factor, shift)
        return True

    return rule


def _copy(place: int) -> _Rule:
    def rule(drawn: Drawing, tensor: torch.Tensor, given: list[Any]) -> bool:
        drawn.copied(tensor, given[place])
        return True

    return rule


def _keep(*_: Any) -> bool:
    """The memory's story is as it was."""
    return True


def _normal(mean: float, std: float) -> Distribution:
    return Normal(mean, std) if std else Constant(mean)


def _uniform(low: float, high: float) -> Distribution:
    return Uniform(low, high) if low < high else Constant(low)


_ZERO, _ONE = _fill(lambda: Constant(0.0)), _fill(lambda: Constant(1.0))
_RULES: Mapping[Any, _Rule] = {
    aten.normal_: _fill(_normal, 1, 2),
    aten.normal_functional: _fill(_normal, 1, 2),
    aten.normal: _fill(_normal, 0, 1),
    aten.uniform_: _fill(_uniform, 1, 2),
    aten.randn: _fill(Normal),
    aten.randn_like: _fill(Normal),
    aten.rand: _fill(lambda: Uniform(0.0, 1.0)),
    aten.rand_like: _fill(lambda: Uniform(0.0, 1.0)),
    aten.fill_: _fill(Constant, 1),
    aten.full: _fill(Constant, 1),
    aten.full_like: _fill(Constant, 1),
    aten.new_full: _fill(Constant, 2),
    **dict.fromkeys((aten.zero_, aten.zeros, aten.zeros_like, aten.new_zeros), _ZERO),
    **dict.fromkeys((aten.ones, aten.ones_like, aten.new_ones), _ONE),
    **dict.fromkeys((aten.mul, aten.mul_), _move(lambda factor: (factor, 0.0), 1)),
    **dict.fromkeys((aten.div, aten.div_), _move(lambda by: (1 / by if by else math.inf, 0.0), 1)),
    **dict.fromkeys((aten.add, aten.add_), _move(lambda other, alpha: (1.0, other * alpha), 1, 2)),
    **dict.fromkeys((aten.sub, aten.sub_), _move(lambda other, alpha: (1.0, -other * alpha), 1, 2)),
    **dict.fromkeys((aten.neg, aten.neg_), _move(lambda: (-1.0, 0.0))),
    aten.copy_: _copy(1),
    **dict.fromkeys((aten.clone, aten.lift_fresh_copy), _copy(0)),
    **dict.fromkeys((aten.lift_fresh, aten.set_), _keep),
}


def _arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """One value per argument of the schema, defaults filled in."""
    return [
        args[at] if at < len(args) else kwargs.get(argument.name, argument.default_value)
        for at, argument in enumerate(func._schema.arguments)
    ]


def _number(value: Any) -> float | None:
    """A number of Python, or a tensor without dimensions that holds one."""
    if isinstance(value, torch.Tensor):
        is_plain = type(value) in (torch.Tensor, torch.nn.Parameter) and not value.is_meta
        return float(value) if is_plain and value.dim() == 0 else None
    return float(value) if isinstance(value, int | float) else None


def _flat(values: Any) -> list[Any]:
    if isinstance(values, list | tuple):
        return [each for value in values for each in _flat(value)]
    return [values]


def _ref(tensor: torch.Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _is_whole(tensor: torch.Tensor) -> bool:
    """Is every element of the memory one of the tensor's, once?"""
    step = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride != step:
            return False
        step *= size
    return step * tensor.element_size() == tensor.untyped_storage().nbytes()


def _print_of(ref: StorageWeakRef) -> bytes:
    """A hash of the memory's bytes; nothing if it is gone."""
    storage: Any = torch.UntypedStorage._new_with_weak_ptr(ref.cdata)
    if storage is None or storage.device.type != "cpu":
        return b""
    held = torch.empty(0, dtype=torch.uint8).set_(storage)
    return hashlib.blake2b(held.numpy().data, digest_size=16).digest()
