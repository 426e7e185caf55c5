"""Initial weights from a file: what fits is loaded, what does not changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from protocol.capture.errors import CaptureError
from protocol.capture.initial.weights import load_weights
from tests.capture.test_task import capture, mlp


def other_mlp() -> nn.Module:
    model = mlp()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def test_task_begins_with_the_weights_of_the_file(tmp_path: Path) -> None:
    given, model = other_mlp(), mlp()
    save_model(given, str(tmp_path / "w.safetensors"))
    load_weights(model, tmp_path / "w.safetensors")
    state = dict(capture(model).state)
    for name, tensor in given.state_dict().items():
        np.testing.assert_array_equal(state[f"model.{name}"], tensor.numpy())


def test_buffers_are_loaded_too(tmp_path: Path) -> None:
    given, model = (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)) for _ in range(2))
    given[1].running_mean.fill_(3.0)
    given[1].num_batches_tracked.fill_(7)
    save_model(given, str(tmp_path / "w.safetensors"))
    load_weights(model, str(tmp_path / "w.safetensors"))
    assert int(model[1].num_batches_tracked) == 7
    assert float(model[1].running_mean[0]) == 3.0


def test_half_weights_are_widened_exactly(tmp_path: Path) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        given = {n: t.to(dtype) for n, t in other_mlp().state_dict().items()}
        save_file(given, tmp_path / "w.safetensors")
        model = mlp()
        load_weights(model, tmp_path / "w.safetensors")
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, given[name].float())


def test_tied_weight_may_stand_under_one_name(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
        model[2].weight = model[0].weight
        return model

    given, model = tied(), tied()
    save_model(given, str(tmp_path / "w.safetensors"))
    load_weights(model, tmp_path / "w.safetensors")
    assert torch.equal(model[0].weight, given[0].weight)
    assert model[2].weight is model[0].weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("3.bias"), r"lacks 3\.bias and has nothing left over \(3 tensors.*4\)"),
        (lambda w: w.update(extra=torch.zeros(1)), "lacks nothing and has extra left over"),
        (
            lambda w: w.update({"3.bias": torch.zeros(4)}),
            r"3\.bias has shape \(3,\) in the model but \(4,\) in w\.safetensors",
        ),
        (
            lambda w: w.update({"3.bias": torch.zeros(3).double()}),
            r"float32 in the model but torch\.float64.*docs/CAPTURE\.md, Data",
        ),
    ],
)
def test_weights_that_do_not_fit_change_nothing(change, message: str, tmp_path: Path) -> None:
    weights = dict(other_mlp().state_dict())
    change(weights)
    save_file(weights, tmp_path / "w.safetensors")
    model = mlp()
    with pytest.raises(CaptureError, match=message):
        load_weights(model, tmp_path / "w.safetensors")
    for name, tensor in mlp().state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_torn_and_missing_files_are_refused(tmp_path: Path) -> None:
    save_model(mlp(), str(tmp_path / "w.safetensors"))
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[:-5])
    with pytest.raises(CaptureError, match=r"no whole safetensors file.*save the weights again"):
        load_weights(mlp(), tmp_path / "w.safetensors")
    with pytest.raises(OSError, match=r"none\.safetensors"):
        load_weights(mlp(), tmp_path / "none.safetensors")
