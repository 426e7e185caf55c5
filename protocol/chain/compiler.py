"""Compiles the contracts, and packs the production ones with the Python package.

Each file is compiled alone with what it imports, and cached under `.cache/units/` by the hash
of exactly that: changing one contract recompiles only what depends on it. Run as a module
(`make artifacts`) it rewrites `protocol/chain/artifacts/`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import FileLock

from protocol.chain.artifact import PACKED_DIR, Artifact, load_artifact
from protocol.chain.solc import CACHE_DIR, pinned_version, run_solc
from protocol.chain.sources import (
    Definition,
    collect_sources,
    find_definitions,
    hash_sources,
)

__all__ = [
    "SETTINGS",
    "Artifact",
    "CompileError",
    "CompiledArtifacts",
    "compile_contract",
    "compile_contracts",
    "load_artifact",
    "production_names",
    "source_hash",
    "write_artifacts",
]

SETTINGS: dict[str, Any] = {
    "evmVersion": "prague",
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 1000},
    # No metadata in the code: a comment does not change what is deployed.
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
}
_OUTPUTS = [
    "abi",
    "evm.bytecode",
    "evm.deployedBytecode.object",
    "evm.deployedBytecode.immutableReferences",
]
_UNITS_DIR = CACHE_DIR / "units"
_WORKERS = 2


class CompileError(Exception):
    """The compiler refused a source, or warned about one of ours."""


def compile_contract(name: str) -> Artifact:
    """Compile one contract, interface or linkable library, or take it from the cache.

    Raises:
        CompileError: There is no such contract, or the compiler refuses it or warns.
        SolcMissingError: There is no compiler.
    """
    definitions = find_definitions()
    if name not in definitions:
        raise CompileError(
            f"no contract {name!r} under contracts/: found {', '.join(sorted(definitions))}; "
            "check the name"
        )
    return _compile_file(definitions[name].source)[name]


def compile_contracts(*, harness: bool = True) -> dict[str, Artifact]:
    """Compile everything.

    Args:
        harness: Whether to include the contracts that exist only for tests.

    Returns:
        The artefacts by contract name.
    """
    wanted = {n: d for n, d in find_definitions().items() if harness or not d.is_harness}
    files = sorted({d.source for d in wanted.values()})
    with ThreadPoolExecutor(_WORKERS) as pool:
        units = dict(zip(files, pool.map(_compile_file, files), strict=True))
    return {name: units[d.source][name] for name, d in wanted.items()}


class CompiledArtifacts(Mapping[str, Artifact]):
    """All artefacts by name, each compiled when first asked for.

    A source that does not compile thus fails only the tests that use it.
    """

    def __init__(self) -> None:
        self._definitions = find_definitions()

    def __getitem__(self, name: str) -> Artifact:
        return _compile_file(self._definitions[name].source)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __len__(self) -> int:
        return len(self._definitions)


def production_names() -> list[str]:
    """Return the names of the contracts and linkable libraries that are packed, sorted."""
    return sorted(n for n, d in find_definitions().items() if _is_packed(d))


def source_hash(name: str) -> str:
    """Return the hash that an artefact of the present sources carries; compiles nothing."""
    sources = collect_sources(find_definitions()[name].source)
    return hash_sources(sources, SETTINGS, pinned_version())


def write_artifacts() -> list[Path]:
    """Compile the production contracts, rewrite the packed artefacts, and delete stale ones."""
    PACKED_DIR.mkdir(exist_ok=True)
    artifacts = compile_contracts(harness=False)
    written = []
    for name in production_names():
        path = PACKED_DIR / f"{name}.json"
        path.write_text(artifacts[name].to_json(), encoding="utf-8")
        written.append(path)
    for stale in set(PACKED_DIR.glob("*.json")) - set(written):
        stale.unlink()
    load_artifact.cache_clear()
    return written


def _is_packed(definition: Definition) -> bool:
    return definition.kind != "interface" and not definition.is_harness


def _compile_file(source: str) -> dict[str, Artifact]:
    sources = collect_sources(source)
    key = hash_sources(sources, SETTINGS, pinned_version())
    _UNITS_DIR.mkdir(parents=True, exist_ok=True)
    path = _UNITS_DIR / f"{Path(source).stem}-{key[:32]}.json"
    if not path.is_file():
        # Parallel test workers wait for the first one instead of compiling the same file again.
        with FileLock(path.with_suffix(".lock")):
            if not path.is_file():
                unit = _run_compiler(source, sources, key)
                draft = path.with_suffix(f".{os.getpid()}")
                draft.write_text(json.dumps({n: a.to_json() for n, a in unit.items()}))
                draft.replace(path)
    return {n: Artifact.from_json(t) for n, t in json.loads(path.read_text()).items()}


def _run_compiler(source: str, sources: dict[str, str], key: str) -> dict[str, Artifact]:
    from solcx.exceptions import SolcError

    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {**SETTINGS, "outputSelection": {source: {"*": _OUTPUTS}}},
    }
    try:
        output = run_solc(request)
    except SolcError as error:
        raise CompileError(f"{source} does not compile:\n{_explain(error)}") from error
    # Warnings are errors in our own sources; a library's are its authors' concern.
    warnings = [
        e["formattedMessage"]
        for e in output.get("errors", [])
        if e.get("sourceLocation", {}).get("file", source).startswith("contracts/")
    ]
    if warnings:
        raise CompileError(
            f"{source} compiles with warnings, which count as errors:\n" + "\n".join(warnings)
        )
    contracts = output.get("contracts", {}).get(source, {})
    return {name: _to_artifact(name, source, data, key) for name, data in contracts.items()}


def _to_artifact(name: str, source: str, data: dict[str, Any], key: str) -> Artifact:
    evm = data["evm"]
    links = {
        library: [spot["start"] for spot in spots]
        for by_name in evm["bytecode"]["linkReferences"].values()
        for library, spots in by_name.items()
    }
    return Artifact(
        name=name,
        source=source,
        abi=data["abi"],
        bytecode="0x" + evm["bytecode"]["object"],
        deployed_bytecode="0x" + evm["deployedBytecode"]["object"],
        source_hash=key,
        link_references=links,
        immutable_references=sorted(
            [spot["start"], spot["length"]]
            for spots in evm["deployedBytecode"].get("immutableReferences", {}).values()
            for spot in spots
        ),
    )


def _explain(error: Any) -> str:
    """Return the compiler's own messages, without py-solc-x's dump of the whole input."""
    try:
        found = json.loads(error.stdout_data)["errors"]
    except (TypeError, ValueError, KeyError):
        return str(error.stderr_data or error.message)
    return "\n".join(e["formattedMessage"] for e in found)


if __name__ == "__main__":
    for artifact_path in write_artifacts():
        sys.stdout.write(f"{artifact_path.name}\n")
