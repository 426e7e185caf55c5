"""From a causal language model and prompts to a task that continues them greedily.

A step takes one token of each row of a batch: step s works on prompts ``B * (s // L)`` and on, at
position ``s % L``, where L is the longest prompt and its new tokens, but for the last. The state
tensor ``outputs.tokens`` begins as the prompts; a step reads its tokens there and, where a row goes
on, writes the next one. Keys and values are state, the weights are data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from protocol.capture.assembly import Assembly, check_counts, tensors_of
from protocol.capture.captured import MODEL_PREFIX, OUTPUT_PREFIX, Captured, outputs_of
from protocol.capture.errors import CaptureError, Origin
from protocol.capture.inference.caches import CACHE_PREFIX, KeyValueCache, by_layer, flat
from protocol.capture.inference.decoders import as_tuple, decoder_of
from protocol.capture.inference.prompts import Prompts
from protocol.capture.lowering.graph import lower_graph
from protocol.capture.tracing.trace import ForwardGraph, trace_forward
from protocol.capture.writing.values import View
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType

TOKENS: Final = OUTPUT_PREFIX + "tokens"
LENGTHS: Final = OUTPUT_PREFIX + "lengths"
PROMPT_LENGTHS: Final = "prompts.lengths"

_CHOSEN, _TOKEN, _POSITION = "chosen", "token", "position"


def decode_from(
    model: torch.nn.Module,
    prompts: Any,
    *,
    new_tokens: int,
    batch_size: int,
    end_token: int | Sequence[int] | None = None,
    pad_token: int | None = None,
    interval: int | None = None,
    seed: int = 0,
    name: str = "decoding",
) -> Captured:
    """Capture greedy decoding: to each prompt, ``new_tokens`` times the likeliest next token.

    ``model`` is a causal language model of transformers, or a module with ``forward(tokens,
    cache)`` (see ``decoders``), in eval mode; it is not changed. ``prompts`` are lists of token
    numbers, an array of them, or what a tokenizer returns. ``batch_size`` prompts are decoded side
    by side, none sees another. A row ends after ``end_token``, one or several; by default those of
    the model's generation config, and none with ``()``. What follows stays ``pad_token``, by
    default the model's, else the first end token or 0. Of equal scores the first word is taken.

    The final state holds ``outputs.tokens`` and ``outputs.lengths``; see `sequences_of`.

    Raises UnsupportedOperator or UnsupportedDtype with the place and what to do about it, and
    CaptureError for prompts and models that cannot be decoded.
    """
    rows = Prompts.of(prompts)
    check_counts(seed, None, steps=1, batch_size=batch_size, new_tokens=new_tokens)
    decoder = decoder_of(model)
    ends = decoder.own_tokens("eos") if end_token is None else as_tuple(end_token)
    length = rows.longest + new_tokens - 1
    plan = _Plan(batch_size, length, new_tokens, ends, len(rows.rows))
    check_counts(seed, interval, steps=plan.steps)
    tensors = tensors_of(model)
    pads = (pad_token,) if pad_token is not None else (*decoder.own_tokens("pad"), *ends, 0)
    highest = max(int(row.max()) for row in rows.rows)
    decoder.check(highest, plan.length)
    caches = flat(decoder.shapes(highest, plan.length, batch_size))

    def compute(
        forward: Callable[..., Any], fed: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        stored = by_layer({n: t for n, t in fed.items() if n.startswith(CACHE_PREFIX)})
        cache = KeyValueCache(fed[_POSITION], plan.length, stored)
        scores = decoder.scores(forward, fed[_TOKEN], cache)
        return {_CHOSEN: scores.argmax(-1), **flat(cache.written)}

    token = torch.zeros((batch_size, 1), dtype=torch.int64)
    position = torch.zeros((), dtype=torch.int64)
    graph = trace_forward(model, compute, {_TOKEN: token, _POSITION: position, **caches})
    decoding = _Decoding(plan, graph, tensors, seed)
    decoding.add_outputs(rows.table(plan.length + 1, pads[0]), rows.lengths())
    for cache_name, zeros in caches.items():
        decoding.assembly.add_state(cache_name, zeros.numpy())
    return decoding.assembly.finish(
        decoding.write(list(caches)),
        name=name,
        steps=plan.steps,
        interval=interval,
        batch_size=batch_size,
    )


def sequences_of(state: Iterable[tuple[str, np.ndarray]]) -> list[np.ndarray]:
    """Prompts with what follows them, each i32 [its length], out of a final state.

    Names are those of ``Captured.state``. CaptureError for the state of another kind of task.
    """
    outputs = outputs_of(state)
    wanted = (TOKENS.removeprefix(OUTPUT_PREFIX), LENGTHS.removeprefix(OUTPUT_PREFIX))
    if not all(name in outputs for name in wanted):
        raise CaptureError(
            f"the state has the outputs {', '.join(outputs)}, expected {' and '.join(wanted)}; "
            "give the final state of a task that decode_from made (docs/CAPTURE.md, Decoding)"
        )
    tokens, lengths = (outputs[name] for name in wanted)
    return [row[:length].copy() for row, length in zip(tokens, lengths.tolist(), strict=True)]


@dataclass(frozen=True)
class _Plan:
    """How a run is laid out.

    Attributes:
        batch: Prompts side by side.
        length: Positions at which something is decoded; steps for each batch.
        new_tokens: At most, for each prompt.
        ends: Tokens after which a row ends.
        prompts: How many.
    """

    batch: int
    length: int
    new_tokens: int
    ends: tuple[int, ...]
    prompts: int

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return -(-self.prompts // self.batch) * self.length


class _Decoding:
    """What decoding adds to an assembly."""

    def __init__(
        self, plan: _Plan, graph: ForwardGraph, tensors: dict[str, np.ndarray], seed: int
    ) -> None:
        self.plan, self.graph = plan, graph
        changed = [(MODEL_PREFIX + n, tensors[n]) for n in graph.changed]
        self.assembly = Assembly(seed, changed)
        self.model = [
            self.assembly.state_view(MODEL_PREFIX + n)
            if n in graph.changed
            else self.assembly.add_data(MODEL_PREFIX + n, tensors[n])
            for n in (*graph.parameters, *graph.buffers)
        ]
        writer = self.assembly.writer
        self.writer = writer
        b = FoldBuilder(DType.I32, ())
        at = b.irem(writer.step.load(b, []), b.i32(plan.length))
        self.position = writer.add(b.finish(at), Origin(_POSITION, "fwd"), "step % length")
        b = FoldBuilder(DType.I32, ())
        batch = b.idiv(writer.step.load(b, []), b.i32(plan.length))
        first = b.imul(batch, b.i32(plan.batch))
        self.first = writer.add(b.finish(first), Origin("prompts", "fwd"), "first of the batch")

    def add_outputs(self, table: np.ndarray, lengths: np.ndarray) -> None:
        """The tokens, which begin as the prompts, and how many of each row are no padding."""
        self.assembly.add_state(TOKENS, table)
        self.assembly.add_state(LENGTHS, lengths)
        self.assembly.add_data(PROMPT_LENGTHS, lengths)

    def write(self, caches: list[str]) -> dict[str, View]:
        """Write the step; the new state tensors by name."""
        assembly, writer, graph = self.assembly, self.writer, self.graph
        token = self._token()
        fed = [token, self.position, *(assembly.state_view(name) for name in caches)]
        said = lower_graph(graph.module, [*self.model, *fed], writer, assembly.commit)
        chosen = writer.view(said[0])
        grows = self._grows(token)
        new = {
            TOKENS: self._tokens(chosen, grows),
            LENGTHS: self._lengths(grows),
        }
        kept = [*caches, *(MODEL_PREFIX + n for n in graph.buffers)]
        for name, value in zip(kept, said[1:], strict=True):
            if (
                not name.startswith(MODEL_PREFIX)
                or name.removeprefix(MODEL_PREFIX) in graph.changed
            ):
                old = assembly.state_view(name)
                new[name] = writer.stored(value, old.dtype, old.shape, Origin(name))
        return new

    def _token(self) -> View:
        """i32 [batch, 1]: the tokens at this step's position; 0 in rows beyond the prompts."""
        b = FoldBuilder(DType.I32, (self.plan.batch, 1))
        row = b.out(0) + b.word_of(self.first.load(b, []))
        tokens = self.assembly.state_view(TOKENS)
        value = tokens.load(b, [row, b.word_of(self.position.load(b, []))])
        return self.writer.add(b.finish(value), Origin(_TOKEN, "fwd"), "batch")

    def _grows(self, token: View) -> View:
        """i32 [batch]: 1 where the step's choice is the row's next token.

        So it is where the token at hand is the row's last, is not one that ends it (ends in a
        prompt do not count), and the row is not full.
        """
        b = FoldBuilder(DType.I32, (self.plan.batch,))
        row = b.out(0) + b.word_of(self.first.load(b, []))
        count = b.iadd(self.position.load(b, []), b.i32(1))
        length = self.assembly.state_view(LENGTHS).load(b, [row])
        own = self.assembly.data_view(PROMPT_LENGTHS).load(b, [row])
        full = b.iadd(own, b.i32(self.plan.new_tokens))
        grows = b.iand(b.ieq(length, count), b.ilt(count, full))
        if self.plan.ends:
            at_hand = token.load(b, [b.out(0), b.out(0) * 0])
            ended = b.ieq(at_hand, b.i32(self.plan.ends[0]))
            for end in self.plan.ends[1:]:
                ended = b.ior(ended, b.ieq(at_hand, b.i32(end)))
            grows = b.iand(grows, b.not_(b.iand(ended, b.ilt(own, count))))
        return self.writer.add(b.finish(grows), Origin(LENGTHS, "fwd"), "goes on")

    def _tokens(self, chosen: View, grows: View) -> View:
        """The tokens with those chosen in the next place of rows that go on."""
        old = self.assembly.state_view(TOKENS)
        b = FoldBuilder(DType.I32, old.shape)
        row = b.out(0) + b.word_of(self.first.load(b, [])) * -1
        place = b.iadd(self.position.load(b, []), b.i32(1))
        here = b.iand(grows.load(b, [row]), b.ieq(b.coordinate(1), place))
        value = b.select(here, chosen.load(b, [row]), old.load(b, [b.out(0), b.out(1)]))
        return self.writer.add(b.finish(value), Origin(TOKENS, "fwd"), "rows")

    def _lengths(self, grows: View) -> View:
        """The lengths, one more in rows that go on."""
        old = self.assembly.state_view(LENGTHS)
        b = FoldBuilder(DType.I32, old.shape)
        row = b.out(0) + b.word_of(self.first.load(b, [])) * -1
        value = b.iadd(old.load(b, [b.out(0)]), grows.load(b, [row]))
        return self.writer.add(b.finish(value), Origin(LENGTHS, "fwd"), "rows")
