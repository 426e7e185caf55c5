"""Why a call failed: the custom errors of all contracts that a chain client knows, decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import abi_to_signature, function_abi_to_4byte_selector
from eth_utils.address import to_checksum_address

ERROR_STRING_SELECTOR = bytes.fromhex("08c379a0")
PANIC_SELECTOR = bytes.fromhex("4e487b71")


class Reverted(Exception):
    """A call or transaction reverted.

    Attributes:
        name: The custom error's name; `Error` for a reason string, `Panic` for a compiler's check,
            `Unknown` for a selector that no known ABI has, `Empty` for a revert without data, or
            the virtual machine's own reason, such as `OutOfGas`.
        arguments: The error's arguments in order, as Python values; addresses with checksums.
        data: The raw return data.
    """

    def __init__(self, name: str, arguments: tuple[Any, ...] = (), data: bytes = b"") -> None:
        shown = ", ".join(f"0x{a.hex()}" if isinstance(a, bytes) else repr(a) for a in arguments)
        super().__init__(f"reverted with {name}({shown})")
        self.name = name
        self.arguments = arguments
        self.data = data


class ErrorRegistry:
    """The custom errors of every ABI that was added to it, by selector."""

    def __init__(self) -> None:
        self._errors: dict[bytes, tuple[str, list[str]]] = {}

    def add_abi(self, abi: Iterable[Mapping[str, Any]]) -> None:
        """Remember the errors that an ABI declares."""
        for entry in abi:
            if entry.get("type") == "error":
                signature = abi_to_signature(entry)  # type: ignore[arg-type]
                types = _split_types(signature[signature.index("(") + 1 : -1])
                selector = function_abi_to_4byte_selector(entry)  # type: ignore[arg-type]
                self._errors[bytes(selector)] = (str(entry["name"]), types)

    def decode(self, data: bytes) -> Reverted:
        """Return the exception that the return data of a failed call means."""
        if not data:
            return Reverted("Empty")
        selector, payload = data[:4], data[4:]
        known = {
            ERROR_STRING_SELECTOR: ("Error", ["string"]),
            PANIC_SELECTOR: ("Panic", ["uint256"]),
            **self._errors,
        }
        if selector not in known:
            return Reverted("Unknown", (data,), data)
        name, types = known[selector]
        try:
            values = zip(types, decode(types, payload), strict=True)
        except DecodingError:
            return Reverted("Unknown", (data,), data)
        shown = (to_checksum_address(v) if t == "address" else v for t, v in values)
        return Reverted(name, tuple(shown), data)


def _split_types(types: str) -> list[str]:
    """Split the parameter types of a signature at its top-level commas."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(types):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(types[start:i])
            start = i + 1
    return [*parts, types[start:]] if types else []
