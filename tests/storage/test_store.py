"""The content store: what is fetched hashes to its name, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.merkle import root_of_leaves, tensor_root
from protocol.storage import ContentMissing, ContentStore, ContentWrong, objects


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path) -> ContentStore:
    return ContentStore(tmp_path if request.param == "file" else f"memory://{tmp_path.name}")


def test_objects_stored_come_back_under_their_roots(store) -> None:
    leaves = [b"a", b"", b"ccc" * 100]
    tensor = bytes(range(256)) * 9
    assert store.get(store.put(b"hello")) == b"hello"
    assert store.put_leaves(leaves) == root_of_leaves(leaves)
    assert store.get_leaves(root_of_leaves(leaves)) == leaves
    assert store.put_tensor(tensor) == tensor_root(tensor)
    assert store.get_tensor(tensor_root(tensor), len(tensor)) == tensor


def test_object_that_is_not_there_is_missing(store) -> None:
    for get in (store.get, store.get_leaves, lambda name: store.get_tensor(name, 4)):
        with pytest.raises(ContentMissing, match="11" * 32):
            get(b"\x11" * 32)


def damage(folder: Path, kind: str, change) -> None:
    (path,) = (p for p in (folder / kind).rglob("*") if p.is_file())
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data + b"\0",
        lambda data: data[:-1],
        lambda data: b"\xff\xff\xff\xff" + data[4:],
        lambda _: b"",
    ],
    ids=["bit flipped", "byte added", "byte lost", "huge count", "emptied"],
)
@pytest.mark.parametrize("kind", ["blob", "leaves", "tensor"])
def test_object_damaged_in_the_store_is_refused(tmp_path, kind, change) -> None:
    store = ContentStore(tmp_path)
    content = bytes(range(200))
    name = {
        "blob": lambda: store.put(content),
        "leaves": lambda: store.put_leaves([content, content]),
        "tensor": lambda: store.put_tensor(content),
    }[kind]()
    damage(tmp_path, kind, change)
    with pytest.raises(ContentWrong):
        {
            "blob": lambda: store.get(name),
            "leaves": lambda: store.get_leaves(name),
            "tensor": lambda: store.get_tensor(name, len(content)),
        }[kind]()


def test_object_larger_than_asked_for_is_refused(store) -> None:
    name = store.put(bytes(1000))
    with pytest.raises(ContentWrong, match="larger than the 999 bytes"):
        store.get(name, 999)


def test_other_number_of_leaves_than_is_known_is_refused(store, monkeypatch) -> None:
    root = store.put_leaves([b"a", b"b"])
    assert store.get_leaves(root, count=2) == [b"a", b"b"]
    # Before they are split: a million tiny leaves take ten times their bytes.
    monkeypatch.delattr(objects, "split_leaves")
    for count in (1, 3, 0):
        with pytest.raises(ContentWrong, match=f"are 2, expected {count}"):
            store.get_leaves(root, count=count)


def test_names_cannot_leave_the_store(store) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        store.get(b"../../etc/passwd")


def test_store_left_with_half_a_write_still_reads_and_writes(tmp_path) -> None:
    store = ContentStore(tmp_path)
    name = store.put(b"whole")
    folder = next(p for p in (tmp_path / "blob").iterdir())
    (folder / f"{name.hex()}.0123.part").write_bytes(b"ha")
    assert store.get(name) == b"whole"
    assert store.put(b"whole") == name
