"""A task folder comes back as it was, or is refused with the reason."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from protocol.program.canonical import encode_program
from protocol.program.manifest import Manifest
from protocol.program.validate import InvalidProgram
from protocol.training import Task, TaskError, TensorError
from tests.training.regression import regression_task


@pytest.fixture
def folder(tmp_path) -> Path:
    regression_task().save(tmp_path)
    return tmp_path


def test_task_saved_comes_back_with_the_same_roots(folder) -> None:
    saved, loaded = regression_task(), Task.load(folder)
    assert loaded.manifest == saved.manifest
    assert loaded.program == saved.program
    for ours, theirs in zip(saved.state + saved.data, loaded.state + loaded.data, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.tobytes() == theirs.tobytes()
    assert sorted(path.name for path in folder.iterdir()) == [
        "data.safetensors", "manifest.json", "program.bin", "state.safetensors",
    ]  # fmt: skip


def change_manifest(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps(manifest | fields, sort_keys=True, separators=(",", ":")))


@pytest.mark.parametrize(
    ("field", "what"),
    [("program_root", "program"), ("data_root", "data"), ("initial_state_root", "initial state")],
)
def test_task_of_another_root_is_refused_with_both_roots(folder, field, what) -> None:
    right = json.loads((folder / "manifest.json").read_bytes())[field]
    change_manifest(folder, **{field: "00" * 32})
    with pytest.raises(TaskError, match=rf"{what} root is 0x{right}, .* says 0x0000"):
        Task.load(folder)


def change_tensors(folder: Path, file: str, change) -> None:
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file)


def flip_bit(tensors) -> None:
    tensors["state.0"].view("<u4")[299] ^= 1


def foreign_nan(tensors) -> None:
    tensors["state.0"].view("<u4")[17] = 0xFFC00000


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (flip_bit, TaskError, "initial state root"),
        (foreign_nan, TensorError, "weight holds the NaN 0xffc00000 at element 17"),
        (lambda t: t.pop("state.1"), TensorError, "expected exactly state.0 to state.4"),
        (lambda t: t.update(more=t["state.1"]), TensorError, "holds 6 tensors"),
        (
            lambda t: t.update({"state.0": t["state.0"][:-1].copy()}),
            TensorError,
            r"state.0 \(weight\) has dtype and shape \('F32', \(299,\)\)",
        ),
        (
            lambda t: t.update({"state.1": t["state.1"].astype("<i8")}),
            TensorError,
            r"state.1 \(step\) has dtype and shape \('I64'",
        ),
    ],
    ids=["bit", "foreign NaN", "missing", "more", "shape", "dtype"],
)
def test_task_with_a_changed_state_is_refused(folder, change, error, message) -> None:
    change_tensors(folder, "state.safetensors", change)
    with pytest.raises(error, match=message):
        Task.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data + b"\0", "1 bytes after its 13 leaves"),
        (lambda data: data[:-1], "ends within leaf 12 of 13"),
        (lambda data: b"\xff" * 4 + data[4:], "ends within leaf 0"),
        (lambda data: data[:4] + b"\x07" + data[5:], "node tag"),
        (lambda data: data * 50, "larger than"),
        (lambda _: b"", "ends within leaf 0"),
    ],
    ids=["longer", "shorter", "huge length", "bad tag", "huge file", "empty"],
)
def test_task_with_a_damaged_program_is_refused(folder, change, message) -> None:
    path = folder / "program.bin"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(TaskError, match=message):
        Task.load(folder)


def test_task_with_an_invalid_program_is_refused(folder) -> None:
    task = regression_task()
    late = dataclasses.replace(task.program.nodes[2].operands[0], index=7)
    node = dataclasses.replace(
        task.program.nodes[2], operands=(late, *task.program.nodes[2].operands[1:])
    )
    nodes = (*task.program.nodes[:2], node, *task.program.nodes[3:])
    program = dataclasses.replace(task.program, nodes=nodes)
    leaves = encode_program(program)
    (folder / "program.bin").write_bytes(b"".join(struct.pack(">I", len(x)) + x for x in leaves))
    with pytest.raises(InvalidProgram, match="node 2"):
        Task.load(folder)


@pytest.mark.parametrize("file", ["manifest.json", "program.bin", "data.safetensors"])
def test_task_without_a_file_is_refused_by_its_name(folder, file) -> None:
    (folder / file).unlink()
    with pytest.raises((TaskError, TensorError), match=rf"cannot read .*{file}"):
        Task.load(folder)


def test_task_with_tensor_files_that_are_not_safetensors_is_refused(folder) -> None:
    (folder / "state.safetensors").write_bytes(b"\x80\x04pickle" * 10)
    with pytest.raises(TensorError, match="cannot read"):
        Task.load(folder)


def test_task_create_refuses_tensors_that_do_not_fit() -> None:
    task = regression_task()
    for state, error, message in [
        ((task.state[0][:-1].copy(), *task.state[1:]), TensorError, "weight has shape"),
        ((task.state[0].astype("<f8"), *task.state[1:]), TensorError, "weight has dtype float64"),
        (task.state[:-1], TaskError, "4 state tensors, the manifest has 5"),
    ]:
        with pytest.raises(error, match=message):
            Task(task.manifest, task.program, state, task.data).check()


def test_x06_checkpoints_of_any_step_count_end_at_the_last_step() -> None:
    for steps, interval, expected in [
        (11, 4, [0, 4, 8, 11]),
        (8, 4, [0, 4, 8]),
        (3, 3, [0, 3]),
        (1, 1, [0, 1]),
    ]:
        task = regression_task(steps, interval, width=5)
        log = [task.checkpoint_step(i) for i in range(task.manifest.segments + 1)]
        assert log == expected
        covered = [s for m in range(1, len(log)) for s in task.segment_steps(m)]
        assert covered == list(range(steps))
        with pytest.raises(IndexError):
            task.checkpoint_step(len(log))


def test_manifest_reads_back(folder) -> None:
    manifest = Manifest.from_bytes((folder / "manifest.json").read_bytes())
    assert manifest.root == regression_task().manifest.root
    assert np.prod(manifest.state[0].shape) == 300
