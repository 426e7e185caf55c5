"""Stores behind fsspec packages: whatever the package does, an agent gets an answer in time."""

from __future__ import annotations

import asyncio
import errno
import hashlib

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from protocol.storage import (
    ContentMissing,
    ContentStore,
    ContentUnreachable,
    ContentWrong,
    Limits,
    StoreUnusable,
    open_store,
)

DATA = bytes(range(200))
NAME = hashlib.sha256(DATA).digest()


class Bucket(AsyncFileSystem):
    """An object store as its packages are: asynchronous, without folders, with sizes and ranges."""

    protocol = "bucket"
    cachable = False
    objects: dict[str, bytes] = {}  # noqa: RUF012
    trouble: Exception | None = None
    hangs = False
    most_read = 0

    async def _answer(self) -> None:
        if Bucket.hangs:
            await asyncio.sleep(3600)
        if Bucket.trouble:
            raise Bucket.trouble

    async def _info(self, path, **_):
        await self._answer()
        if path not in self.objects:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(self.objects[path]), "type": "file"}

    async def _exists(self, path, **_):
        await self._answer()
        return path in self.objects

    async def _cat_file(self, path, start=None, end=None, **_):
        await self._answer()
        Bucket.most_read = max(Bucket.most_read, end - start)
        return self.objects[path][start:end]

    async def _pipe_file(self, path, value, **_):
        await self._answer()
        self.objects[path] = value


@pytest.fixture
def bucket(monkeypatch) -> type[Bucket]:
    fsspec.register_implementation("bucket", Bucket, clobber=True)
    for name, value in (("objects", {}), ("trouble", None), ("hangs", False), ("most_read", 0)):
        monkeypatch.setattr(Bucket, name, value)
    return Bucket


def test_asynchronous_store_holds_every_kind(bucket) -> None:
    store = open_store("bucket://somewhere/below/")
    leaves = [b"a", b"", b"c" * 50]
    assert store.get(store.put(DATA)) == DATA
    assert store.get(store.put(b"")) == b""
    assert store.get_leaves(store.put_leaves(leaves)) == leaves
    assert store.get_tensor(store.put_tensor(DATA), len(DATA)) == DATA
    assert f"somewhere/below/blob/{NAME.hex()[:2]}/{NAME.hex()}" in bucket.objects
    with pytest.raises(ContentMissing):
        store.get(bytes(32))


def test_object_that_is_there_is_not_written_again(bucket) -> None:
    store = ContentStore("bucket://x")
    store.put(DATA)
    (path,) = bucket.objects
    bucket.objects[path] = b"lie"
    store.put(DATA)
    with pytest.raises(ContentWrong):
        store.get(NAME)


def test_more_than_was_asked_for_is_not_read(bucket) -> None:
    store = ContentStore("bucket://x", Limits(object_bytes=150))
    store.put(DATA)
    with pytest.raises(ContentWrong, match="larger than the 100 bytes"):
        store.get(NAME, 100)
    with pytest.raises(ContentMissing, match="at most 150 are fetched"):
        store.get(NAME)
    assert bucket.most_read == 0


def test_store_that_hangs_is_given_up(bucket) -> None:
    store = ContentStore("bucket://x", Limits(fetch_s=0.2, least_bytes_per_s=1 << 40))
    store.put(DATA)
    bucket.hangs = True
    with pytest.raises(ContentUnreachable, match="not done within") as caught:
        store.get(NAME)
    assert caught.value.timed_out
    with pytest.raises(StoreUnusable, match="took too long"):
        store.put(b"other")
    with pytest.raises(StoreUnusable, match="took too long"):
        store.open()


@pytest.mark.parametrize(
    "trouble",
    [OSError(errno.ENOSPC, "No space"), PermissionError("no"), KeyError("x"), RuntimeError("bad")],
)
def test_error_of_any_package_is_one_of_ours(bucket, trouble) -> None:
    store = ContentStore("bucket://x")
    store.put(DATA)
    bucket.trouble = trouble
    with pytest.raises(ContentUnreachable, match="bucket://x"):
        store.get(NAME)
    for use in (store.open, lambda: store.put(b"other")):
        with pytest.raises(StoreUnusable, match="bucket://x") as caught:
            use()
        assert caught.value.errno == (getattr(trouble, "errno", None) or 0)
    bucket.trouble = None
    assert store.get(store.put(b"other")) == b"other"


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("ipfs", "ipfsspec")])
def test_package_that_is_missing_is_named(scheme, package, monkeypatch) -> None:
    def missing(_):
        raise ImportError(f"Install {package}")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(StoreUnusable, match=f"pip install {package}"):
        ContentStore(f"{scheme}://bucket/path")


def test_scheme_that_nobody_knows_is_refused() -> None:
    with pytest.raises(StoreUnusable, match="choose another address"):
        ContentStore("nosuch://x")


def test_synchronous_store_is_read_up_to_the_limits(monkeypatch, tmp_path) -> None:
    store = ContentStore(f"memory://{tmp_path.name}")
    store.put(DATA)
    monkeypatch.setattr(MemoryFileSystem, "size", lambda *_: None)  # some do not know
    assert store.get(NAME) == DATA
    with pytest.raises(ContentWrong, match="larger than the 100 bytes"):
        store.get(NAME, 100)
    late = ContentStore(
        f"memory://{tmp_path.name}", Limits(fetch_s=1e-9, least_bytes_per_s=1 << 60)
    )
    with pytest.raises(ContentUnreachable) as caught:
        late.get(NAME)
    assert caught.value.timed_out


def test_synchronous_store_that_fails_is_unusable(monkeypatch, tmp_path) -> None:
    store = ContentStore(f"memory://{tmp_path.name}")
    store.open()

    def fail(*_, **__):
        raise OSError(errno.EIO, "broken")

    for name in ("exists", "_open", "size"):
        monkeypatch.setattr(MemoryFileSystem, name, fail)
    for use in (store.open, lambda: store.put(DATA)):
        with pytest.raises(StoreUnusable, match="broken"):
            use()
    with pytest.raises(ContentUnreachable, match="broken"):
        store.get(NAME)
