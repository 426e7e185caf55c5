"""`pinpoint train`: trains and stops cleanly, records, and tells where two runs part."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.kernels import instruction_sets
from tests.training.liars import ELEMENT, NODE, SEGMENT, STEP, TASK, OneUlp, record, train
from tests.training.regression import regression_task

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    train(folder / "honest")
    record(folder / "honest", folder / "honest-fold")
    train(folder / "liar", OneUlp())
    for depth in ("segment", "step", "fold"):
        record(folder / "liar", folder / f"liar-{depth}", OneUlp(), depth)
    return folder


@pytest.fixture
def task(tmp_path) -> Path:
    TASK.save(tmp_path / "task")
    return tmp_path / "task"


# ---------------------------------------------------------------------- train run


def test_train_run_prints_roots_and_keeps_the_task(pinpoint, task, made, tmp_path) -> None:
    done = pinpoint("train", "run", str(task), "--out", "run", "--json")
    assert done.code == 0
    assert done.json["manifest_root"] == f"0x{TASK.manifest.root.hex()}"
    assert (done.json["steps_done"], done.json["steps_logged"], done.json["checkpoints"]) == (
        11,
        11,
        4,
    )
    assert "checkpoint 3: step 11 of 11, loss" in done.stderr
    assert pinpoint("train", "diff", "run", str(made / "honest")).code == 0
    again = pinpoint("train", "run", str(tmp_path / "run" / "task"), "--out", "run", "--json")
    assert again.json == done.json


def test_train_run_in_pieces_ends_at_the_same_roots(pinpoint, task) -> None:
    whole = pinpoint("train", "run", str(task), "--out", "whole", "--json").json
    done = 0
    while done < 11:
        piece = pinpoint("train", "run", str(task), "--out", "pieces", "--steps", "3", "--json")
        assert piece.code == 0
        assert piece.json["steps_done"] == min(done + 3, 11)
        done = piece.json["steps_done"]
    assert piece.json | {"run": "whole"} == whole


def test_train_run_into_the_run_of_another_task_is_refused(pinpoint, task, tmp_path) -> None:
    assert pinpoint("train", "run", str(task), "--out", "run", "--steps", "1").code == 0
    regression_task(width=7).save(tmp_path / "other")
    done = pinpoint("train", "run", "other", "--out", "run", "--json")
    assert done.code == 2
    assert "different tasks" in done.error["what"]
    assert "state" in done.error["why"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--isa", "abacus"], "abacus"),
        (["--threads", "0"], "threads"),
        (["--steps", "0"], "steps"),
    ],
)
def test_train_run_with_wrong_flags_is_refused(arguments, says, pinpoint, task) -> None:
    done = pinpoint("train", "run", str(task), "--out", "run", *arguments, "--json")
    assert done.code == 2
    assert says in done.error["what"]


def test_train_run_with_a_wrong_variable_for_the_machine_is_refused(pinpoint, task) -> None:
    run = ("train", "run", str(task), "--out", "run", "--json")
    done = pinpoint(*run, env={"PINPOINT_JIT": "perhaps"})
    assert done.code == 2
    assert "'perhaps'" in done.error["why"]
    assert "PINPOINT_JIT" in done.error["todo"]
    assert done.error["read"].endswith("#variables-for-the-machine")
    assert pinpoint(*run, env={"PINPOINT_JIT": "0"}).code == 0


def test_train_run_of_a_missing_task_is_refused(pinpoint) -> None:
    done = pinpoint("train", "run", "nothing", "--out", "run", "--json")
    assert done.code == 2
    assert done.error["what"] == "the task in nothing cannot be used"
    assert not Path("run").exists()


SLOW_STEPS = """
import sys, time
from protocol.training.step import StepRunner
original = StepRunner.run
def slow(*arguments, **named):
    print("a step begins", file=sys.stderr, flush=True)
    time.sleep(float(sys.argv[1]))
    return original(*arguments, **named)
StepRunner.run = slow
from protocol.cli.main import app
app(sys.argv[2:])
"""


def start(seconds: float, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_STEPS, str(seconds), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    assert any(text in line for line in process.stderr), f"{text!r} was never told"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_interrupt_finishes_the_step_and_saves_it(
    number, pinpoint, task, made, tmp_path
) -> None:
    process = start(0.3, "train", "run", str(task), "--out", "run", "--json", cwd=tmp_path)
    for _ in range(2):
        wait_for(process, "a step begins")
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    result = json.loads(stdout)
    assert (result["steps_done"], result["steps_logged"]) == (2, 0)
    assert (tmp_path / "run" / "partial-000000000002.safetensors").is_file()
    assert pinpoint("train", "run", str(task), "--out", "run").code == 0
    assert pinpoint("train", "diff", "run", str(made / "honest")).code == 0


def test_second_interrupt_stops_at_once(pinpoint, task, made, tmp_path) -> None:
    process = start(60, "train", "run", str(task), "--out", "run", cwd=tmp_path)
    wait_for(process, "a step begins")
    process.send_signal(signal.SIGINT)
    wait_for(process, "once more stops at once")
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stdout == ""
    assert pinpoint("train", "run", str(task), "--out", "run").code == 0
    assert pinpoint("train", "diff", "run", str(made / "honest")).code == 0


# ---------------------------------------------------------------------- train receipt


def test_train_receipt_grows_as_diff_asks_for_more(pinpoint, made, tmp_path) -> None:
    """Two machines that differ: each step of the search is the command that the last one named."""
    shutil.copytree(made / "honest", tmp_path / "run")
    flags = ["--segment", str(SEGMENT), "--step", str(STEP), "--fold", f"{NODE}:{ELEMENT}"]
    for depth in (2, 4, 6):
        told = pinpoint("train", "diff", "run", str(made / "liar-fold"), "--no-rerun", "--json")
        assert told.code == 6
        done = pinpoint("train", "receipt", "run", "--out", "receipt", *flags[:depth], "--json")
        assert done.code == 0, done.stderr
    assert done.json["segments"] == [SEGMENT]
    assert done.json["folds"] == [[STEP, NODE, ELEMENT]]
    told = pinpoint("train", "diff", "receipt", str(made / "liar-fold"), "--json")
    assert told.code == 6
    assert told.json["place"]["kind"] == "arithmetic"
    assert told.json["not_recorded"] == []


def test_train_receipt_records_all_segments_if_none_is_named(pinpoint, made, tmp_path) -> None:
    shutil.copytree(made / "honest", tmp_path / "run")
    done = pinpoint("train", "receipt", "run", "--json")
    assert done.json["segments"] == [1, 2, 3]
    assert done.json["receipt"] == "run/receipt"
    assert pinpoint("train", "diff", "run", "run/receipt").code == 0


def test_train_receipt_of_what_this_machine_does_not_compute_ends_in_6(pinpoint, made) -> None:
    done = pinpoint("train", "receipt", str(made / "liar"), "--out", "receipt", "--json")
    assert done.code == 6
    assert "segment 2 ends in 0x" in done.error["why"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--segment", "9"], "segment 9 cannot be recorded"),
        (["--step", "11"], "there is no step 11"),
        (["--fold", "1:2"], "--fold needs one --step"),
        (["--step", "5", "--fold", "1"], "is not NODE:ELEMENT"),
        (["--step", "5", "--fold", "6:300"], "there is no element 300 of node 6"),
        (["--segment", "0"], "segment"),
    ],
)
def test_train_receipt_of_no_place_is_refused(flags, says, pinpoint, made) -> None:
    done = pinpoint("train", "receipt", str(made / "honest"), "--out", "receipt", *flags, "--json")
    assert done.code == 2
    assert says in done.error["what"]


# ---------------------------------------------------------------------- train diff


def test_train_diff_of_equal_runs_ends_in_0(pinpoint, made) -> None:
    done = pinpoint("train", "diff", str(made / "honest"), str(made / "honest-fold"))
    assert done.code == 0
    assert done.stdout.startswith("no difference in 4 checkpoints; the last is 0x")
    assert done.stderr == ""


def test_train_diff_tells_the_whole_place(pinpoint, made) -> None:
    done = pinpoint("train", "diff", str(made / "honest"), str(made / "liar-fold"))
    assert done.code == 6
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "the runs differ: segment 2, step 5, node 6 (node 6), element [299], its only term, "
        "arithmetic"
    )
    assert lines[1] == ("A 0x3da75758 (0.081709564), B 0x3da75759 (0.08170957), 1 ulp apart")
    assert "  shape     f32 [300]" in lines
    assert lines[-1] == (
        f"this machine ({instruction_sets()[0]}) computes what A has, not what B has"
    )


def test_train_diff_names_the_module_and_the_operator(pinpoint, tmp_path) -> None:
    origins = tuple(f"layers.{i}: aten.mul (bwd)" for i in range(8))
    task = replace(TASK, manifest=replace(TASK.manifest, origins=origins))
    for name, hooks in (("honest", None), ("liar", OneUlp())):
        train(tmp_path / name, hooks, task=task)
    record(tmp_path / "liar", tmp_path / "receipt", OneUlp(), "step", task=task)
    done = pinpoint("train", "diff", "honest", "receipt")
    assert done.code == 6
    assert f"node {NODE} (layers.6: aten.mul (bwd))" in done.stdout
    assert "\n  module    layers.6\n  operator  aten.mul (bwd)\n" in done.stdout


def test_train_diff_as_json_has_words_ulp_and_sides(pinpoint, made) -> None:
    done = pinpoint("train", "diff", str(made / "liar-step"), str(made / "honest"), "--json")
    assert done.code == 6
    found = done.json
    assert found["equal"] is False
    place = found["place"]
    assert (place["step"], place["node"], place["element"]) == (STEP, NODE, [ELEMENT])
    assert [word["hex"] for word in place["words"]] == ["0x3da75759", "0x3da75758"]
    assert place["ulp"] == 1
    assert found["rerun"]["agrees_with"] == ["B"]
    (missing,) = found["not_recorded"]
    assert missing["side"] == "A"
    assert missing["command"].endswith("--segment 2 --step 5 --fold 6:299")


def test_train_diff_of_two_runs_says_what_is_not_recorded(pinpoint, made) -> None:
    liar = made / "liar"
    done = pinpoint("train", "diff", str(made / "honest"), str(liar))
    assert done.code == 6
    assert "the runs differ: segment 2\n  in one of the steps 4 to 7\n" in done.stdout
    assert "the states differ first in tensor 0 (weight, f32 [300]), element [299]" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        "B's values inside this segment are not recorded: run "
        f"`pinpoint train receipt {liar} --segment 2` on B's machine"
    )


@pytest.mark.parametrize("isa", instruction_sets())
def test_train_diff_on_any_instruction_set_agrees_with_the_honest(isa, pinpoint, made) -> None:
    done = pinpoint(
        "train", "diff", str(made / "liar"), str(made / "honest"), "--json",
        env={"PINPOINT_ISA": isa, "PINPOINT_THREADS": "1"},
    )  # fmt: skip
    assert done.json["rerun"]["isa"] == isa
    assert done.json["rerun"]["agrees_with"] == ["B"]


def test_train_diff_of_different_lengths_says_so_on_stderr(pinpoint, made, tmp_path) -> None:
    train(tmp_path / "short", until=4)
    done = pinpoint("train", "diff", "short", str(made / "liar"))
    assert done.code == 0
    assert done.stderr == ("B has 4 checkpoints and A 2: only the first 2 were compared\n")


def test_train_diff_of_two_liars_shows_each_against_this_machine(pinpoint, made, tmp_path) -> None:
    train(tmp_path / "other", OneUlp(4))
    record(tmp_path / "other", tmp_path / "other-step", OneUlp(4), "step")
    done = pinpoint("train", "diff", str(made / "liar-step"), "other-step", "--task", "other/task")
    assert done.code == 6
    assert "agrees with neither" in done.stdout
    assert "  A differs from it first in segment 2, step 5, node 6" in done.stdout
    assert "  this machine 0x3da75758 (0.081709564), B 0x3da7575c" in done.stdout


def test_train_diff_without_a_task_says_that_nothing_was_executed(pinpoint, made) -> None:
    done = pinpoint("train", "diff", str(made / "honest-fold"), str(made / "liar-fold"))
    assert done.code == 6
    assert "nothing was executed on this machine" in done.stderr
    assert "--task" in done.stderr


def test_train_diff_of_different_tasks_ends_in_2_with_both_roots(pinpoint, made, tmp_path) -> None:
    other = regression_task(width=7)
    other.save(tmp_path / "other")
    assert pinpoint("train", "run", "other", "--out", "run").code == 0
    done = pinpoint("train", "diff", "run", str(made / "honest"))
    assert done.code == 2
    for root in (other.manifest.root, TASK.manifest.root):
        assert root.hex() in done.stderr
    for part in ("error: ", "  why:", "  do:", "  read:"):
        assert part in done.stderr


def test_train_diff_of_a_damaged_receipt_ends_in_2(pinpoint, made, tmp_path) -> None:
    shutil.copytree(made / "liar-fold", tmp_path / "damaged")
    (tmp_path / "damaged" / "receipt.json").write_text("{")
    done = pinpoint("train", "diff", str(made / "honest"), "damaged", "--json")
    assert done.code == 2
    assert done.error["what"] == "the receipt damaged cannot be used"
    assert done.stdout == ""
