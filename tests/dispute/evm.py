"""The dispute contracts in a fast EVM: vault, judge, claims that a test registers, the dispute.

Accounts are the ones of ``games.py``; the time of each call is given.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pyrevm
from eth_abi import decode, encode
from eth_utils.abi import (
    filter_abi_by_type,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from protocol.chain.compiler import compile_contract
from protocol.dispute.model import Parameters
from protocol.dispute.moves import CommitOpen, Move, Open, Reclaim
from protocol.dispute.refusal import Refusal
from protocol.dispute.state import ClaimFacts, DisputeState, Level, Position, Side

DEPLOYER = "0x" + "d0" * 20
SUPPLY = 10**30
CHAIN_ID = 1


class Contract:
    """One deployed contract: typed calls, and reverts as the custom error's name."""

    def __init__(self, evm: pyrevm.EVM, name: str, *arguments: Any) -> None:
        artifact = compile_contract(name)
        self._evm = evm
        self._functions = _functions(name)
        constructors = filter_abi_by_type("constructor", artifact.abi)
        data = bytes.fromhex(artifact.bytecode[2:])
        if constructors:
            data += encode(get_abi_input_types(constructors[0]), arguments)
        self.address = evm.deploy(DEPLOYER, data)

    def send(self, sender: str, function: str, *arguments: Any) -> Any:
        """Call and keep what it changed. Refusal if it reverts."""
        return self._call(sender, function, arguments, static=False)

    def view(self, function: str, *arguments: Any) -> Any:
        """Call and change nothing."""
        return self._call(DEPLOYER, function, arguments, static=True)

    def _call(self, sender: str, function: str, arguments: tuple[Any, ...], *, static: bool) -> Any:
        selector, inputs, outputs = self._functions[function]
        data = selector + encode(inputs, arguments)
        try:
            output = self._evm.message_call(
                sender, self.address, calldata=data, gas=30_000_000, is_static=static
            )
        except RuntimeError as error:
            raise _refusal(str(error)) from None
        values = decode(outputs, bytes(output))
        return values[0] if len(values) == 1 else values


@cache
def _functions(name: str) -> dict[str, tuple[bytes, list[str], list[str]]]:
    functions = filter_abi_by_type("function", compile_contract(name).abi)
    return {
        f["name"]: (
            bytes(function_abi_to_4byte_selector(f)),
            get_abi_input_types(f),
            get_abi_output_types(f),
        )
        for f in functions
    }


@cache
def _errors() -> dict[bytes, str]:
    names = ("Dispute", "Endgame", "ClaimsHarness", "Vault", "Judge", "MerkleHarness", "IClaims")
    return {
        bytes(function_abi_to_4byte_selector({**error, "type": "function"})): error["name"]
        for name in names
        for error in filter_abi_by_type("error", compile_contract(name).abi)
    }


def _refusal(message: str) -> Refusal:
    match = re.search(r"output: 0x([0-9a-f]*)", message)
    output = bytes.fromhex(match[1]) if match else b""
    return Refusal(_errors().get(output[:4], f"unknown error {message[:200]}"))


class DisputeChain:
    """The contracts, and the moves of ``protocol.dispute`` played on them."""

    def __init__(self, parameters: Parameters, now: int) -> None:
        self.evm = pyrevm.EVM(gas_limit=2**60, spec_id="PRAGUE")
        self.evm.set_balance(DEPLOYER, 10**30)
        self._block = 1
        self.set_time(now)
        self.token = Contract(self.evm, "DevToken", DEPLOYER, SUPPLY)
        self.judge = Contract(self.evm, "Judge")
        self.claims = Contract(self.evm, "ClaimsHarness")
        nonce = self.evm.basic(DEPLOYER).nonce
        promised = _create_address(DEPLOYER, nonce + 1)
        self.vault = Contract(self.evm, "Vault", self.token.address, DEPLOYER, DEPLOYER, promised)
        p = parameters
        self.dispute = Contract(
            self.evm,
            "Dispute",
            self.claims.address,
            self.vault.address,
            self.judge.address,
            (
                p.solver_seconds,
                p.opener_seconds,
                p.grace_seconds,
                p.cover_share,
                p.unrevealed_share,
            ),
        )
        assert self.dispute.address.lower() == promised.lower(), "the vault knows its dispute"

    def set_time(self, now: int) -> None:
        """The time of the calls that follow, in a new block."""
        self._block += 1
        self.evm.set_block_env(pyrevm.BlockEnv(number=self._block, timestamp=now))

    def fund(self, account: str, amount: int) -> None:
        """Vault credit for an account."""
        self.token.send(DEPLOYER, "transfer", account, amount)
        self.token.send(account, "approve", self.vault.address, amount)
        self.vault.send(account, "deposit", amount)

    def register(self, claim_id: bytes, facts: ClaimFacts) -> None:
        """Make a claim disputable."""
        values = tuple(getattr(facts, name) for name in ClaimFacts.__dataclass_fields__)
        self.claims.send(DEPLOYER, "register", claim_id, values)

    def apply(self, dispute_id: bytes, move: Move, sender: str, now: int) -> None:
        """Play a move, as ``Model.apply`` does."""
        self.set_time(now)
        arguments = move.arguments()
        if not isinstance(move, CommitOpen | Open | Reclaim):
            arguments = (dispute_id, *arguments)
        self.dispute.send(sender, move.function, *arguments)

    def position(self, dispute_id: bytes) -> Position:
        """The contract's view."""
        values = list(self.dispute.view("position", dispute_id))
        values[2], values[3] = DisputeState(values[2]), Level(values[3])
        return Position(*values)

    def clock(self, dispute_id: bytes, now: int) -> tuple[Side, int]:
        """The contract's classifier, at a time."""
        self.set_time(now)
        side, deadline = self.dispute.view("clock", dispute_id)
        return Side(side), deadline


def _create_address(sender: str, nonce: int) -> str:
    """Address of a contract that an account creates with a nonce below 128."""
    assert 0 < nonce < 128
    payload = b"\xd6\x94" + bytes.fromhex(sender[2:]) + bytes([nonce])
    return to_checksum_address(keccak(payload)[12:])
