"""`--device cuda` where there is no GPU: refused in four parts, before the chain is asked."""

from __future__ import annotations

import pytest
import torch

from scripts.devnet.town import EXAMPLE
from tests.kernels.cuda.shim.host import HostDevice
from tests.training.liars import STEP, TASK, OneUlp, record, train


@pytest.mark.parametrize("role", ["solver", "verifier"])
def test_device_cuda_without_a_gpu_is_refused_before_anything_is_sent(
    role, pinpoint, monkeypatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    result = pinpoint(role, "run", "--device", "cuda", "--rpc", "http://127.0.0.1:9")
    assert result.code == 2
    assert "error: there is no GPU to compute with" in result.stderr
    assert "why:  torch" in result.stderr
    assert "do:   install a CUDA build of torch, or use --device cpu" in result.stderr
    assert "read: docs/CUDA.md" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("train", "run", "task", "--out", "run"),
        ("train", "receipt", "run"),
        ("train", "diff", "a", "b"),
        ("task", "run", "task"),
        ("task", "check", str(EXAMPLE), "--measure"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_device_cuda_without_a_gpu_is_refused_where_people_train(
    words, pinpoint, monkeypatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    result = pinpoint(*words, "--device", "cuda", "--json")
    assert result.code == 2
    assert result.error["what"] == "there is no GPU to compute with"
    assert result.error["read"] == "docs/CUDA.md"


def test_device_cuda_trains_records_and_compares_with_the_cpus_bits(
    pinpoint, monkeypatch, tmp_path
) -> None:
    """On the shim, which runs the device's kernels on the CPU."""
    monkeypatch.setattr("protocol.kernels.cuda.executor.Gpu", HostDevice)
    TASK.save(tmp_path / "task")
    cuda = ("--device", "cuda", "--threads", "1", "--json")
    trained = pinpoint("train", "run", "task", "--out", "run", *cuda)
    assert trained.code == 0, trained.stderr
    tried = pinpoint("task", "run", "task", "--json").json
    assert trained.json["log_root"] == tried["log_root"]
    assert pinpoint("task", "run", "task", *cuda).json["losses"] == tried["losses"]
    assert pinpoint("train", "receipt", "run", "--step", str(STEP), *cuda).code == 0
    train(tmp_path / "liar", OneUlp())
    record(tmp_path / "liar", tmp_path / "liar-step", OneUlp(), "step")
    found = pinpoint("train", "diff", "run/receipt", "liar-step", "--task", "task", *cuda)
    assert found.code == 6
    assert found.json["rerun"]["agrees_with"] == ["A"]
    assert found.json["place"]["step"] == STEP
    assert pinpoint("task", "check", "task", "--measure", *cuda).json["measured_step_seconds"] > 0


def test_device_that_is_none_is_refused_by_name(pinpoint) -> None:
    result = pinpoint("solver", "run", "--device", "abacus")
    assert result.code == 2
    assert "'cpu', 'cuda'" in result.stderr
