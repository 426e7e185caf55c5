"""`pinpoint task run`: trains here, shows the loss, keeps nothing unless told to."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

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
