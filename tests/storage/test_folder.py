"""A folder holds whole objects or none, whatever happens to the writer or to the disk."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from protocol.storage import ContentMissing, ContentStore, ContentUnreachable, StoreUnusable
from protocol.storage.folder import INCOMING

DATA = bytes(range(250)) * 40
NAME = hashlib.sha256(DATA).digest()
DAY_S = 86400


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / INCOMING).iterdir())


def put_and_get(store: ContentStore) -> None:
    assert store.get(store.put(DATA)) == DATA


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_write_that_the_system_refuses_leaves_nothing_and_succeeds_later(
    tmp_path, monkeypatch, call, number
) -> None:
    store = ContentStore(tmp_path)
    store.put(b"another")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, fail)
        with pytest.raises(StoreUnusable) as caught:
            store.put(DATA)
    assert caught.value.errno == number
    assert str(tmp_path) in str(caught.value)
    assert "10,000 bytes" in str(caught.value)
    assert "bytes are free" in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert ("prune" in str(caught.value)) is (number in (errno.ENOSPC, errno.EDQUOT))
    assert leftovers(tmp_path) == []
    with pytest.raises(ContentMissing):
        store.get(NAME)
    put_and_get(store)


def test_write_beyond_what_a_process_may_write_leaves_nothing() -> None:
    """A real refusal by the kernel, in the middle of the data."""
    program = """
import errno, resource, sys, tempfile
from pathlib import Path
from protocol.storage import ContentStore, StoreUnusable
folder = tempfile.mkdtemp()
store = ContentStore(folder)
store.put(b"small")
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
try:
    store.put(bytes(100_000))
except StoreUnusable as error:
    assert error.errno == errno.EFBIG, error
else:
    raise AssertionError("written")
assert not list(Path(folder, "incoming").iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert store.get(store.put(bytes(100_000))) == bytes(100_000)
print("as it must be")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "as it must be\n", done.stderr


def test_write_that_is_killed_leaves_no_object_and_is_cleared_after_a_day(tmp_path) -> None:
    program = f"""
import os
from protocol.storage import ContentStore
os.fsync = lambda _: None if os.path.isdir(f"/proc/self/fd/{{_}}") else os._exit(9)
ContentStore({str(tmp_path)!r}).put({DATA!r})
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 9
    (partial,) = leftovers(tmp_path)
    store = ContentStore(tmp_path)
    with pytest.raises(ContentMissing):
        store.get(NAME)
    store.open()
    assert leftovers(tmp_path) == [partial]  # perhaps somebody still writes it
    os.utime(tmp_path / INCOMING / partial, (0, 0))
    store.open()
    assert leftovers(tmp_path) == []
    put_and_get(store)


def test_store_in_the_place_of_a_file_is_unusable(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = ContentStore(tmp_path / "file" / "store")
    for use in (store.open, lambda: store.put(b"x")):
        with pytest.raises(StoreUnusable, match="folder you may write to"):
            use()
    with pytest.raises(ContentUnreachable):
        store.get(NAME)


def test_folder_taken_away_is_missed_and_made_again(tmp_path) -> None:
    store = ContentStore(tmp_path / "store")
    store.put(DATA)
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(ContentMissing):
        store.get(NAME)
    put_and_get(store)


def test_object_put_again_is_touched_but_not_written(tmp_path) -> None:
    store = ContentStore(tmp_path)
    store.put(DATA)
    assert store.folder is not None
    path = store.folder.path("blob", NAME)
    os.utime(path, (0, 0))
    inode = path.stat().st_ino
    store.put(DATA)
    assert path.stat().st_ino == inode
    assert path.stat().st_mtime > DAY_S


def test_damaged_object_is_mended_by_putting_it_again(tmp_path) -> None:
    store = ContentStore(tmp_path)
    store.put(DATA)
    assert store.folder is not None
    for damaged in (DATA[:-1] + b"!", DATA[:5], b""):
        store.folder.path("blob", NAME).write_bytes(damaged)
        put_and_get(store)


def test_many_writers_of_one_object_agree(tmp_path) -> None:
    errors = []

    def write() -> None:
        try:
            for n in range(20):
                put_and_get(ContentStore(tmp_path))
                ContentStore(tmp_path).put(n.to_bytes(4, "big"))
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert leftovers(tmp_path) == []
    assert len(list((tmp_path / "blob").glob("*/*"))) == 21
