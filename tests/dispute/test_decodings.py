"""Cheats in greedy decoding, judged on the contracts; and honest decoders who are accused of them.

Two prompts are decoded side by side, then a third one beside nothing. Each cheat is one that would
pay: a word that the requester likes better, a prompt that is skipped, a cache that is not its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.capture.inference.decoding import decode_from
from protocol.dispute.state import DisputeState
from protocol.kernels import Executor
from protocol.training import Task
from protocol.training.hooks import Hooks
from protocol.training.replay import Replay
from protocol.training.tensors import Tensor
from tests.capture.decoded import llama
from tests.dispute.games import CHALLENGER, CLAIM, Game, facts_of
from tests.dispute.twin import Twin

PROMPTS = [[3, 7], [5, 1, 9], [2]]
BATCH, NEW = 2, 3
LENGTH = 3 + NEW - 1
"""Positions, and steps of a batch."""


@cache
def task() -> Task:
    """A Llama of one layer, five steps for each of two batches."""
    model = llama(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=13)
    captured = decode_from(model, PROMPTS, new_tokens=NEW, batch_size=BATCH, interval=2)
    assert captured.steps == 2 * LENGTH
    return Task.create(**captured.parts())


def state_index(name: str) -> int:
    """The number of a state tensor."""
    return [spec.name for spec in task().manifest.state].index(name)


def node_of(name: str) -> int:
    """The node that a state tensor becomes."""
    return task().program.bindings[state_index(name)].index


def node_with(origin: str) -> int:
    """The last node with such an origin."""
    return max(n for n, text in enumerate(task().manifest.origins) if origin in text)


@cache
def honest() -> Replay:
    """The task, executed."""
    return Replay(task(), executor=Executor(1))


class OtherOutput(Hooks):
    """Says that a node's output were another one, and defends the end of each fold."""

    def __init__(self, step: int, node: int) -> None:
        self.step, self.node = step, node

    def changed(self, output: Tensor) -> Tensor:
        raise NotImplementedError

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        return self.changed(output.copy()) if (step, node) == (self.step, self.node) else output

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        if (step, node) != (self.step, self.node):
            return rows
        true = np.frombuffer(honest().node_output(step, node), "<u4").copy()
        shaped = true.view(task().program.nodes[node].dtype.numpy)
        false = self.changed(shaped.reshape(task().program.nodes[node].shape))
        rows = rows.copy()
        rows[-1, 0] = np.ascontiguousarray(false).reshape(-1).view("<u4")[element]
        return rows


class OtherWord(OtherOutput):
    """Takes a word of its own liking in the first row."""

    def changed(self, output: Tensor) -> Tensor:
        output[0] = (output[0] + 1) % 13
        return output


class OneUlp(OtherOutput):
    """One unit in the last place of one number in the cache."""

    def changed(self, output: Tensor) -> Tensor:
        output.view("<u4")[1, 0, self.step, 3] += 1
        return output


class OtherRow(OtherOutput):
    """Reads the cache of the other prompt: one was decoded for both."""

    def changed(self, output: Tensor) -> Tensor:
        return np.ascontiguousarray(output[::-1])


class Stale(OtherOutput):
    """Leaves in the cache what the batch before had beyond the present position."""

    def changed(self, output: Tensor) -> Tensor:
        position = self.step % LENGTH
        before = honest().state(self.step)[state_index("cache.0.values")].view(np.float32)
        assert np.any(before[:, :, position + 1 :])
        output[:, :, position + 1 :] = before[:, :, position + 1 :]
        return output


class Skipped(Hooks):
    """Decodes nothing of one prompt."""

    def node_output(self, step: int, node: int, output: Tensor) -> Tensor:
        if node != node_with("goes on") or step >= LENGTH:
            return output
        output = output.copy()
        output[0] = 0
        return output

    def fold_rows(
        self, step: int, node: int, element: int, rows: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        if node == node_with("goes on") and step < LENGTH and element == 0:
            rows = rows.copy()
            rows[-1, 0] = 0
        return rows


class OtherTokens(Hooks):
    """Writes another token over one that was chosen long ago."""

    def next_state(self, step: int, index: int, tensor: Tensor) -> Tensor:
        if (step, index) != (8, state_index("outputs.tokens")):
            return tensor
        tensor = tensor.copy()
        tensor[0, 3] = (tensor[0, 3] + 1) % 13
        return tensor


class CheaperModel(Hooks):
    """Leaves out the feed-forward part: its weights are zeros."""

    def data_tensor(self, step: int, index: int, tensor: Tensor) -> Tensor:
        del step
        left_out = task().manifest.data[index].name.endswith("mlp.down_proj.weight")
        return np.zeros_like(tensor) if left_out else tensor


LIES: dict[str, Callable[[], Hooks]] = {
    "another word": lambda: OtherWord(2, node_with("argmax")),
    "one ulp in the cache": lambda: OneUlp(1, node_of("cache.0.keys")),
    "cache of another row": lambda: OtherRow(3, node_of("cache.0.keys")),
    "stale cache": lambda: Stale(LENGTH, node_of("cache.0.values")),
    "skipped prompt": Skipped,
    "token written over": OtherTokens,
    "cheaper model": CheaperModel,
}
"""The cheats by name, made when they are asked for: the nodes have to be known."""


@cache
def lying(name: str) -> Replay:
    """The run of a cheat."""
    return Replay(task(), executor=Executor(1), hooks=LIES[name]())


def opened(solver: Replay, challenger: Replay) -> tuple[Game, Twin]:
    """A dispute between two runs, on the model and on the contracts at once."""
    twin = Twin({CLAIM: facts_of(solver, len(task().state))})
    game = Game(solver, challenger, model=twin).open()
    return game, twin


@pytest.mark.parametrize("name", LIES)
def test_cheat_in_a_decoding_is_convicted(name: str) -> None:
    game, twin = opened(lying(name), honest())
    assert game.play() is DisputeState.CHALLENGER_WON
    assert not game.refusals
    assert game.moves[-1].startswith(("judge", "answer"))
    assert twin.claims.fallen == {CLAIM: CHALLENGER}


@pytest.mark.parametrize("name", LIES)
def test_honest_decoding_stands_against_the_same_accusation(name: str) -> None:
    game, twin = opened(honest(), lying(name))
    assert game.play() is DisputeState.SOLVER_WON
    assert not game.refusals
    assert not twin.claims.fallen
