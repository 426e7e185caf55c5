"""eth-tester's py-evm backend, made deterministic, faster, and open about what failed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from eth.constants import GENESIS_PARENT_HASH
from eth.exceptions import Revert
from eth.vm.spoof import SpoofTransaction
from eth_tester import PyEVMBackend
from web3.exceptions import ContractCustomError, ContractLogicError, ContractPanicError

from protocol.chain.fast_evm import FastVM
from protocol.chain.reverts import ERROR_STRING_SELECTOR, PANIC_SELECTOR

if TYPE_CHECKING:
    from eth.abc import BlockHeaderAPI, ComputationAPI

# Ahead of every wall clock (it is the year 2065): py-evm gives a block the later of the wall clock
# and its parent's time plus one second, so from here on it is always the latter.
GENESIS_TIME_S = 3_000_000_000
BLOCK_GAS_LIMIT = 60_000_000
_BALANCE_OF_CALLERS_WEI = 10**24


class DeterministicBackend(PyEVMBackend):  # type: ignore[misc]
    """A py-evm chain with Prague rules, whose blocks depend on nothing but the calls made.

    Attributes:
        last_computation: The outcome of the latest transaction.
    """

    last_computation: ComputationAPI

    def __init__(self, num_accounts: int) -> None:
        super().__init__(
            genesis_parameters=self.generate_genesis_params(
                {"timestamp": GENESIS_TIME_S, "gas_limit": BLOCK_GAS_LIMIT}
            ),
            genesis_state=self.generate_genesis_state(num_accounts=num_accounts),
            vm_configuration=((0, FastVM),),
        )

    def latest_header(self) -> BlockHeaderAPI:
        """Return the header of the latest mined block."""
        header: BlockHeaderAPI = self.chain.get_canonical_head()
        return header

    def mine_blocks(self, num_blocks: int = 1, coinbase: bytes = b"\0" * 20) -> tuple[bytes, ...]:
        """Mine blocks whose randomness is the hash of their number, and return their hashes."""
        hashes = []
        for _ in range(num_blocks):
            seed = hashlib.sha256(b"%d" % self.chain.header.block_number).digest()
            block = self.chain.mine_block(coinbase=coinbase, mix_hash=seed)
            hashes.append(bytes(block.hash))
        return tuple(hashes)

    def send_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Sign with the sender's key and run in the pending block; return the hash."""
        return self._apply(self._get_normalized_and_signed_evm_transaction(transaction))

    def send_raw_transaction(self, raw_transaction: bytes) -> bytes:
        """Run a signed transaction in the pending block; return its hash."""
        builder = self.chain.get_vm().get_transaction_builder()
        return self._apply(builder.decode(raw_transaction))

    def _apply(self, signed: Any) -> bytes:
        _, _, self.last_computation = self.chain.apply_transaction(signed)
        return bytes(signed.hash)

    def call(self, transaction: dict[str, Any], block_number: Any = "latest") -> bytes:
        """Run a call on the state after a block and return its output.

        Raises:
            ContractLogicError: It failed; the same exceptions as for a node that reports a revert.
        """
        unsigned = self._get_normalized_and_unsigned_evm_transaction(
            {"gas": BLOCK_GAS_LIMIT, **transaction}, block_number
        )
        state = self.chain.get_vm(at_header=self._header_of(block_number)).state
        # As nodes do, let anyone call, with or without ether for the gas.
        if state.get_balance(transaction["from"]) < _BALANCE_OF_CALLERS_WEI:
            state.set_balance(transaction["from"], _BALANCE_OF_CALLERS_WEI)
        computation = state.apply_transaction(SpoofTransaction(unsigned, from_=transaction["from"]))
        if computation.is_error:
            raise to_web3_error(computation)
        return bytes(computation.output)

    def _header_of(self, block_number: Any) -> BlockHeaderAPI:
        if block_number in ("latest", "safe", "finalized"):
            return self.latest_header()
        block = self.get_block_by_number(block_number, full_transaction=False)
        header: BlockHeaderAPI = self.chain.get_canonical_block_header_by_number(block["number"])
        return header

    def revert_to_snapshot(self, snapshot: bytes) -> None:
        """Make the block of that hash the latest again, without running it once more."""
        header = self.chain.get_block_by_hash(snapshot).header
        database = self.chain.chaindb
        database._set_as_canonical_chain_head(database.db, header, GENESIS_PARENT_HASH)
        self.chain.header = self.chain.create_header_from_parent(header)


def to_web3_error(computation: ComputationAPI) -> ContractLogicError:
    """Return the exception that web3 raises when a node reports this failure."""
    if not isinstance(computation.error, Revert):
        # The machine's own reasons (out of gas, invalid opcode) come without data.
        return ContractLogicError(type(computation.error).__name__)
    output, text = bytes(computation.output), "0x" + bytes(computation.output).hex()
    if output[:4] == PANIC_SELECTOR:
        return ContractPanicError(text, data=text)
    if output and output[:4] != ERROR_STRING_SELECTOR:
        return ContractCustomError(text, data=text)
    return ContractLogicError("execution reverted", data=text)
