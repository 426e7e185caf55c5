"""Initial weights that the program draws itself, from the seed of the task.

The state before the first step is committed before anything runs, so a drawn parameter begins as
zeros there. Two nodes go before everything else of the step: one draws, the other takes what is
drawn at step 0 and the state later; that is the parameter wherever the step reads it. The first
node reads the step counter as an index into one element, marked `skip`: from step 1 on all of its
terms are skipped, so that nothing is computed, and the second does not read it either.

An element's word is that of Philox4x32-10 at counter (element, 0, high word of the seed, 1) under
key (low word of the seed, number of the draw). Dropout has 0 in place of the 1, so no word is used
twice. A draw's number is the position of its parameter among those of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

import numpy as np
import torch

from protocol.capture.assembly import STEP, Assembly
from protocol.capture.captured import MODEL_PREFIX, Captured, Tensors
from protocol.capture.errors import CaptureError, Origin
from protocol.capture.initial.distributions import (
    READ,
    Constant,
    Distribution,
    Drawn,
    Padded,
)
from protocol.capture.initial.drawing import ELSEWHERE, Drawing
from protocol.capture.updates.updating import AVERAGE_PREFIX
from protocol.capture.writing.values import Lazy, View, contiguous_strides
from protocol.capture.writing.writer import Writer
from protocol.program import philox
from protocol.program.builder import Affine, FoldBuilder
from protocol.program.isa import WORD_MASK, DType
from protocol.program.node import LOADED_WORD, Node, OperandKind, Program, numel

STREAM: Final = 1
"""Last word of the counter; that of dropout and noise is 0."""

DRAW, CHOICE = "draw", "drawn or state"
"""Names of the two nodes of a parameter, in their origins."""

Asked = Mapping[str, Distribution] | Drawing


@dataclass(frozen=True)
class Draw:
    """A parameter's distribution and the number of its draw."""

    name: str
    distribution: Drawn
    number: int


@dataclass(frozen=True)
class Initial:
    """What the parameters begin with, as far as they do not keep what they were given."""

    draws: tuple[Draw, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)

    def started(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tensors of a model as they are committed: zeros for what is drawn."""
        started = dict(tensors)
        for name in [draw.name for draw in self.draws]:
            started[name] = np.zeros_like(tensors[name])
        for name, value in self.constants.items():
            started[name] = np.full_like(tensors[name], value)
        return started

    def write(self, assembly: Assembly) -> dict[str, Lazy]:
        """Write the draws, and let them stand for the parameters.

        Returns:
            The moving averages of drawn parameters by name, which begin with what is drawn.
        """
        averages = {}
        for draw in self.draws:
            state = assembly.state_view(MODEL_PREFIX + draw.name)
            drawn = _write_draw(assembly.writer, draw, state.shape)
            chosen = _write_choice(assembly.writer, draw.name, drawn, state)
            assembly.stand_for(MODEL_PREFIX + draw.name, chosen)
            if assembly.has_state(AVERAGE_PREFIX + draw.name):
                average = assembly.state_view(AVERAGE_PREFIX + draw.name)
                averages[draw.name] = _first_else(assembly.writer, draw.name, chosen, average)
        return averages


def initial_of(model: torch.nn.Module, drawn: Asked | None) -> Initial:
    """What was asked for, per parameter of ``model``.

    Raises:
        CaptureError: a pattern that fits no parameter, a distribution that does not suit one.
    """
    names = [name for name, _ in model.named_parameters()]
    if drawn is None:
        return Initial()
    if isinstance(drawn, Drawing):
        return _noted(model, drawn)
    if not isinstance(drawn, Mapping):
        raise CaptureError(
            f"drawn is a {type(drawn).__name__}; give distributions by pattern of names, such as "
            f'{{"*.weight": Normal(std=0.02)}}, or what `with drawing() as drawn` gave {READ}'
        )
    asked = _by_name(model, drawn)
    return Initial(
        tuple(
            Draw(name, asked[name], number)  # type: ignore[arg-type]
            for number, name in enumerate(names)
            if isinstance(asked.get(name), Drawn)
        ),
        {name: d.value for name, d in asked.items() if isinstance(d, Constant)},
    )


def _noted(model: torch.nn.Module, drawn: Drawing) -> Initial:
    """The draws that were seen; copies of one have the number of the first."""
    stories = drawn.stories(model)
    if stories and all(story is ELSEWHERE for story in stories.values()):
        raise CaptureError(
            f"none of the model's {len(stories)} parameters was made in the drawing block; make "
            "the model that is captured inside `with drawing() as drawn`, and do not copy it "
            f"afterwards {READ}"
        )
    first: dict[int, int] = {}
    draws = []
    for number, (name, story) in enumerate(stories.items()):
        if isinstance(story.distribution, Drawn):
            draws.append(Draw(name, story.distribution, first.setdefault(story.draw, number)))
    return Initial(tuple(draws))


def _by_name(
    model: torch.nn.Module, patterns: Mapping[str, Distribution]
) -> dict[str, Distribution]:
    """The distribution of each parameter that a pattern fits; the last that fits it counts."""
    own = {id(parameter): name for name, parameter in model.named_parameters()}
    everything = dict(model.named_parameters(remove_duplicate=False))
    found: dict[str, Distribution] = {}
    for pattern, distribution in patterns.items():
        if not isinstance(distribution, Drawn | Constant):
            raise CaptureError(
                f"drawn[{pattern!r}] is {distribution!r}; give one of Uniform, Normal, "
                f"TruncatedNormal, Padded, Constant {READ}"
            )
        fitting = [name for name in everything if fnmatchcase(name, pattern)]
        if not fitting:
            few = ", ".join(list(everything)[:3])
            raise CaptureError(
                f"drawn[{pattern!r}] fits none of the model's {len(everything)} parameters, "
                f"which are {few} and so on; correct the pattern (* stands for any letters) {READ}"
            )
        for name in fitting:
            _check(name, everything[name], distribution)
            found[own[id(everything[name])]] = distribution
    return found


def _check(name: str, parameter: torch.nn.Parameter, distribution: Distribution) -> None:
    if parameter.dtype is not torch.float32:
        raise CaptureError(
            f"parameter {name} is {parameter.dtype}, and only torch.float32 can be drawn; convert "
            f"it with .float(), or let no pattern of drawn fit it {READ}"
        )
    if isinstance(distribution, Padded) and distribution.stop > parameter.numel():
        raise CaptureError(
            f"parameter {name} has {parameter.numel()} elements, but {distribution} has constant "
            f"ones up to {distribution.stop}; correct its start and stop {READ}"
        )


def _write_draw(writer: Writer, draw: Draw, shape: tuple[int, ...]) -> View:
    """f32 [elements]: the numbers drawn; at every step but the first all terms are skipped."""
    b = FoldBuilder(DType.F32, (numel(shape),))
    step = writer.step.load(b, [])
    b.load(writer.step.operand, [b.word_of(step).axis(1, 1)], skip=True)
    counter = (b.flat_position(), 0, writer.seed >> 32, STREAM)
    words = philox.philox_words(b, counter, (writer.seed & WORD_MASK, draw.number))
    drawn = draw.distribution.emit(b, words[0])
    return writer.add(b.finish(drawn), Origin(draw.name, "init"), DRAW)


def _write_choice(writer: Writer, name: str, drawn: View, state: View) -> View:
    """What is drawn at step 0, the state later: then the other is out of bounds, and not read."""
    b = FoldBuilder(DType.F32, state.shape)
    step = writer.step.load(b, [])
    place = Affine()
    for i, stride in enumerate(contiguous_strides(state.shape)):
        place = place + b.out(i) * stride
    is_first = b.word_of(step).axis(1, 1)
    first = b.load(drawn.operand, [place.axis(numel(state.shape), 1), is_first])
    later = state.load(b, [b.out(i) for i in range(len(state.shape))])
    chosen = b.select(b.ieq(step, b.i32(0)), first, later)
    return writer.add(b.finish(chosen), Origin(name, "init"), CHOICE)


def _first_else(writer: Writer, name: str, first: View, later: View) -> Lazy:
    """``first`` at step 0, then ``later``; it costs its reader a load."""
    return Lazy(
        later.shape,
        DType.F32,
        lambda b, v: b.select(b.ieq(v[0], b.i32(0)), v[1], v[2]),
        (writer.step, first, later),
        Origin(name, "init"),
        CHOICE,
    )


# Back from the program.


def initial_state(captured: Captured) -> Tensors:
    """The state before the first step with what the program draws in place: for ``load_into``.

    So stock PyTorch starts from the weights that the captured run starts from.
    """
    drawn = drawn_values(captured)
    averages = {
        AVERAGE_PREFIX + name.removeprefix(MODEL_PREFIX): array for name, array in drawn.items()
    }
    return [
        (name, drawn.get(name, averages.get(name, array)).copy()) for name, array in captured.state
    ]


def drawn_values(captured: Captured) -> dict[str, np.ndarray]:
    """What the program draws at step 0, by name of the state tensor, such as ``model.0.weight``.

    The nodes that draw are found in the program, and run.
    """
    from protocol.kernels.executor import Executor

    names = [name for name, _ in captured.state]
    step = captured.state[names.index(STEP)][1]
    executor = Executor()
    found = {}
    for slot, node in drawing_nodes(captured.program, names.index(STEP)):
        array = captured.state[slot][1]
        found[names[slot]] = executor.run(captured.program.nodes[node], [step]).reshape(array.shape)
    return found


def drawing_nodes(program: Program, step: int) -> Iterator[tuple[int, int]]:
    """(state tensor, node that draws it) for each drawn parameter; ``step`` is the counter's slot.

    Told from the nodes alone: one reads both the state tensor and what is drawn once.
    """
    draws = {k for k, node in enumerate(program.nodes) if _draws_once(node, step)}
    for node in program.nodes:
        states = [o for o in node.operands if o.kind is OperandKind.STATE and o.index != step]
        drawn = [o for o in node.operands if o.kind is OperandKind.NODE and o.index in draws]
        if len(states) == len(drawn) == 1:
            yield states[0].index, drawn[0].index


def _draws_once(node: Node, step: int) -> bool:
    counter = (OperandKind.STATE, step)
    if [(o.kind, o.index) for o in node.operands] != [counter] or node.dtype is not DType.F32:
        return False
    terms = [t for load in node.loads if load.skip for axis in load.axes for t in axis.terms]
    return any(term.source & LOADED_WORD for term in terms)
