"""Tasks in the store: what strangers put there is checked against the chain before it is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocol.agents import bundle
from protocol.agents.bundle import TaskRefused, TaskUnreachable, fetch_task, publish_task
from protocol.agents.requester import terms_of
from protocol.cli.demo.world import OFFER
from protocol.program.estimate import estimate_step
from protocol.storage import ContentStore, ContentWrong
from protocol.training import Task
from tests.agents.bad_tasks import BAD


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def assert_same(task: Task, other: Task) -> None:
    assert other.manifest == task.manifest
    assert other.program == task.program
    for mine, theirs in zip((*task.state, *task.data), (*other.state, *other.data), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_task_published_twice_is_fetched_as_it_was(store: ContentStore, task: Task) -> None:
    publish_task(store, task)
    publish_task(store, task)
    assert_same(task, fetch_task(store, terms_of(task, OFFER)))


@pytest.mark.parametrize("name", [name for name in BAD if not name.startswith("too little")])
def test_task_that_is_bad_is_refused_with_what_is_wrong(
    store: ContentStore, task: Task, name: str
) -> None:
    bad = BAD[name]
    terms = bad.publish(store, task, OFFER)
    expected = TaskUnreachable if bad.returns else TaskRefused
    with pytest.raises(expected, match=bad.reason) as refused:
        fetch_task(store, terms)
    assert isinstance(refused.value, TaskUnreachable) == bad.returns


@pytest.mark.parametrize("kind", ["blob", "leaves", "tensor"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "empty", "gone", "a folder"])
def test_task_of_a_damaged_object_is_unreachable(
    store: ContentStore, tmp_path: Path, task: Task, kind: str, damage: str
) -> None:
    publish_task(store, task)
    for path in (tmp_path / "store" / kind).glob("*/*"):
        stored = path.read_bytes()
        path.unlink()
        match damage:
            case "flipped":
                path.write_bytes(bytes([stored[0] ^ 1]) + stored[1:])
            case "cut":
                path.write_bytes(stored[:-1])
            case "longer":
                path.write_bytes(stored + b"\0")
            case "empty":
                path.write_bytes(b"")
            case "a folder":
                path.mkdir()
    with pytest.raises(TaskUnreachable):
        fetch_task(store, terms_of(task, OFFER))


def test_object_that_claims_to_be_huge_takes_no_memory(store: ContentStore, tmp_path: Path) -> None:
    """A sparse file of 4 TiB: asking for what the manifest allows must not allocate it."""
    root = store.put_tensor(b"1234")
    (path,) = (tmp_path / "store" / "tensor").glob("*/*")
    with pytest.raises(ContentWrong, match="4 bytes, expected"):
        store.get_tensor(root, 1 << 43)  # a read of 8 TiB would fail with MemoryError
    with path.open("r+b") as file:
        file.truncate(1 << 42)
    with pytest.raises(ContentWrong, match="larger than the 4 bytes"):
        store.get_tensor(root, 4)


def test_task_above_the_own_limit_is_refused_before_its_tensors_are_read(
    store: ContentStore, tmp_path: Path, task: Task
) -> None:
    publish_task(store, task)
    for path in (tmp_path / "store" / "tensor").glob("*/*"):
        path.unlink()
    terms = terms_of(task, OFFER)
    size = sum(spec.nbytes for spec in (*task.manifest.state, *task.manifest.data))
    with pytest.raises(TaskUnreachable):
        fetch_task(store, terms, most_bytes=size)
    with pytest.raises(TaskRefused, match=f"{size} bytes, at most {size - 1}"):
        fetch_task(store, terms, most_bytes=size - 1)


def test_task_above_the_memory_of_the_machine_is_refused(
    store: ContentStore, task: Task, monkeypatch
) -> None:
    publish_task(store, task)
    terms = terms_of(task, OFFER)
    peak = estimate_step(task.program, task.manifest.data).peak_bytes
    memory = iter([1 << 40, peak - 1, peak - 1])  # room for the files, none for a step
    monkeypatch.setattr(bundle, "machine_memory", lambda: next(memory))
    with pytest.raises(TaskRefused, match=f"takes {peak} bytes .* this machine has {peak - 1}"):
        fetch_task(store, terms, most_bytes=1 << 30)
    size = sum(spec.nbytes for spec in (*task.manifest.state, *task.manifest.data))
    monkeypatch.setattr(bundle, "machine_memory", lambda: 2 * size - 2)
    with pytest.raises(TaskRefused, match=f"{size} bytes, at most {size - 1}"):
        fetch_task(store, terms)


def test_task_with_an_own_copy_needs_the_store_no_more(
    store: ContentStore, tmp_path: Path, task: Task
) -> None:
    publish_task(store, task)
    terms, keep = terms_of(task, OFFER), tmp_path / "keep"
    fetch_task(store, terms, keep)
    nothing = ContentStore(tmp_path / "empty")
    assert_same(task, fetch_task(nothing, terms, keep))
    # Whoever damages the copy sends the agent back to the store.
    data = keep / "data.safetensors"
    data.write_bytes(data.read_bytes()[:-1] + b"\1")
    with pytest.raises(TaskUnreachable):
        fetch_task(nothing, terms, keep)
    assert_same(task, fetch_task(store, terms, keep))
    assert_same(task, fetch_task(nothing, terms, keep))


def test_own_copy_of_another_task_is_not_used(
    store: ContentStore, tmp_path: Path, task: Task
) -> None:
    publish_task(store, task)
    terms, keep = terms_of(task, OFFER), tmp_path / "keep"
    fetch_task(store, terms, keep)
    with pytest.raises(TaskRefused, match=task.manifest.root.hex()):
        fetch_task(store, replace(terms, manifest_root=bytes(32)), keep)
    with pytest.raises(TaskRefused, match="steps is 12 on chain and 11"):
        fetch_task(store, replace(terms, steps=12), keep)
