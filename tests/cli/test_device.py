"""`--device cuda` where there is no GPU: refused in four parts, before the chain is asked."""

from __future__ import annotations

import pytest
import torch

from scripts.devnet.town import EXAMPLE


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


def test_device_that_is_none_is_refused_by_name(pinpoint) -> None:
    result = pinpoint("solver", "run", "--device", "abacus")
    assert result.code == 2
    assert "'cpu', 'cuda'" in result.stderr
