from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.capture.examples import packages
from protocol.capture.examples.packages import Package, PackageError

MEMBERS = {"package/a.json": b"[1]", "package/b.json": b"[2, 3]"}


def tarred() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, contents in MEMBERS.items():
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
        folder = tarfile.TarInfo("package/folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return raw.getvalue()


def zipped() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, contents in MEMBERS.items():
            archive.writestr(name, contents)
    return raw.getvalue()


def package_of(contents: bytes, archive: str) -> Package:
    digest = hashlib.sha256(contents).hexdigest()
    return Package("npm", "digits", "1.2.3", archive, digest, "MIT")


def client(*words: str):
    """A registry's client that does what a shell says."""
    return lambda *_given: ["sh", "-c", " ".join(words)]


@pytest.mark.parametrize(
    ("contents", "archive"), [(tarred(), "digits-1.2.3.tgz"), (zipped(), "digits-1.2.3-any.whl")]
)
def test_read_of_a_cached_archive_gives_its_members(contents, archive, tmp_path) -> None:
    (tmp_path / archive).write_bytes(contents)
    package = package_of(contents, archive)
    names = ["package/b.json", "package/a.json"]
    assert package.read(names, tmp_path) == [MEMBERS[name] for name in names]
    with pytest.raises(PackageError, match=r"lacks a file: .*package/c.json"):
        package.read(["package/c.json"], tmp_path)


def test_read_of_a_folder_is_refused(tmp_path) -> None:
    package = package_of(tarred(), "digits-1.2.3.tgz")
    (tmp_path / package.archive).write_bytes(tarred())
    with pytest.raises(PackageError, match="folder is no plain file"):
        package.read(["package/folder"], tmp_path)


def test_fetch_of_a_changed_archive_tells_both_hashes(tmp_path) -> None:
    package = package_of(tarred(), "digits-1.2.3.tgz")
    (tmp_path / package.archive).write_bytes(tarred() + b"\0")
    found = hashlib.sha256(tarred() + b"\0").hexdigest()
    with pytest.raises(PackageError, match=f"{found}, expected {package.sha256}"):
        package.fetch(tmp_path)


def test_fetch_keeps_the_archive_and_asks_only_once(tmp_path, monkeypatch) -> None:
    package = package_of(tarred(), "digits-1.2.3.tgz")
    source = tmp_path / "source"
    source.write_bytes(tarred())
    monkeypatch.setattr(Package, "_command", client("cp", str(source), package.archive))
    assert package.fetch(tmp_path / "cache").read_bytes() == tarred()
    monkeypatch.setattr(Package, "_command", client("exit", "1"))
    assert package.read(["package/a.json"], tmp_path / "cache") == [b"[1]"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [package.archive]


def test_fetch_of_another_archive_leaves_nothing_in_the_cache(tmp_path, monkeypatch) -> None:
    package = replace(package_of(tarred(), "digits-1.2.3.tgz"), sha256="0" * 64)
    monkeypatch.setattr(Package, "_command", client("echo", "x", ">", package.archive))
    with pytest.raises(PackageError, match="not the pinned archive"):
        package.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_fetch_by_a_client_that_fails_tells_its_words(tmp_path, monkeypatch) -> None:
    package = package_of(tarred(), "digits-1.2.3.tgz")
    monkeypatch.setattr(Package, "_command", client("echo", "no route", ">&2;", "exit", "3"))
    with pytest.raises(PackageError, match=r"npm ended with 3 and left no file: no route") as told:
        package.fetch(tmp_path)
    assert package.archive in told.value.todo


def test_clients_are_asked_for_exactly_one_version_and_run_nothing(monkeypatch) -> None:
    monkeypatch.setattr(packages, "_npm", lambda: "npm")
    npm = package_of(b"", "digits-1.2.3.tgz")._command(Path("folder"))
    assert npm[:3] == ["npm", "pack", "digits@1.2.3"]
    assert "--ignore-scripts" in npm
    wheel = replace(package_of(b"", "digits-1.2.3-any.whl"), client="pip")._command(Path("folder"))
    assert "digits==1.2.3" in wheel
    assert "--only-binary=:all:" in wheel
    assert "--no-deps" in wheel
