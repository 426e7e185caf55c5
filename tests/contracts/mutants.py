"""Contracts with one check taken out: a cheat then succeeds, which shows that the check matters."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocol.chain import compiler
from protocol.chain.artifact import Artifact
from protocol.chain.solc import CACHE_DIR, pinned_version, run_solc
from protocol.chain.sources import collect_sources, find_definitions, hash_sources

_CACHE = CACHE_DIR / "mutants"


@dataclass(frozen=True)
class Mutant:
    """`contract`, with `old` in the file `source` (below contracts/) replaced by `new`."""

    contract: str
    source: str
    old: str
    new: str

    def compile(self) -> Artifact:
        """Compile it, or take it from the cache.

        Raises:
            ValueError: `old` is not found exactly once: the check has changed, change the mutant.
        """
        entry = find_definitions()[self.contract].source
        sources = collect_sources(entry)
        name = f"contracts/{self.source}"
        found = sources[name].count(self.old)
        if found != 1:
            raise ValueError(f"{name} has {found} times {self.old!r}; expected it once")
        sources[name] = sources[name].replace(self.old, self.new)
        key = hash_sources(sources, compiler.SETTINGS, pinned_version())
        path = _CACHE / f"{self.contract}-{key[:32]}.json"
        if not path.is_file():
            _CACHE.mkdir(parents=True, exist_ok=True)
            path.write_text(_compile(entry, sources, self.contract).to_json(), encoding="utf-8")
        return Artifact.from_json(path.read_text(encoding="utf-8"))

    def among(self, others: Mapping[str, Artifact]) -> Mapping[str, Artifact]:
        """All contracts, this one in place of the original."""
        return ChainMap({self.contract: self.compile()}, others)  # type: ignore[arg-type]


def _compile(entry: str, sources: dict[str, str], contract: str) -> Artifact:
    # Warnings are let pass: without its check, a parameter may be unused.
    outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {**compiler.SETTINGS, "outputSelection": {entry: {contract: outputs}}},
    }
    unit: dict[str, Any] = run_solc(request)["contracts"][entry][contract]
    return Artifact(
        name=contract,
        source=entry,
        abi=json.loads(json.dumps(unit["abi"])),
        bytecode="0x" + unit["evm"]["bytecode"]["object"],
        deployed_bytecode="0x" + unit["evm"]["deployedBytecode"]["object"],
        source_hash="",
    )
