from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from protocol.chain.reverts import ErrorRegistry

ABI = [
    {
        "type": "error",
        "name": "WrongLength",
        "inputs": [
            {"name": "expected", "type": "uint256"},
            {"name": "at", "type": "tuple", "components": [{"name": "x", "type": "uint8[]"}]},
        ],
    }
]


@pytest.fixture
def errors():
    registry = ErrorRegistry()
    registry.add_abi(ABI)
    return registry


def test_decode_known_error_gives_its_name_and_arguments(errors):
    data = keccak(b"WrongLength(uint256,(uint8[]))")[:4]
    data += encode(["uint256", "(uint8[])"], [3, ([1, 2],)])
    found = errors.decode(data)
    assert (found.name, found.arguments, found.data) == ("WrongLength", (3, ((1, 2),)), data)


def test_decode_reason_string_is_called_error(errors):
    found = errors.decode(bytes.fromhex("08c379a0") + encode(["string"], ["no"]))
    assert (found.name, found.arguments) == ("Error", ("no",))


def test_decode_panic_gives_its_code(errors):
    found = errors.decode(bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]))
    assert (found.name, found.arguments) == ("Panic", (0x11,))


def test_decode_without_data_is_called_empty(errors):
    assert errors.decode(b"").name == "Empty"


@pytest.mark.parametrize("data", [b"\x01\x02\x03\x04", b"\x01", keccak(b"x")])
def test_decode_unknown_selector_keeps_the_data(errors, data):
    found = errors.decode(data)
    assert (found.name, found.data) == ("Unknown", data)


def test_decode_truncated_arguments_are_unknown_not_an_exception(errors):
    assert errors.decode(keccak(b"WrongLength(uint256,(uint8[]))")[:4] + b"\x00").name == "Unknown"
