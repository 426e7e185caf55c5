"""Programs without copies: fewer nodes, the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import protocol.capture.assembly
from protocol.capture.captured import Captured
from protocol.capture.task import task_from
from protocol.capture.writing.coordinates import permute_outputs
from protocol.capture.writing.copies import copied_view, without_copies
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Node, Operand, OperandKind
from protocol.training.tensors import state_root
from tests.capture.running import states

HEADS = 2


class Attention(nn.Module):
    """Tokens to classes by one attention block, q, k and v from one product."""

    def __init__(self, width: int = 12, bias: bool = True) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, width)
        self.norm = nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias), nn.Linear(width, width, bias)
        self.head = nn.Linear(width, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, length) integers to (batch, 5)."""
        x = self.tokens(tokens)
        batch, length, width = x.shape
        parts = self.qkv(self.norm(x)).split(width, 2)
        q, k, v = (p.view(batch, length, HEADS, -1).transpose(1, 2) for p in parts)
        weights = (q @ k.transpose(-1, -2) / (width // HEADS) ** 0.5).softmax(-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, length, width)
        return self.head((x + self.out(mixed)).mean(1))


class Patches(nn.Module):
    """Convolution, then channels last, as a vision transformer begins."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.mix, self.head = nn.Linear(16, 7), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 2, 8, 8) to (batch, 5)."""
        patches = self.conv(x).flatten(2).transpose(1, 2).contiguous()
        mixed = self.mix(torch.tanh(patches).transpose(1, 2)).permute(0, 2, 1)
        return self.head(mixed.reshape(len(x), 7, 6).mean(1))


def tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 11, (12, 7)).astype(np.int32)


def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, 2, 8, 8)).astype(np.float32)


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], np.ndarray]]] = {
    "attention": (Attention, tokens),
    "attention without biases": (lambda: Attention(bias=False), tokens),
    "attention with heads of one": (lambda: Attention(width=HEADS), tokens),
    "patches": (Patches, images),
}


def captured(case: str) -> Captured:
    torch.manual_seed(1)
    make_model, make_inputs = CASES[case]
    model = make_model()
    return task_from(
        model,
        nn.CrossEntropyLoss(),
        torch.optim.AdamW(model.parameters(), lr=0.01),
        (make_inputs(), np.arange(12) % 5),
        steps=3,
        interval=3,
        batch_size=4,
    )


def final_root(run: Captured) -> bytes:
    *_, last = states(run)
    return state_root(list(last.values()))


def copies(run: Captured) -> list[str]:
    """Origins of the nodes that only move elements."""
    nodes = zip(run.program.nodes, run.origins, strict=True)
    return [origin for node, origin in nodes if copied_view(node)]


@pytest.mark.parametrize(
    "case",
    [
        "attention",
        pytest.param("attention without biases", marks=pytest.mark.slow),
        pytest.param("attention with heads of one", marks=pytest.mark.slow),
        "patches",
    ],
)
def test_program_without_copies_trains_to_the_same_root(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = captured(case)
    monkeypatch.setattr(protocol.capture.assembly, "without_copies", lambda nodes, _: list(nodes))
    plain = captured(case)
    assert len(fewer.program.nodes) < len(plain.program.nodes)
    assert len(copies(fewer)) < len(copies(plain))
    assert final_root(fewer) == final_root(plain)


def test_attention_has_no_copy_and_its_products_read_by_head() -> None:
    run = captured("attention")
    assert copies(run) == []
    shapes = [node.shape for node in run.program.nodes]
    assert (3, 4, HEADS, 7, 6) in shapes  # q, k, v: by part and head, as they are read
    assert (4, 7, HEADS, 6) in shapes  # the mixed values: by token, as the next product reads


STATE = Operand(OperandKind.STATE, 0, DType.F32, (6, 8))


def whole(index: int, node: Node) -> Operand:
    return Operand(OperandKind.NODE, index, node.dtype, node.shape)


def transposed(source: Operand) -> Node:
    """A copy of a matrix with its dimensions exchanged."""
    rows, columns = source.shape
    b = FoldBuilder(DType.F32, (columns, rows))
    return b.finish(b.load(source, [b.out(1).axis(rows, columns), b.out(0).axis(columns, 1)]))


def doubled(source: Operand, times: int) -> Node:
    """x + x of a matrix, ``times`` times over."""
    rows, columns = source.shape
    b = FoldBuilder(DType.F32, (times, rows, columns))
    x = b.load(source, [b.out(1).axis(rows, columns), b.out(2).axis(columns, 1)])
    return b.finish(b.add(x, x))


def squared(source: Operand) -> Node:
    """A matrix times its transpose."""
    rows, columns = source.shape
    b = FoldBuilder(DType.F32, (rows, rows), (columns,))
    x = b.load(source, [b.out(0).axis(rows, columns), b.red(0).axis(columns, 1)])
    y = b.load(source, [b.out(1).axis(rows, columns), b.red(0).axis(columns, 1)])
    return b.finish(b.fma(x, y, b.acc))


def test_copy_read_many_times_at_a_stride_stays() -> None:
    copy = transposed(STATE)
    reader = doubled(whole(0, copy), 3)
    assert without_copies([copy, reader], {1}) == [copy, reader]


def test_copy_read_once_by_an_elementwise_node_goes() -> None:
    copy = transposed(STATE)
    reader = doubled(whole(0, copy), 1)
    assert without_copies([copy, reader], {1})[1].operands == (STATE,)


def test_copy_read_by_a_product_goes() -> None:
    copy = transposed(STATE)
    reader = squared(whole(0, copy))
    assert without_copies([copy, reader], {1})[1].operands == (STATE,)


def test_copy_that_is_a_state_tensor_stays() -> None:
    copy = transposed(STATE)
    reader = squared(whole(0, copy))
    assert without_copies([copy, reader], {0, 1}) == [copy, reader]


def test_product_that_only_a_copy_reads_is_stored_in_its_order() -> None:
    product = squared(STATE)
    copy = transposed(whole(0, product))
    last = doubled(whole(1, copy), 3)
    stored, _, reader = without_copies([product, copy, last], {2})
    assert stored == permute_outputs(product, [1, 0])
    assert reader == replace(last, operands=(whole(0, stored),))


def test_equal_nodes_of_other_rank_are_shared() -> None:
    def negative(shape: tuple[int, ...]) -> Node:
        b = FoldBuilder(DType.F32, shape)
        return b.finish(b.neg(b.load(STATE, [b.out(0).axis(6, 8)])))

    one, other = negative((6,)), negative((6, 1))
    b = FoldBuilder(DType.F32, (6,))
    total = b.add(
        b.load(whole(0, one), [b.out(0).axis(6, 1)]), b.load(whole(1, other), [b.out(0).axis(6, 1)])
    )
    *_, last = without_copies([one, other, b.finish(total)], {2})
    assert last.operands == (whole(0, one),)
