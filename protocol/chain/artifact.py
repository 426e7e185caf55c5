"""Compiled contracts: what a deployment and a binding need to know of one.

The artefacts of the production contracts are packed with the Python package, so that running the
protocol needs neither a Solidity compiler nor Node. `protocol.chain.compiler` makes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PACKED_DIR = Path(__file__).parent / "artifacts"


class ArtifactError(Exception):
    """A compiled contract is missing, malformed, or cannot be linked."""


@dataclass(frozen=True)
class Artifact:
    """One compiled contract.

    Attributes:
        name: The contract's name, unique in the project.
        source: The file that defines it, relative to the repository.
        abi: The ABI as Solidity's JSON.
        bytecode: Creation code, `0x` and hexadecimal digits; `0x` alone for an interface.
        deployed_bytecode: Runtime code, in the same form.
        source_hash: Hash of the compiler's version, its settings and all sources that matter.
        link_references: Byte offsets in the creation code where the address of an external library
            belongs, by library name.
        immutable_references: Start and length of each place in the runtime code that the
            constructor fills in; the artefact has zeros there.
    """

    name: str
    source: str
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_bytecode: str
    source_hash: str
    link_references: dict[str, list[int]] = field(default_factory=dict)
    immutable_references: list[list[int]] = field(default_factory=list)

    @property
    def code_size(self) -> int:
        """Length of the runtime code in bytes; EIP-170 allows 24,576."""
        return len(self.deployed_bytecode) // 2 - 1

    def is_code(self, code: bytes) -> bool:
        """Whether runtime code is this contract's, whatever its constructor filled in."""
        masked = bytearray(code)
        for start, length in self.immutable_references:
            masked[start : start + length] = bytes(length)
        return "0x" + masked.hex() == self.deployed_bytecode

    def link(self, libraries: Mapping[str, str]) -> str:
        """Return the creation code with the libraries' addresses written in.

        Args:
            libraries: Address (`0x` and 40 digits) of each external library, by its name.

        Raises:
            ArtifactError: An address is missing.
        """
        code = self.bytecode
        for name, offsets in self.link_references.items():
            if name not in libraries:
                raise ArtifactError(
                    f"cannot link {self.name}: it calls the external library {name}, but only "
                    f"{sorted(libraries) or 'no libraries'} were given; deploy {name} first"
                )
            digits = libraries[name].removeprefix("0x").lower()
            for offset in offsets:
                start = 2 + 2 * offset
                code = code[:start] + digits + code[start + 40 :]
        return code

    def to_json(self) -> str:
        """Return the packed form: JSON with sorted keys, one ABI entry per line."""
        entries = ",\n".join("    " + json.dumps(e, sort_keys=True) for e in self.abi)
        rest = {
            "bytecode": self.bytecode,
            "deployedBytecode": self.deployed_bytecode,
            "immutableReferences": self.immutable_references,
            "linkReferences": self.link_references,
            "name": self.name,
            "source": self.source,
            "sourceHash": self.source_hash,
        }
        lines = [f'  "abi": [\n{entries}\n  ]']
        lines += [f'  "{k}": {json.dumps(v, sort_keys=True)}' for k, v in rest.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Artifact:
        """Read the packed form.

        Raises:
            KeyError: A field is missing.
        """
        data = json.loads(text)
        return cls(
            name=data["name"],
            source=data["source"],
            abi=data["abi"],
            bytecode=data["bytecode"],
            deployed_bytecode=data["deployedBytecode"],
            source_hash=data["sourceHash"],
            link_references=data["linkReferences"],
            immutable_references=data["immutableReferences"],
        )


@cache
def load_artifact(name: str) -> Artifact:
    """Return the packed artefact of a production contract.

    Raises:
        ArtifactError: There is none of that name.
    """
    path = PACKED_DIR / f"{name}.json"
    if not path.is_file():
        raise ArtifactError(
            f"no packed artefact of {name!r}: {path.name} is not among {packed_names()}; "
            "check the name, or run `make artifacts` after adding a contract"
        )
    return Artifact.from_json(path.read_text(encoding="utf-8"))


def packed_names() -> list[str]:
    """Return the names of all packed artefacts, sorted."""
    return sorted(path.stem for path in PACKED_DIR.glob("*.json"))


class PackedArtifacts(Mapping[str, Artifact]):
    """The packed artefacts by contract name, each read when first asked for."""

    def __getitem__(self, name: str) -> Artifact:
        try:
            return load_artifact(name)
        except ArtifactError as error:
            raise KeyError(str(error)) from error

    def __iter__(self) -> Iterator[str]:
        return iter(packed_names())

    def __len__(self) -> int:
        return len(packed_names())
