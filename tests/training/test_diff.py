"""Two runs part where one of them lies, and the search says how deep it could go."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from protocol.dispute.state import ARITHMETIC
from protocol.kernels import Executor
from protocol.merkle.log import CheckpointLog
from protocol.program.isa import DType
from protocol.training import Hooks, Task
from protocol.training.diff import Comparison, compare
from protocol.training.recorded import RecordError, read_log
from protocol.training.sides import open_sides
from protocol.training.tensors import Tensor
from tests.training.liars import (
    ELEMENT,
    NODE,
    SEGMENT,
    STEP,
    TASK,
    OneUlp,
    OtherState,
    Passing,
    record,
    train,
)
from tests.training.regression import regression_task


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Runs and receipts of an honest machine and of three that are not."""
    folder = tmp_path_factory.mktemp("made")
    lies = {"honest": None, "liar": OneUlp(), "other": OneUlp(4), "state": OtherState()}
    for name, hooks in (lies | {"passing": Passing()}).items():
        train(folder / name, hooks)
        for depth in ("segment", "step", "fold"):
            record(folder / name, folder / f"{name}-{depth}", hooks, depth)
    return folder


def run_diff(folder: Path, first: str, second: str, *, rerun: bool = True) -> Comparison:
    sides = open_sides(folder / first, folder / second, folder / "honest" / "task")
    return compare(sides.first, sides.second, sides.task if rerun else None, Executor(1))


def test_diff_of_equal_runs_and_receipts_finds_nothing(made) -> None:
    for first in ("honest", "honest-segment", "honest-step", "honest-fold"):
        for second in ("honest", "honest-fold"):
            assert run_diff(made, first, second) == Comparison(None)


def test_diff_of_two_run_folders_names_the_segment_and_its_end(made) -> None:
    found = run_diff(made, "honest", "liar")
    assert found.fault is not None
    assert (found.fault.segment, found.fault.step) == (SEGMENT, None)
    assert found.state is not None
    assert (found.state.binding, found.state.element, found.state.dtype) == (0, ELEMENT, DType.F32)
    assert found.state.expected != found.state.got
    assert found.rerun is not None
    assert found.rerun.agrees == (True, False)
    assert found.missing == (None, "segment")


@pytest.mark.parametrize(
    ("depth", "reached", "missing"),
    [
        ("segment", (STEP, None, None, None), "step"),
        ("step", (STEP, NODE, ELEMENT, None), "fold"),
        ("fold", (STEP, NODE, ELEMENT, 0), None),
    ],
)
def test_diff_of_a_run_and_a_liars_receipt_goes_as_deep_as_that(
    depth, reached, missing, made
) -> None:
    found = run_diff(made, "honest", f"liar-{depth}")
    fault = found.fault
    assert fault is not None
    assert (fault.step, fault.node, fault.element, fault.term) == reached
    assert found.rerun is not None
    assert found.rerun.agrees == (True, False)
    assert found.missing == (None, missing)
    if depth != "segment":
        assert fault.expected is not None
        assert fault.expected ^ (fault.got or 0) == 1
    assert fault.kind == (ARITHMETIC if depth == "fold" else None)


def test_diff_the_other_way_round_swaps_words_and_sides(made) -> None:
    there, back = (run_diff(made, *pair) for pair in PAIRS)
    assert there.fault is not None
    assert back.fault is not None
    assert (there.fault.expected, there.fault.got) == (back.fault.got, back.fault.expected)
    assert back.rerun is not None
    assert back.rerun.agrees == (False, True)
    assert back.missing == ("fold", None)


PAIRS = (("honest", "liar-step"), ("liar-step", "honest"))


def test_diff_of_two_receipts_needs_no_task_and_no_execution(made, monkeypatch) -> None:
    monkeypatch.setattr(Executor, "run", None)
    sides = open_sides(made / "honest-fold", made / "liar-fold")
    assert sides.task is None
    found = compare(sides.first, sides.second)
    assert found.fault is not None
    assert (found.fault.step, found.fault.node, found.fault.term) == (STEP, NODE, 0)
    assert (found.rerun, found.missing) == (None, (None, None))


def test_diff_without_execution_tells_what_both_sides_lack(made) -> None:
    found = run_diff(made, "honest", "liar", rerun=False)
    assert found.missing == ("segment", "segment")
    assert found.state is not None, "both hold the checkpoint"


def test_diff_of_two_liars_compares_each_with_this_machine(made) -> None:
    found = run_diff(made, "liar-fold", "other-fold")
    assert found.rerun is not None
    assert found.rerun.agrees == (False, False)
    for fault, bit in zip(found.against, (1, 4), strict=True):
        assert fault is not None
        assert (fault.step, fault.node, fault.element, fault.term) == (STEP, NODE, ELEMENT, 0)
        assert (fault.expected or 0) ^ (fault.got or 0) == bit
    assert found.fault is not None
    assert (found.fault.expected or 0) ^ (found.fault.got or 0) == 5


def test_diff_of_a_state_that_no_node_made_names_the_state_tensor(made) -> None:
    fault = run_diff(made, "honest", "state-step").fault
    assert fault is not None
    assert (fault.step, fault.node, fault.binding, fault.element) == (STEP, None, 0, 0)
    assert fault.expected is not None


def test_diff_of_receipts_whose_logs_agree_looks_within(made) -> None:
    assert run_diff(made, "honest", "passing").fault is None
    for depth in ("segment", "step"):
        found = run_diff(made, f"honest-{depth}", f"passing-{depth}")
        assert found.fault is not None
        assert (found.fault.segment, found.fault.step) == (SEGMENT, STEP)
        assert found.rerun is not None
        assert found.rerun.agrees == (True, False)
    assert found.fault.node == 4


class Watch(Hooks):
    """Changes nothing, and remembers the node outputs of step 5."""

    def __init__(self) -> None:
        self.seen: dict[int, Tensor] = {}

    def node_output(self, step, node, output):
        if step == STEP:
            self.seen[node] = output.copy()
        return output


class DeadNode(Watch):
    """Node 3 says something else in step 5; what reads it is repaired: no state shows it."""

    def node_output(self, step, node, output):
        if step != STEP:
            return output
        return output + np.float32(1) if node == 3 else self.seen.get(node, output).copy()


def test_diff_of_traces_in_one_and_the_same_state_names_the_node(made, tmp_path) -> None:
    watch, dead = Watch(), DeadNode()
    train(tmp_path / "watched", watch)
    dead.seen = watch.seen
    train(tmp_path / "dead", dead)
    receipt = record(tmp_path / "dead", tmp_path / "receipt", dead, "step")
    sides = open_sides(made / "honest-step", receipt, tmp_path / "dead" / "task")
    found = compare(sides.first, sides.second, sides.task, Executor(1))
    assert found.fault is not None
    assert (found.fault.step, found.fault.node, found.fault.element) == (STEP, 3, 0)
    assert found.rerun is not None
    assert found.rerun.agrees == (True, False)


def test_diff_of_runs_of_different_lengths_compares_the_common_part(made, tmp_path) -> None:
    train(tmp_path / "short", until=4)
    sides = open_sides(made / "liar", tmp_path / "short")
    assert compare(sides.first, sides.second, sides.task).fault is None
    train(tmp_path / "short", until=8)
    sides = open_sides(made / "liar", tmp_path / "short")
    found = compare(sides.first, sides.second, sides.task, Executor(1))
    assert found.rerun is not None
    assert found.rerun.agrees == (False, True)


def test_diff_starts_from_the_checkpoint_that_either_side_still_holds(made, tmp_path) -> None:
    pruned = Path(shutil.copytree(made / "honest", tmp_path / "pruned"))
    for path in pruned.glob("step-*"):
        path.unlink()
    assert run_diff_of(pruned, made / "liar").rerun.agrees == (True, False)
    assert run_diff_of(pruned, Path(shutil.copytree(pruned, tmp_path / "again"))).fault is None
    bare = Path(shutil.copytree(made / "liar", tmp_path / "bare"))
    for path in bare.glob("step-*"):
        path.unlink()
    found = run_diff_of(pruned, bare)  # from the initial state, then
    assert found.rerun.agrees == (True, False)
    assert found.state is None


def test_diff_on_a_machine_that_misses_the_agreed_checkpoint_judges_nobody(tmp_path) -> None:
    for name, lie in (("first", OneUlp(1)), ("second", OneUlp(1))):
        train(tmp_path / name, lie, until=8)
        for path in (tmp_path / name).glob("step-*"):
            path.unlink()
    # Both have the wrong checkpoint 2, and part after it.
    for name, root in (("first", bytes(32)), ("second", bytes(31) + b"\x01")):
        with CheckpointLog(tmp_path / name / "log.sqlite") as log:
            log.append(root)
    found = run_diff_of(tmp_path / "first", tmp_path / "second")
    assert found.fault.segment == 3
    assert found.rerun.root is None
    assert found.rerun.agrees == (False, False)
    assert found.against == (None, None)


def run_diff_of(first: Path, second: Path) -> Comparison:
    sides = open_sides(first, second)
    return compare(sides.first, sides.second, sides.task, Executor(1))


def test_damaged_checkpoint_is_told_and_not_believed(made, tmp_path) -> None:
    damaged = Path(shutil.copytree(made / "liar", tmp_path / "damaged"))
    path = damaged / "step-000000000008.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    sides = open_sides(made / "honest", damaged)
    found = compare(sides.first, sides.second, sides.task, Executor(1))
    assert found.state is None
    assert "the file was changed" in sides.second.damages[2]


# ---------------------------------------------------------------------- what cannot be compared


def test_runs_of_different_tasks_are_refused_with_the_fields_that_differ(made, tmp_path) -> None:
    other: Task = regression_task(steps=11, interval=5, width=300)
    other.save(tmp_path / "run" / "task")
    shutil.copy(made / "honest" / "log.sqlite", tmp_path / "run")
    with pytest.raises(RecordError, match=r"different tasks: .* the manifests differ in interval"):
        open_sides(made / "honest", tmp_path / "run")
    with pytest.raises(RecordError, match="different tasks"):
        open_sides(made / "honest-step", made / "liar-step", tmp_path / "run" / "task")


def test_run_of_another_task_than_the_named_one_is_refused(made, tmp_path) -> None:
    regression_task(width=7).save(tmp_path / "task")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(made / "honest" / "log.sqlite", tmp_path / name)
    with pytest.raises(RecordError, match="is a run of another task: its log begins with 0x"):
        open_sides(tmp_path / "a", tmp_path / "b", tmp_path / "task")


def test_run_without_a_task_is_refused_with_what_to_name(made, tmp_path) -> None:
    shutil.copy(made / "honest" / "log.sqlite", tmp_path)
    with pytest.raises(RecordError, match="name the task's folder with --task"):
        open_sides(tmp_path, made / "liar-step")


def test_run_without_a_checkpoint_is_refused(made, tmp_path) -> None:
    train(tmp_path / "new", until=3)
    with pytest.raises(RecordError, match="there is nothing to compare in"):
        open_sides(made / "honest", tmp_path / "new")


def test_folder_that_is_neither_run_nor_receipt_is_refused(made, tmp_path) -> None:
    for path in (tmp_path, tmp_path / "missing", made / "honest" / "log.sqlite"):
        with pytest.raises(RecordError, match="is neither a run nor a receipt"):
            open_sides(made / "honest", path)


def spoil_log(path: Path, *statements: str) -> Path:
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(statement)
    database.close()
    return path


ENDLESS = (
    "CREATE VIEW leaf AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS id, zeroblob(32) AS entry FROM n"
)
BAD_LOGS = {
    "a view without end": ([ENDLESS], "no table of leaves"),
    "no table": ([], "no table of leaves"),
    "empty": (["CREATE TABLE leaf(id INTEGER PRIMARY KEY, entry BLOB)"], "it is empty"),
    "other columns": (["CREATE TABLE leaf(x)"], "SQLite says"),
    "a short entry": (
        ["CREATE TABLE leaf(id INTEGER PRIMARY KEY, entry BLOB)",
         "INSERT INTO leaf VALUES (1, zeroblob(31))"],
        "not a root of 32 bytes",
    ),
    "a huge entry": (
        ["CREATE TABLE leaf(id INTEGER PRIMARY KEY, entry BLOB)",
         "INSERT INTO leaf VALUES (1, zeroblob(33000000))"],
        "not a root of 32 bytes",
    ),
    "a gap": (
        ["CREATE TABLE leaf(id INTEGER PRIMARY KEY, entry BLOB)",
         "INSERT INTO leaf VALUES (2, zeroblob(32))"],
        "in its place",
    ),
    "a text": (
        ["CREATE TABLE leaf(id INTEGER PRIMARY KEY, entry)",
         "INSERT INTO leaf VALUES (1, 'text')"],
        "not a root",
    ),
    "too long": (
        ["CREATE TABLE leaf(id INTEGER PRIMARY KEY, entry BLOB)",
         *[f"INSERT INTO leaf VALUES ({i}, zeroblob(32))" for i in range(1, 6)]],
        "more than 4 entries",
    ),
    "endless column": (
        ["CREATE TABLE leaf(id INTEGER PRIMARY KEY, x, entry GENERATED ALWAYS AS "
         "(zeroblob(30000000)) VIRTUAL)", "INSERT INTO leaf(id) VALUES (1)"],
        "not a root of 32 bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_LOGS)
def test_log_that_a_stranger_made_up_is_refused(case, tmp_path) -> None:
    statements, says = BAD_LOGS[case]
    path = spoil_log(tmp_path / "log.sqlite", *statements)
    with pytest.raises(RecordError, match=says):
        read_log(path, 4)


def test_log_that_is_no_database_is_refused(tmp_path) -> None:
    (tmp_path / "log.sqlite").write_bytes(b"no database" * 1_000)
    with pytest.raises(RecordError, match="SQLite says"):
        read_log(tmp_path / "log.sqlite", 4)


def test_diff_writes_nothing_into_the_folders_that_it_compares(made) -> None:
    def look():
        return {
            path: (path.stat().st_size, path.stat().st_mtime_ns)
            for name in ("honest", "liar", "liar-step")
            for path in (made / name).rglob("*")
        }

    before = look()
    run_diff(made, "honest", "liar")
    run_diff(made, "honest", "liar-step")
    assert look() == before


def test_task_of_the_fixture_is_that_of_the_runs(made) -> None:
    assert open_sides(made / "honest", made / "liar").task.manifest == TASK.manifest
