"""Stages of captured training steps: the numbers that fusion is there for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.task import task_from
from protocol.kernels.fusion import describe, stages_of
from protocol.kernels.memory import plan_buffers
from protocol.kernels.stages import Stage
from protocol.program.estimate import estimate_step
from protocol.program.node import OperandKind, Program
from tests.kernels.programs import is_compiled

BATCH, LENGTH, WIDTH, HEADS, WORDS = 8, 32, 64, 2, 96
TOKENS = BATCH * LENGTH


class Block(nn.Module):
    """A causal transformer of one block; logits of shape (batch * length, words)."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(WORDS, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, WORDS, bias=False)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """(batch, length) integers to logits."""
        x = self.tokens(words)
        parts = self.qkv(self.norm1(x)).split(WIDTH, 2)
        q, k, v = (p.view(BATCH, LENGTH, HEADS, -1).transpose(1, 2) for p in parts)
        scores = q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
        causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
        weights = scores.masked_fill(~causal, float("-inf")).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(BATCH, LENGTH, WIDTH))
        x = x + self.down(nn.functional.gelu(self.up(self.norm2(x))))
        return self.head(x).flatten(0, 1)


def flat_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over all tokens."""
    return nn.functional.cross_entropy(logits, targets.flatten())


@pytest.fixture(scope="module")
def block() -> Program:
    """A GPT block with cross entropy and AdamW."""
    torch.manual_seed(0)
    model = Block()
    words = np.random.default_rng(0).integers(0, WORDS, (2, BATCH, LENGTH)).astype(np.int32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    data = (words[0], words[1])
    task = task_from(
        model, flat_cross_entropy, optimizer, data, steps=2, interval=2, batch_size=BATCH
    )
    return task.program


@pytest.fixture(scope="module")
def convnet() -> Program:
    """Convolution, batch norm, ReLU, max pooling twice, cross entropy and SGD with momentum."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(16, 10)),
    )
    random = np.random.default_rng(0)
    images = random.standard_normal((16, 3, 16, 16)).astype(np.float32)
    labels = random.integers(0, 10, 16).astype(np.int32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss = nn.functional.cross_entropy
    task = task_from(model, loss, optimizer, (images, labels), steps=2, interval=2, batch_size=16)
    return task.program


def regions(program: Program, stages: list[Stage], units: int) -> Counter[tuple[str, ...]]:
    """The regions of more than one node with so many units, by kinds of their nodes."""
    return Counter(
        tuple("fold" if program.nodes[n].domain else "map" for n in stage.nodes)
        for stage in stages
        if stage.region is not None and len(stage.nodes) > 1 and stage.region.units == units
    )


def unstored_bytes(program: Program, stages: list[Stage]) -> int:
    """Bytes of the outputs that no stage writes."""
    written = sum(program.nodes[node].nbytes for stage in stages for node in stage.writes)
    return sum(node.nbytes for node in program.nodes) - written


def check_memory(program: Program, stages: list[Stage]) -> None:
    """All state is overwritten in place, and the arena keeps to the estimate."""
    plan = plan_buffers(program, stages)
    bound = {b.index for b in program.bindings if b.kind is OperandKind.NODE}
    assert set(plan.in_place) == bound
    outputs = estimate_step(program, []).peak_bytes - sum(b.nbytes for b in program.bindings)
    assert plan.arena_bytes <= 1.1 * outputs


def test_gpt_block_runs_in_fewer_stages_and_keeps_the_estimate_of_memory(block):
    stages = stages_of(block, is_compiled)
    assert (len(block.nodes), len(stages)) == (140, 60)
    assert unstored_bytes(block, stages) == 645_644
    assert describe(block, stages).endswith(
        "140 nodes in 60 stages; 645,644 of 4,961,828 bytes of outputs are not stored."
    )
    check_memory(block, stages)


def test_gpt_block_has_its_layer_norms_softmax_and_loss_in_regions_of_rows(block):
    stages = stages_of(block, is_compiled)
    norm = ("map", "fold", "fold", "map", "fold", "fold", "map", "map", "map")
    norm_backward = ("fold", "fold", "fold", "fold", "map")
    cross_entropy = ("fold", "fold", "fold", "map", "map", "map", "fold", "fold", "map")
    rows = regions(block, stages, TOKENS)
    assert rows[norm] == 1
    assert rows[(*norm, "map")] == 1  # with 1 / deviation of the backward pass, which is near
    assert rows[norm_backward] == 1
    assert rows[(*norm_backward, "map")] == 1
    assert rows[cross_entropy] == 1
    heads = regions(block, stages, TOKENS * HEADS)
    assert heads[("map", "fold", "map", "fold", "map")] == 1  # softmax; rows of 32: one sum
    assert heads[("map", "fold", "map")] == 1  # and its gradient
    assert regions(block, stages, WIDTH)[("fold", "fold")] == 2  # of scale and shift


def test_adamw_updates_each_parameter_in_one_flat_region(block):
    stages = stages_of(block, is_compiled)
    updated = {b.index for b in block.bindings if b.kind is OperandKind.NODE and b.shape}
    updates = [stage for stage in stages if updated & set(stage.nodes)]
    assert Counter(len(stage.nodes) for stage in updates) == {3: 14}
    assert all(stage.is_flat for stage in updates)


def test_convnet_has_batch_norm_and_pooling_in_regions_of_planes(convnet):
    stages = stages_of(convnet, is_compiled)
    assert (len(convnet.nodes), len(stages)) == (113, 50)
    assert unstored_bytes(convnet, stages) == 625_692
    planes = regions(convnet, stages, 16 * 16)
    assert planes[("map", "fold", "fold")] == 5  # bias and lane sums; normalise, pool, its index
    assert planes[("fold", "fold")] == 2  # variances
    assert planes[("map", "map", "fold", "fold", "fold", "fold")] == 1  # unpool, ReLU, two sums
    check_memory(convnet, stages)


def test_every_output_is_written_once_before_it_is_read(block, convnet):
    for program in (block, convnet):
        written: set[int] = set()
        seen: list[int] = []
        for stage in stages_of(program, is_compiled):
            needed = {o.index for o in stage.reads if o.kind is OperandKind.NODE}
            assert needed <= written
            written.update(stage.writes)
            seen += stage.nodes
        assert sorted(seen) == list(range(len(program.nodes)))
