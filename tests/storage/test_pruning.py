"""Pruning removes what nobody can ask for, and nothing that somebody relies on."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from protocol.agents.bundle import publish_task
from protocol.merkle import root_of_leaves, tensor_root
from protocol.storage import ContentMissing, ContentStore, ContentWrong, StoreUnusable
from protocol.storage.folder import INCOMING
from protocol.storage.pruning import Pruned, prune
from tests.training.regression import regression_task

TENSORS = [bytes([n]) * (100 + n) for n in range(6)]
ROOTS = [tensor_root(tensor) for tensor in TENSORS]


@pytest.fixture
def store(tmp_path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def put_state(store: ContentStore, *indices: int) -> bytes:
    """A state of some of the tensors; its root."""
    for index in indices:
        store.put_tensor(TENSORS[index])
    return store.put_leaves([ROOTS[index] for index in indices])


def age(store: ContentStore) -> None:
    """Make everything that is there older than any grace."""
    for path in store.folder.root.glob("*/*/*"):
        os.utime(path, (0, 0))


def has(store: ContentStore, index: int) -> bool:
    try:
        return store.get_tensor(ROOTS[index], len(TENSORS[index])) == TENSORS[index]
    except ContentMissing:
        return False


def test_claim_keeps_its_log_its_states_and_their_tensors(store) -> None:
    log = store.put_leaves([put_state(store, 0, 1), put_state(store, 1, 2)])
    put_state(store, 2, 3)
    store.put(b"somebody's blob")
    age(store)
    done = prune(store, [log])
    assert [has(store, index) for index in range(4)] == [True, True, True, False]
    # The log, two states and three tensors stay; a state, a tensor and a blob go.
    assert (done.kept, done.removed, done.recent) == (6, 3, 0)
    assert done.removed_bytes == (4 + 2 * 36) + len(TENSORS[3]) + len(b"somebody's blob")
    assert done.kept_bytes == sum(
        path.stat().st_size for path in store.folder.root.glob("*/*/*") if path.is_file()
    )
    assert prune(store, [log]).removed == 0


def test_leaves_that_are_no_roots_are_kept_as_they_are(store) -> None:
    fold = store.put_leaves([b"1234", bytes(32), b""])
    age(store)
    assert prune(store, [fold]).kept == 1


def test_nothing_to_keep_empties_the_store(store) -> None:
    put_state(store, 0, 1)
    age(store)
    assert prune(store, []).kept == 0
    assert not list(store.folder.objects())


def test_names_that_are_not_there_are_passed_over(store) -> None:
    state = put_state(store, 0)
    age(store)
    assert prune(store, [bytes(32), state]).kept == 2


def test_dry_run_counts_the_same_and_removes_nothing(store) -> None:
    state = put_state(store, 0, 1)
    put_state(store, 2)
    age(store)
    put_state(store, 3)
    would = prune(store, [state], dry_run=True)
    assert all(has(store, index) for index in range(4))
    assert prune(store, [state]) == would
    assert (would.kept, would.removed, would.recent) == (3, 2, 2)
    assert [has(store, index) for index in range(4)] == [True, True, False, True]


def test_object_put_again_is_as_good_as_new(store) -> None:
    put_state(store, 0, 1)
    age(store)
    store.put_tensor(TENSORS[1])
    prune(store, [])
    assert not has(store, 0)
    assert has(store, 1)


def test_task_keeps_its_program_its_data_and_its_initial_state(store) -> None:
    task = regression_task(steps=3, interval=2, width=8)
    publish_task(store, task)
    put_state(store, 0)
    age(store)
    everything = len(list(store.folder.objects()))
    done = prune(store, [task.manifest.root])
    assert (done.kept, done.removed) == (everything - 2, 2)


def test_damaged_object_that_leads_to_others_stops_the_pruning(store) -> None:
    log = store.put_leaves([put_state(store, 0, 1)])
    put_state(store, 2)
    state = root_of_leaves([ROOTS[0], ROOTS[1]])
    path = store.folder.path("leaves", state)
    whole = path.read_bytes()
    for damaged in (whole[:-1] + b"!", whole[:10], b""):
        path.write_bytes(damaged)
        age(store)
        with pytest.raises(ContentWrong, match="nothing is pruned"):
            prune(store, [log])
        assert all(has(store, index) for index in range(3))
    store.put_leaves([ROOTS[0], ROOTS[1]])
    age(store)
    assert prune(store, [log]).removed == 2


def test_living_object_that_cannot_be_read_stops_the_pruning(store) -> None:
    log = store.put_leaves([put_state(store, 0)])
    put_state(store, 1)
    age(store)
    path = store.folder.path("leaves", log)
    path.unlink()
    path.mkdir()
    with pytest.raises(ContentWrong, match="nothing is pruned"):
        prune(store, [log])
    assert has(store, 1)


def test_writer_that_finds_an_object_being_removed_does_not_lose_it(store, monkeypatch) -> None:
    """The worst moment: the object is put again after its age was looked at."""
    put_state(store, 0)
    age(store)
    rename = Path.rename

    def put_first(self: Path, target: Path) -> Path:
        has_it = has(store, 0)
        store.put_tensor(TENSORS[0])
        assert has_it
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", put_first)
        done = prune(store, [])
    assert has(store, 0)
    assert done.recent >= 1


def test_writer_that_comes_after_the_removal_writes_anew(store, monkeypatch) -> None:
    put_state(store, 0)
    age(store)
    rename = Path.rename

    def put_after(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        store.put_tensor(TENSORS[0])
        return moved

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", put_after)
        prune(store, [])
    assert has(store, 0)


def test_prune_that_was_killed_is_undone_when_the_store_is_opened(store, monkeypatch) -> None:
    state = put_state(store, 0)
    age(store)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prune(store, [])
    assert len(list((store.folder.root / INCOMING).glob("*.pruned"))) == 1
    store.open()
    assert not list((store.folder.root / INCOMING).glob("*.pruned"))
    assert has(store, 0)
    assert store.get_leaves(state) == [ROOTS[0]]


def test_second_prune_at_the_same_time_is_refused(store) -> None:
    put_state(store, 0)
    age(store)
    with (
        FileLock(store.folder.root / INCOMING / "prune.lock"),
        pytest.raises(StoreUnusable, match="another prune"),
    ):
        prune(store, [])
    assert prune(store, []).removed == 2


def test_object_that_cannot_be_removed_is_named(store, monkeypatch) -> None:
    put_state(store, 0)
    age(store)

    def refuse(self: Path, _: Path) -> Path:
        raise OSError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreUnusable, match="Permission denied"):
        prune(store, [])
    assert has(store, 0)


def test_store_that_is_no_folder_is_not_pruned(tmp_path) -> None:
    with pytest.raises(StoreUnusable, match="only a folder"):
        prune(ContentStore(f"memory://{tmp_path.name}"), [])


def test_folder_that_is_not_there_has_nothing_to_prune(store) -> None:
    assert prune(store, []) == Pruned()


def test_writers_lose_nothing_while_pruning_goes_on(store) -> None:
    """Everything old goes, again and again, while writers put old things anew."""
    stop, pruning, lost = threading.Event(), threading.Lock(), []

    def write(first: int) -> None:
        while not stop.is_set():
            for index in range(first, first + 3):
                name = store.put(TENSORS[index])
                with contextlib.suppress(FileNotFoundError):
                    os.utime(store.folder.path("blob", name), (0, 0))  # as if put long ago
                store.put(TENSORS[index])
                try:
                    store.get(name)
                except ContentMissing:
                    # A prune that noticed the second put is putting the object back just now.
                    with pruning:
                        lost.extend([] if store.folder.path("blob", name).exists() else [index])

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 3)]
    for writer in writers:
        writer.start()
    removed = 0
    while removed < 50:
        with pruning:
            removed += prune(store, [], grace_s=60).removed
    stop.set()
    for writer in writers:
        writer.join()
    assert not lost


def test_hash_of_a_blob_that_is_no_manifest_leads_nowhere(store) -> None:
    name = store.put(b'{"version":1}')
    huge = hashlib.sha256(b"x" * 100).digest()
    store.put(b"x" * 100)
    age(store)
    assert prune(store, [name, huge]).kept == 2
