"""`pinpoint task run`: trains here, shows the loss, keeps nothing unless told to."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from protocol.capture import inference_from, outputs_of
from protocol.training.task import Task
from tests.training.regression import regression_task


@pytest.fixture
def task(tmp_path) -> Path:
    regression_task().save(tmp_path / "task")
    return tmp_path / "task"


def test_task_run_shows_the_loss_of_each_step_and_keeps_nothing(
    pinpoint, task, tmp_path, monkeypatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    done = pinpoint("task", "run", str(task), "--steps", "5", "--threads", "1", "--json")
    assert done.code == 0
    assert (done.json["steps_done"], done.json["run"]) == (5, None)
    assert len(done.json["losses"]) == 5
    for step, loss in enumerate(done.json["losses"], 1):
        assert f"step {step} of 11, loss {loss:.6g}\n" in done.stderr
    assert not list((tmp_path / "temporary").iterdir())
    assert not [path for path in tmp_path.iterdir() if "run" in path.name]


def test_task_run_gives_the_bits_of_train_run(pinpoint, task) -> None:
    tried = pinpoint("task", "run", str(task), "--isa", "baseline", "--json").json
    trained = pinpoint("train", "run", str(task), "--out", "run", "--json").json
    assert tried.pop("losses")
    assert (tried.pop("outputs"), tried.pop("result")) == ([], None)
    assert tried | {"run": "run"} == trained


def test_task_run_with_a_folder_is_continued(pinpoint, task) -> None:
    whole = pinpoint("task", "run", str(task), "--json").json
    pieces = []
    for _ in range(3):
        done = pinpoint("task", "run", str(task), "--out", "run", "--steps", "4", "--json")
        pieces += done.json["losses"]
    assert pieces == whole["losses"]
    assert done.json["log_root"] == whole["log_root"]
    assert pinpoint("train", "receipt", "run", "--json").code == 0


def test_task_run_for_people_has_the_first_and_the_last_loss(pinpoint, task) -> None:
    done = pinpoint("task", "run", str(task))
    assert "in the first step of these" in done.stdout
    assert "\n  run " not in done.stdout
    rest = pinpoint("task", "run", str(task), "--out", "run").stdout
    assert rest.startswith("  run ")


def test_task_run_of_a_missing_task_is_refused_and_makes_no_folder(pinpoint) -> None:
    done = pinpoint("task", "run", "nothing", "--out", "run", "--json")
    assert done.code == 2
    assert "nothing" in done.error["why"]
    assert not Path("run").exists()


# ---------------------------------------------------------------------------- without a loss


@pytest.fixture
def expected(tmp_path) -> dict[str, np.ndarray]:
    """A folder `scores` with a task of three batches of two examples; what it computes."""
    torch.manual_seed(0)
    model, x = torch.nn.Linear(3, 2), np.eye(5, 3, dtype=np.float32)
    captured = inference_from(model, x, batch_size=2, interval=2)
    Task.create(**captured.parts()).save(tmp_path / "scores")
    return {"outputs.output": model(torch.from_numpy(x)).detach().numpy()}


@pytest.mark.usefixtures("expected")
def test_task_run_without_a_loss_tells_steps_and_where_outputs_go(pinpoint) -> None:
    done = pinpoint("task", "run", "scores")
    assert done.code == 0
    assert "step 2 of 3\n" in done.stderr
    assert "--result FILE writes them" in done.stderr
    assert "outputs" in done.stdout
    assert "loss" not in done.stdout
    assert pinpoint("task", "run", "scores", "--json").json["losses"] == []


def test_task_run_writes_the_outputs_by_name(pinpoint, expected) -> None:
    done = pinpoint("task", "run", "scores", "--result", "out.safetensors", "--json")
    assert done.json["result"] == "out.safetensors"
    assert done.json["outputs"] == ["outputs.output"]
    outputs = outputs_of(load_file("out.safetensors").items())
    np.testing.assert_allclose(outputs["output"], expected["outputs.output"], atol=1e-6)


@pytest.mark.usefixtures("expected")
def test_task_run_writes_what_the_steps_done_so_far_computed(pinpoint) -> None:
    run = ("task", "run", "scores", "--out", "run", "--steps", "1", "--result", "out.safetensors")
    filled = []
    for _ in range(3):
        assert pinpoint(*run).code == 0
        filled.append(int(load_file("out.safetensors")["outputs.output"].any(axis=1).sum()))
    assert filled == [2, 4, 5]


@pytest.mark.usefixtures("expected")
def test_task_run_with_a_result_in_no_folder_is_refused_before_it_computes(pinpoint) -> None:
    done = pinpoint("task", "run", "scores", "--result", "no/out.safetensors")
    assert done.code == 2
    assert "there is no folder no" in done.stderr
    assert "step 1" not in done.stderr


@pytest.mark.usefixtures("expected")
def test_runs_of_a_task_without_a_loss_have_receipts_and_are_compared(pinpoint) -> None:
    for run in ("one", "two"):
        assert pinpoint("train", "run", "scores", "--out", run).code == 0
    assert pinpoint("train", "receipt", "one").code == 0
    assert pinpoint("train", "diff", "one/receipt", "two").code == 0


@pytest.mark.usefixtures("expected")
def test_check_of_a_task_without_a_loss_names_its_outputs(pinpoint) -> None:
    assert "outputs.output f32 [5, 2]" in pinpoint("task", "check", "scores").stdout
    checked = pinpoint("task", "check", "scores", "--measure", "--json").json
    assert checked["outputs"] == {"outputs.output": ["f32", 5, 2]}
    assert checked["worst_gas"] < checked["gas_cap"]
