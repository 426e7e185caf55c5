"""The same randomised nodes on a real device. Not run, and counted so, where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from protocol.kernels.cuda.executor import CudaExecutor
from protocol.kernels.cuda.hashing import TensorHasher
from protocol.kernels.executor import Executor
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.merkle import tensor_roots
from protocol.program.canonical import encode_node
from protocol.program.isa import Op
from protocol.program.node import Node
from tests.kernels import shapes
from tests.kernels.cuda.cases import NODES, named_case, opcode, random_cases
from tests.kernels.equality.cases import FAMILIES, SHAPELESS, check, make_case
from tests.kernels.nodes import Case, words_of

pytestmark = pytest.mark.needs_gpu


@pytest.fixture(scope="module")
def executor() -> CudaExecutor:
    return CudaExecutor()


def run(executor: CudaExecutor, case: Case) -> list[int]:
    """The words that the device stores."""
    tensors = [torch.from_numpy(np.array(o)).to(executor.torch_device) for o in case.operands]
    return words_of(executor.run(case.node, tensors).cpu().numpy())


@pytest.mark.parametrize("special", [False, True], ids=["ordinary", "special"])
def test_gpu_named_nodes_equals_reference(executor, special) -> None:
    for name in NODES:
        case = named_case(name, special)
        assert run(executor, case) == evaluate_node(case.node, case.elements()), name


def test_gpu_random_nodes_equals_reference(executor) -> None:
    cases = random_cases(200)
    executor.prepare((encode_node(case.node), case.node) for case in cases)
    for case in cases:
        assert run(executor, case) == evaluate_node(case.node, case.elements())


def test_gpu_families_that_lowering_makes_equals_reference(executor) -> None:
    def on_gpu(node: Node, operands: Sequence[NDArray[Any]]) -> NDArray[Any]:
        tensors = [torch.from_numpy(np.array(o)).to(executor.torch_device) for o in operands]
        return executor.run(node, tensors).cpu().numpy()

    for family in [*FAMILIES, *SHAPELESS]:
        for seed in range(40):
            check(make_case(family, seed, 130), terms=400, runs={"gpu": on_gpu})


def test_gpu_every_opcode_on_special_words_equals_reference(executor) -> None:
    for op in Op:
        case = opcode(op)
        assert run(executor, case) == evaluate_node(case.node, case.elements()), op.name


@pytest.mark.parametrize(
    "node",
    [
        shapes.product(1000, 777, 513),
        shapes.product(2048, 2048, 64, transpose=(True, False)),
        shapes.heads_product(8, 8, 128, 64),
        shapes.convolution(8, 16, 32, 32),
        shapes.embedding_gradient(5000, 96, 3000),
        shapes.adam_like(1_000_003),
    ],
    ids=["product", "transposed", "heads", "convolution", "scatter", "elementwise"],
)
def test_gpu_large_nodes_equals_cpu(executor, node) -> None:
    generator = np.random.default_rng(1)
    operands = [
        generator.standard_normal(o.shape).astype("<f4")
        if o.dtype.label == "f32"
        else generator.integers(0, 5000, o.shape).astype(o.dtype.numpy)
        for o in node.operands
    ]
    assert run(executor, Case(node, operands)) == words_of(Executor().run(node, operands))


def test_gpu_runs_on_the_current_stream(executor) -> None:
    node = shapes.adam_like(1_000_003)
    stream = torch.cuda.Stream(executor.torch_device)
    with torch.cuda.stream(stream):
        tensors = [torch.full((1_000_003,), 2.0, device=executor.torch_device) for _ in range(4)]
        for _ in range(20):
            tensors = [executor.run(node, tensors), *tensors[1:]]
    stream.synchronize()
    expected = [np.full(1_000_003, 2.0, "<f4") for _ in range(4)]
    for _ in range(20):
        expected = [Executor().run(node, expected), *expected[1:]]
    assert tensors[0].cpu().numpy().tobytes() == expected[0].tobytes()


def test_gpu_roots_equal_merkle(executor) -> None:
    generator = np.random.default_rng(2)
    sizes = [1, 4, 55, 64, 1023, 1024, 1025, 5000, 1024 * 777 + 3]
    arrays = [generator.integers(0, 256, size, dtype=np.uint8) for size in sizes]
    tensors = [torch.from_numpy(array).to(executor.torch_device) for array in arrays]
    assert TensorHasher(executor.device).roots(tensors) == tensor_roots(arrays)
