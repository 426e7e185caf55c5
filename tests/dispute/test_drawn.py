"""Who starts from other weights than the program draws, or draws again, is convicted.

Each cheat is convicted by what it can be accused of: the arithmetic of the term that draws, or the
load of the step counter, if it says that the step is another one. The same accusation of an honest
solver fails, also at a later step, where the term is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.initial.distributions import Normal, Padded, TruncatedNormal, Uniform
from protocol.capture.initial.starting import CHOICE, DRAW, drawn_values
from protocol.capture.task import task_from
from protocol.dispute.state import DisputeState
from protocol.kernels import Executor
from protocol.kernels.executor import Compiled
from protocol.training import Task
from protocol.training.hooks import Hooks
from protocol.training.replay import Replay
from protocol.training.tensors import Tensor
from tests.dispute.charges import Case, Way
from tests.dispute.games import CHALLENGER, CLAIM, EVERYTHING, Game, facts_of
from tests.dispute.judgements import Metered, judge
from tests.dispute.market_gas import market_gas

GAS_CAP = 400_000
STEPS, AGAIN, INTERVAL = 7, 5, 2
KINDS = (f"{DRAW} (init)", f"{CHOICE} (init)")
DRAWN = {
    "words.weight": Padded(Normal(), 4, 8),
    "out.weight": TruncatedNormal(0.0, 0.5, -1.0, 1.0),
    "out.bias": Uniform(-0.5, 0.5),
}


class Words(nn.Module):
    """A word's vector, and what follows from it; the vectors are frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.words.weight.requires_grad_(False)
        self.out = nn.Linear(4, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch,) words to (batch, words) logits."""
        return self.out(self.words(x))


@cache
def captured(seed: int = 7, steps: int = STEPS) -> Captured:
    with torch.random.fork_rng(devices=[]):
        model = Words()
    words = np.random.default_rng(0).integers(0, 7, 12)
    return task_from(
        model,
        nn.functional.cross_entropy,
        torch.optim.AdamW(model.out.parameters(), lr=0.01),
        (words, (words + 1) % 7),
        steps=steps,
        interval=min(INTERVAL, steps),
        batch_size=4,
        seed=seed,
        ema=0.9,
        drawn=DRAWN,
    )


@cache
def task(steps: int = STEPS) -> Task:
    return Task.create(**captured(steps=steps).parts())


def nodes(kind: str) -> dict[str, int]:
    """The node of a kind for each drawn parameter."""
    end = f": {kind} (init)"
    origins = task().manifest.origins
    return {o.removesuffix(end): k for k, o in enumerate(origins) if o.endswith(end)}


@dataclass(frozen=True)
class Cheat(Hooks):
    """Outputs of some nodes in one step, and the words that its folds claim to have loaded.

    Attributes:
        outputs: by node, flat.
        words: of the loads of these nodes' folds, where they are not the true ones.
    """

    step: int
    outputs: dict[int, NDArray[np.float32]]
    words: tuple[int, ...] | None = None

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        """What the cheat says that the node made."""
        if step != self.step or node not in self.outputs:
            return output
        return self.outputs[node].reshape(output.shape)

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        """The fold that ends at what it says."""
        if step != self.step or node not in self.outputs:
            return rows
        rows = rows.copy()
        rows[-1, 0] = self.outputs[node].view(np.uint32)[element]
        if self.words is not None and len(self.words) == rows.shape[1] - 1:
            rows[-1, 1:] = self.words
        return rows


def flat_draws(seed: int = 7) -> dict[str, NDArray[np.float32]]:
    values = drawn_values(captured(seed))
    return {name.removeprefix("model."): array.reshape(-1) for name, array in values.items()}


def other_seed() -> Cheat:
    """Starts from what another seed draws."""
    draws = flat_draws(8)
    return Cheat(0, {node: draws[name] for name, node in nodes(DRAW).items()})


def zeros(words: tuple[int, ...] | None) -> Cheat:
    """Keeps what is committed, as if the first step were a later one."""
    draws = flat_draws()
    return Cheat(0, {k: np.zeros_like(draws[n]) for n, k in nodes(DRAW).items()}, words)


def one_bit() -> Cheat:
    """One element of one parameter, in its last bit."""
    drawn = flat_draws()["out.weight"].copy()
    drawn.view(np.uint32)[17] ^= 1
    return Cheat(0, {nodes(DRAW)["out.weight"]: drawn})


def padding() -> Cheat:
    """A number where a row is zero."""
    drawn = flat_draws()["words.weight"].copy()
    drawn[4] = 0.5
    return Cheat(0, {nodes(DRAW)["words.weight"]: drawn})


def again(words: tuple[int, ...] | None) -> Cheat:
    """Starts anew in the middle of the run."""
    draws = flat_draws()
    kinds = (nodes(DRAW), nodes(CHOICE))
    return Cheat(AGAIN, {k: draws[n] for kind in kinds for n, k in kind.items()}, words)


def chosen_again() -> Cheat:
    """The draw is left out, but taken nevertheless."""
    draws = flat_draws()
    return Cheat(AGAIN, {node: draws[name] for name, node in nodes(CHOICE).items()})


CHEATS: dict[str, tuple[Callable[[], Cheat], str]] = {
    "other seed": (other_seed, "judgeArithmetic"),
    "zeros": (lambda: zeros(None), "judgeArithmetic"),
    "zeros, another step": (lambda: zeros((1, 0)), "judgeLoad"),
    "one bit": (one_bit, "judgeArithmetic"),
    "padding": (padding, "judgeArithmetic"),
    "again": (lambda: again(None), "judgeArithmetic"),
    "again, another step": (lambda: again((0, 0)), "judgeLoad"),
    "chosen again": (chosen_again, "judgeArithmetic"),
}


def run(hooks: Hooks | None = None) -> Replay:
    return Replay(task(), executor=Executor(1, compiled=Compiled.NOTHING), hooks=hooks)


@pytest.mark.parametrize(("make", "last"), CHEATS.values(), ids=CHEATS)
def test_cheat_about_initial_weights_is_judged_on_chain(
    make: Callable[[], Cheat], last: str
) -> None:
    liar, honest = run(make()), run()
    states = len(task().manifest.state)
    twin = Metered({CLAIM: facts_of(liar, states)})
    game = Game(liar, honest, serving=EVERYTHING, model=twin).open()
    assert game.play() is DisputeState.CHALLENGER_WON
    assert not game.refusals
    assert game.moves[-1] == last
    assert twin.claims.fallen == {CLAIM: CHALLENGER}
    assert twin.gas <= GAS_CAP
    twin = Metered({CLAIM: facts_of(honest, states)})
    game = Game(honest, liar, model=twin).open()
    assert game.play() is DisputeState.SOLVER_WON
    assert not game.refusals
    assert game.moves[-1] == last
    assert not twin.claims.fallen


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_judge_a_draw_convicts_at_the_first_step_and_later(
    kind: str, steps: int
) -> None:
    case = Case(task(steps))
    charges = list(case.charges(kind))
    expected = {Way.STATE, Way.INDIRECT if steps == 1 else Way.FILL}
    if kind == KINDS[0]:
        expected |= {Way.ARITHMETIC if steps == 1 else Way.SKIPPED}
    else:
        expected |= {Way.ARITHMETIC}
    assert {charge.way for charge in charges} >= expected
    for charge in charges:
        assert judge(case, charge) <= charge.bound <= GAS_CAP


def test_skipped_draw_is_judged_in_a_whole_market() -> None:
    case = Case(task(3))
    charges = [charge for charge in case.charges(KINDS[0]) if charge.way is Way.SKIPPED]
    (gas,) = market_gas(case, charges)
    assert 200_000 < gas <= charges[0].bound <= 330_000


def test_nothing_is_drawn_after_the_first_step() -> None:
    honest = run()
    for node in nodes(DRAW).values():
        assert honest.node_output(0, node).strip(b"\0")
        for step in (1, AGAIN):
            assert not honest.node_output(step, node).strip(b"\0")
