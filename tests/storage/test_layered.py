"""An agent's store: its own first, then the others, none of whom can hide what another has."""

from __future__ import annotations

import errno
import hashlib
import threading

import pytest

from protocol.merkle import tensor_root
from protocol.storage import (
    ContentMissing,
    ContentStore,
    ContentWrong,
    Limits,
    StoreUnusable,
    open_store,
)
from protocol.storage.server import ContentServer
from tests.storage import hostile
from tests.storage.hostile import serving, whole

DATA = bytes(range(100))
NAME = hashlib.sha256(DATA).digest()
LIMITS = Limits(fetch_s=5.0, allow_private=True)


@pytest.fixture
def honest(tmp_path):
    ContentStore(tmp_path / "honest").put(DATA)
    with ContentServer(tmp_path / "honest") as server:
        yield server


def test_all_kinds_written_are_read_back_from_the_own_store(tmp_path) -> None:
    store = open_store(tmp_path / "own")
    leaves = [b"a", b"", b"c" * 40]
    assert store.get(store.put(DATA)) == DATA
    assert store.get_leaves(store.put_leaves(leaves)) == leaves
    assert store.get_tensor(store.put_tensor(DATA), len(DATA)) == DATA
    assert ContentStore(tmp_path / "own").get(NAME) == DATA


def test_own_store_is_asked_first(tmp_path, honest) -> None:
    store = open_store(tmp_path / "own", [honest.url], LIMITS)
    store.put(DATA)
    assert store.get(NAME) == DATA
    assert honest.counters.requests == 0


@pytest.mark.parametrize("keep", [True, False])
def test_what_was_fetched_is_kept_if_asked_for(tmp_path, honest, keep) -> None:
    store = open_store(tmp_path / "own", [honest.url], LIMITS, keep=keep)
    assert store.get(NAME) == DATA
    assert store.get(NAME) == DATA
    assert honest.counters.requests == (1 if keep else 2)


def test_writes_go_to_the_own_store_alone(tmp_path) -> None:
    store = open_store(tmp_path / "own", [str(tmp_path / "other")], LIMITS)
    store.put(DATA)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "behaviour",
    [
        hostile.resetting, hostile.huge_header, hostile.endless, whole(b"lie"), whole(b""),
        hostile.bomb(1 << 20), hostile.answer("500 Oops"), hostile.answer("404 Not Found"),
    ],
    ids=["reset", "header", "endless", "lie", "empty", "bomb", "500", "404"],
)  # fmt: skip
def test_bad_source_does_not_hide_a_good_one(tmp_path, honest, behaviour) -> None:
    with serving(behaviour) as bad:
        store = open_store(tmp_path / "own", [bad, honest.url], LIMITS)
        assert store.get(NAME, 5000) == DATA


def test_slow_source_does_not_hide_a_good_one(tmp_path, honest) -> None:
    impatient = Limits(fetch_s=0.3, allow_private=True)
    with serving(hostile.dripping) as bad:
        store = open_store(tmp_path / "own", [bad, honest.url], impatient)
        assert store.get(NAME) == DATA


def test_bad_source_is_asked_last_for_a_while_and_named_once(tmp_path, honest, caplog) -> None:
    asked = []

    def lie(connection, path):
        asked.append(path)
        whole(b"lie")(connection, path)

    with serving(lie) as bad:
        store = open_store(tmp_path / "own", [bad, honest.url], LIMITS, keep=False)
        assert [store.get(NAME) for _ in range(5)] == [DATA] * 5
        assert len(asked) == 1
        honest.stop()
        with pytest.raises(ContentMissing, match="lies"):
            store.get(NAME)
        assert len(asked) == 2
    assert [bad in record.getMessage() for record in caplog.records] == [True, False]


def test_object_that_nobody_has_is_missing_with_a_reason_for_each(tmp_path, honest) -> None:
    other = b"\x77" * 32
    with serving(whole(b"lie")) as liar, serving(hostile.answer("500 Oops")) as broken:
        read = [liar, broken, honest.url, str(tmp_path / "folder")]
        store = open_store(tmp_path / "own", read, LIMITS)
        with pytest.raises(ContentMissing) as caught:
            store.also(lambda: ["ftp://stranger"]).get(other)
    head, *lines, advice = str(caught.value).split("\n")
    assert head == f"no store has blob {other.hex()}:"
    for label, why in (
        (str(tmp_path / "own"), "no blob"),
        (liar, "lies, or is damaged"),
        (broken, "answered 500"),
        (honest.url, "no blob"),
        (str(tmp_path / "folder"), "no blob"),
        ("ftp://stranger", "refused"),
    ):
        assert any(label in line and why in line for line in lines), label
    assert "docs/operate/store.md" in advice


def test_damaged_own_copy_is_replaced_from_elsewhere(tmp_path, honest) -> None:
    store = open_store(tmp_path / "own", [honest.url], LIMITS)
    store.put(DATA)
    path = store.own.folder.path("blob", NAME)
    path.write_bytes(DATA[:-1] + b"!")
    assert store.get(NAME) == DATA
    assert path.read_bytes() == DATA


def test_full_disk_does_not_stop_reading(tmp_path, honest, monkeypatch, caplog) -> None:
    store = open_store(tmp_path / "own", [honest.url], LIMITS)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert store.get(NAME) == DATA
        with pytest.raises(StoreUnusable, match="No space left"):
            store.put(b"x")
    assert "not kept" in caplog.text
    store.put(b"x")


def test_announced_stores_are_read_as_they_are_at_the_time(tmp_path, honest) -> None:
    announced: list[str] = []
    store = open_store(tmp_path / "own", (), LIMITS, lambda: announced)
    with pytest.raises(ContentMissing):
        store.get(NAME)
    announced.append(honest.url + "/")
    assert store.get(NAME) == DATA


def test_store_of_one_task_reads_its_announced_stores_and_shares_what_is_known(
    tmp_path, honest
) -> None:
    with serving(whole(b"lie")) as bad:
        store = open_store(tmp_path / "own", (), LIMITS, keep=False)
        one = store.also(lambda: [bad, honest.url])
        two = one.also(lambda: [bad])
        with pytest.raises(ContentMissing):
            store.get(NAME)
        assert one.get(NAME) == DATA
        assert two.get(NAME) == DATA
        assert [source.label for source in two._sources([])] == [honest.url, bad]
        one.put(b"new")
        assert store.own.get(hashlib.sha256(b"new").digest()) == b"new"


def test_list_of_announced_stores_that_fails_does_not_hide_the_known_ones(tmp_path, honest) -> None:
    def down():
        raise ConnectionError("the chain is down")

    store = open_store(tmp_path / "own", [honest.url], LIMITS, down)
    assert store.get(NAME) == DATA
    with pytest.raises(ContentMissing, match="the chain is down"):
        store.get(bytes(32))


def test_very_many_announced_stores_are_not_all_asked(tmp_path) -> None:
    asked = []

    def missing(connection, path):
        asked.append(path)
        hostile.answer("404 Not Found", "Content-Length: 0\r\n")(connection, path)

    with serving(missing) as url:
        limits = Limits(sources=3, allow_private=True)
        store = open_store(tmp_path, (), limits, lambda: (f"{url}/{n}" for n in range(10**9)))
        with pytest.raises(ContentMissing):
            store.get(NAME)
    assert len(asked) == 3


def test_private_address_that_a_stranger_announced_is_not_asked(tmp_path, honest) -> None:
    store = open_store(tmp_path / "own", (), Limits(), lambda: [honest.url])
    with pytest.raises(ContentMissing, match="not on the public internet"):
        store.get(NAME)
    assert honest.counters.requests == 0


def test_tensor_of_another_length_is_a_lie_of_that_source_alone(tmp_path) -> None:
    root = tensor_root(DATA)
    ContentStore(tmp_path / "good").put_tensor(DATA)
    with serving(whole(DATA[:50])) as bad:
        store = open_store(tmp_path / "own", [bad, str(tmp_path / "good")], LIMITS)
        assert store.get_tensor(root, len(DATA)) == DATA


def test_store_that_cannot_be_written_is_not_opened(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for own in (tmp_path / "file", "http://127.0.0.1:9"):
        with pytest.raises(StoreUnusable):
            open_store(own)
    with pytest.raises(StoreUnusable, match="foo"):
        open_store(tmp_path / "own", ["foo://bar"])


def test_many_threads_read_at_once(tmp_path, honest) -> None:
    datas = [n.to_bytes(4, "big") * 5000 for n in range(24)]
    names = [ContentStore(tmp_path / "honest").put(data) for data in datas]
    store = open_store(tmp_path / "own", [honest.url], LIMITS)
    wrong = []

    def read(shift: int) -> None:
        for n in range(24):
            at = (n + shift) % 24
            try:
                if store.get(names[at]) != datas[at]:
                    wrong.append(at)
            except (ContentMissing, ContentWrong) as error:
                wrong.append(error)

    threads = [threading.Thread(target=read, args=(shift,)) for shift in range(0, 24, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
