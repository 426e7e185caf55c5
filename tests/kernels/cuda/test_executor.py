"""`CudaExecutor` without a GPU: what it refuses, compiles once, and says of its absence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protocol.kernels.cuda.device import Gpu
from protocol.kernels.cuda.errors import CudaUnavailable
from protocol.kernels.cuda.executor import CudaExecutor
from protocol.kernels.executor import Executor
from protocol.program.canonical import encode_node
from tests.kernels import shapes
from tests.kernels.cuda.cases import NODES, named_case
from tests.kernels.cuda.shim.host import HostDevice, HostShimExecutor


class CountingDevice(HostDevice):
    """Counts translation units."""

    units = 0

    def load(self, sources, fused) -> None:
        self.units += len(sources)
        super().load(sources, fused)


@pytest.fixture(scope="module")
def executor() -> CudaExecutor:
    return CudaExecutor(HostDevice(), Executor(1))


def test_run_writes_into_out_and_refuses_what_does_not_fit(executor) -> None:
    node = shapes.adam_like(10)
    operands = [torch.ones(10) for _ in range(4)]
    out = torch.zeros(10)
    assert executor.run(node, operands, out) is out
    assert (out != 0).all()
    for wrong, message in [
        (([*operands[:3], torch.ones(9)], out), "9 elements, the node says 10"),
        (([*operands[:3], torch.ones(10, dtype=torch.int32)], out), "dtype differs"),
        ((operands[:3], out), "3 operands, the node has 4"),
        ((operands, operands[2]), "overlaps operand 2"),
        ((operands, torch.zeros(9)), "has shape"),
        (([*operands[:3], torch.ones(20)[::2]], out), "contiguous on cpu"),
        (([*operands[:3], torch.ones(10, device="meta")], out), "contiguous on cpu"),
    ]:
        with pytest.raises(ValueError, match=message):
            executor.run(node, *wrong)


def test_prepare_compiles_equal_nodes_once() -> None:
    device = CountingDevice()
    executor = CudaExecutor(device, Executor(1))
    nodes = [shapes.adam_like(10), shapes.adam_like(10), shapes.total(9)]
    executor.prepare((encode_node(node), node) for node in nodes)
    executor.prepare((encode_node(node), node) for node in nodes)
    executor.run(nodes[0], [torch.ones(10) for _ in range(4)])
    assert device.units == 1


def test_fold_equals_the_cpu_executors() -> None:
    case = named_case("largest of a row")
    rows = HostShimExecutor().fold(case.node, case.operands, 3)
    np.testing.assert_array_equal(rows, Executor(1).fold(case.node, case.operands, 3))


def test_run_embedding_leaves_its_operands_alone(executor) -> None:
    case = named_case("embedding gradient")
    before = [operand.tobytes() for operand in case.operands]
    tensors = [torch.from_numpy(operand) for operand in case.operands]
    executor.run(NODES["embedding gradient"], tensors)
    assert [operand.tobytes() for operand in case.operands] == before


def test_gpu_without_a_cuda_build_of_torch_is_told_in_four_parts(monkeypatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(CudaUnavailable, match="built without CUDA") as caught:
        Gpu()
    assert caught.value.what == "there is no GPU to compute with"
    assert "--device cpu" in caught.value.todo


def test_gpu_where_torch_sees_none_is_told_in_four_parts(monkeypatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CudaUnavailable, match="sees 0 GPUs, wanted number 3") as caught:
        CudaExecutor(Gpu(3))
    assert "nvidia-smi" in caught.value.todo
