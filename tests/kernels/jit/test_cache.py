"""Only code that this user alone can have written is executed again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protocol.kernels.jit.cache import HEADER, CacheWarning, CodeCache, cache_directory, key_of
from protocol.kernels.jit.compile import compile_object
from tests.kernels.jit.regions import softmax

KEY = key_of("a module", "a target")


@pytest.fixture
def cache(tmp_path: Path) -> CodeCache:
    return CodeCache(tmp_path / "jit")


def test_cache_stored_code_is_found_again(cache: CodeCache, tmp_path: Path) -> None:
    assert cache.get(KEY) is None
    cache.put(KEY, b"code")
    assert cache.get(KEY) == b"code"
    assert (tmp_path / "jit").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "jit" / KEY).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "jit").iterdir()] == [KEY]


@pytest.mark.parametrize("at", [0, len(HEADER), len(HEADER) + 31, -1])
def test_cache_changed_byte_is_not_trusted(cache: CodeCache, tmp_path: Path, at: int) -> None:
    cache.put(KEY, b"code")
    path = tmp_path / "jit" / KEY
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.warns(CacheWarning, match="digest"):
        assert cache.get(KEY) is None


@pytest.mark.parametrize("length", [0, 5, len(HEADER) + 32])
def test_cache_short_file_is_not_trusted(cache: CodeCache, tmp_path: Path, length: int) -> None:
    cache.put(KEY, b"code")
    path = tmp_path / "jit" / KEY
    path.write_bytes(path.read_bytes()[:length])
    with pytest.warns(CacheWarning, match="digest"):
        assert cache.get(KEY) is None


def test_cache_code_of_another_key_is_not_trusted(cache: CodeCache, tmp_path: Path) -> None:
    cache.put(KEY, b"code")
    other = key_of("another module", "a target")
    (tmp_path / "jit" / KEY).rename(tmp_path / "jit" / other)
    with pytest.warns(CacheWarning, match="digest"):
        assert cache.get(other) is None


def test_cache_file_that_others_may_write_is_not_trusted(cache: CodeCache, tmp_path: Path) -> None:
    cache.put(KEY, b"code")
    (tmp_path / "jit" / KEY).chmod(0o620)
    with pytest.warns(CacheWarning, match="0620"):
        assert cache.get(KEY) is None


def test_cache_folder_that_others_may_write_is_not_used(cache: CodeCache, tmp_path: Path) -> None:
    cache.put(KEY, b"code")
    (tmp_path / "jit").chmod(0o770)
    with pytest.warns(CacheWarning, match="0770"):
        assert cache.get(KEY) is None
    with pytest.warns(CacheWarning, match="0770"):
        cache.put(KEY, b"more")
    (tmp_path / "jit").chmod(0o700)
    assert cache.get(KEY) == b"code"


def test_cache_link_to_elsewhere_is_not_followed(cache: CodeCache, tmp_path: Path) -> None:
    cache.put(KEY, b"code")
    path = tmp_path / "jit" / KEY
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(CacheWarning):
        assert cache.get(KEY) is None


def test_cache_folder_that_cannot_be_made_warns(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.warns(CacheWarning, match="cannot be written"):
        CodeCache(tmp_path / "file" / "jit").put(KEY, b"code")


def test_cache_directory_follows_variable_then_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINPOINT_CACHE", "/somewhere")
    assert cache_directory() == Path("/somewhere/jit")
    monkeypatch.delenv("PINPOINT_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_directory() == Path("/xdg/pinpoint/jit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == Path.home() / ".cache" / "pinpoint" / "jit"


def test_key_parts_do_not_run_into_each_other() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
    assert len(KEY) == 64
    assert os.sep not in KEY


def test_cache_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("could not determine home directory")

    monkeypatch.delenv("PINPOINT_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache_directory() is None
    cache = CodeCache(None)
    cache.put(KEY, b"code")
    assert cache.get(KEY) is None


def test_cache_program_with_a_broken_file_still_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINPOINT_CACHE", str(tmp_path))
    first, _ = compile_object(softmax(3, 17), "avx2")
    (path,) = (tmp_path / "jit").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(CacheWarning, match="digest"):
        assert compile_object(softmax(3, 17), "avx2") == (first, _)
    assert compile_object(softmax(3, 17), "avx2") == (first, _)
