"""A task is put into a folder whole or not at all."""

from __future__ import annotations

import pytest

from protocol.training import placing
from protocol.training.placing import PlaceTaken, place_task, root_in
from protocol.training.task import MANIFEST, Task, TaskError
from tests.training.regression import regression_task

FIRST, SECOND = regression_task(), regression_task(width=7)


@pytest.mark.parametrize("is_there", [False, True])
def test_task_is_placed_in_a_new_or_an_empty_folder(is_there, tmp_path) -> None:
    folder = tmp_path / "deep" / "task"
    if is_there:
        folder.mkdir(parents=True)
    place_task(FIRST, folder)
    assert Task.load(folder).manifest == FIRST.manifest
    assert root_in(folder) == FIRST.manifest.root
    assert [path.name for path in folder.parent.iterdir()] == ["task"]
    assert len(list(folder.iterdir())) == 4


def test_task_that_cannot_be_written_leaves_the_other_as_it_was(tmp_path, monkeypatch) -> None:
    place_task(FIRST, tmp_path / "task")

    def full(*_others: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("protocol.training.task.write_tensors", full)
    with pytest.raises(OSError, match="No space"):
        place_task(SECOND, tmp_path / "task", replace=True)
    assert Task.load(tmp_path / "task").manifest == FIRST.manifest
    assert len(list((tmp_path / "task").iterdir())) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["task"]


@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_replacing_that_is_cut_leaves_one_task_or_none_and_can_be_done_again(
    moved, tmp_path, monkeypatch
) -> None:
    place_task(FIRST, tmp_path / "task")
    calls = 0

    def cut(partial, path) -> None:
        nonlocal calls
        if calls == moved:
            raise KeyboardInterrupt
        calls += 1
        partial.rename(path)

    with monkeypatch.context() as patch:
        patch.setattr(placing, "put_in_place", cut)
        with pytest.raises(KeyboardInterrupt):
            place_task(SECOND, tmp_path / "task", replace=True)
    with pytest.raises(TaskError, match=MANIFEST):
        Task.load(tmp_path / "task")
    place_task(SECOND, tmp_path / "task")
    assert Task.load(tmp_path / "task").manifest == SECOND.manifest


@pytest.mark.parametrize("is_there", [False, True])
def test_folder_in_which_another_process_builds_is_left_alone(is_there, tmp_path) -> None:
    if is_there:
        (tmp_path / "task").mkdir()
    with placing._staging(tmp_path / "task"), pytest.raises(PlaceTaken, match="another process"):
        place_task(FIRST, tmp_path / "task")
    place_task(FIRST, tmp_path / "task")


def test_manifest_that_cannot_be_read_counts_as_another_task(tmp_path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / MANIFEST).write_bytes(b"{")
    assert root_in(tmp_path / "task") == b""
    with pytest.raises(PlaceTaken, match="another task is in"):
        place_task(FIRST, tmp_path / "task")
    place_task(FIRST, tmp_path / "task", replace=True)
    assert root_in(tmp_path / "task") == FIRST.manifest.root
