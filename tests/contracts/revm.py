"""A second EVM beside py-evm, in Rust: fast enough for tens of thousands of cases a second."""

from __future__ import annotations

import re
from typing import Any

import pyrevm
from eth_abi import decode, encode
from eth_utils.abi import (
    filter_abi_by_type,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)

from protocol.chain.compiler import compile_contract

_CALLER = "0x" + "11" * 20


class RevertedError(Exception):
    """The call reverted: the name of the custom error ("" if it is another) and its values."""

    def __init__(self, error: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(f"{error}{arguments}")
        self.error = error
        self.arguments = arguments


class Revm:
    """One deployed contract without state; every call is static."""

    def __init__(self, name: str) -> None:
        artifact = compile_contract(name)
        self._evm = pyrevm.EVM(gas_limit=2**60, spec_id="PRAGUE")
        self._evm.set_balance(_CALLER, 10**30)
        self._address = self._evm.deploy(_CALLER, bytes.fromhex(artifact.bytecode[2:]))
        self._functions = {f["name"]: f for f in filter_abi_by_type("function", artifact.abi)}
        self._errors = {
            function_abi_to_4byte_selector({**e, "type": "function"}): e
            for e in filter_abi_by_type("error", artifact.abi)
        }

    def call(self, function: str, *arguments: Any) -> Any:
        """The decoded result, a tuple if there are several.

        Raises:
            RevertedError: The call reverted.
        """
        abi = self._functions[function]
        data = function_abi_to_4byte_selector(abi) + encode(get_abi_input_types(abi), arguments)
        try:
            output = self._evm.message_call(_CALLER, self._address, calldata=data, is_static=True)
        except RuntimeError as error:
            raise self._reverted(str(error)) from None
        values = decode(get_abi_output_types(abi), bytes(output))
        return values[0] if len(values) == 1 else values

    @property
    def gas_used(self) -> int:
        """Gas of the last call as a transaction, calldata and the base fee included."""
        return int(self._evm.result.gas_used)

    def _reverted(self, message: str) -> RevertedError:
        match = re.search(r"output: 0x([0-9a-f]*)", message)
        output = bytes.fromhex(match[1]) if match else b""
        abi = self._errors.get(output[:4])
        if abi is None:
            return RevertedError("", (message,))
        return RevertedError(abi["name"], decode(get_abi_input_types(abi), output[4:]))
