"""The solver's EIP-712 signatures of new roots, made and read without the contract."""

from __future__ import annotations

from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from protocol.dispute.moves import PositionMove, PostFold, PostSegment, PostTrace
from protocol.dispute.state import (
    ZERO_ADDRESS,
    Position,
    fold_path,
    segment_path,
    trace_path,
)
from tests.dispute.evm import CHAIN_ID


class RootSigner:
    """Signs with the solver's key for one dispute contract."""

    def __init__(self, key: LocalAccount, dispute: str) -> None:
        self._key = key
        self._dispute = dispute

    def _message(self, claim: bytes, path: bytes, root: bytes) -> Any:
        names = ("claimId", "path", "root")
        return encode_typed_data(
            {
                "name": "Pinpoint",
                "version": "1",
                "chainId": CHAIN_ID,
                "verifyingContract": self._dispute,
            },
            {"Root": [{"name": name, "type": "bytes32"} for name in names]},
            dict(zip(names, (claim, path, root), strict=True)),
        )

    def sign(self, p: Position, move: PositionMove) -> bytes:
        match move:
            case PostSegment():
                path, root = segment_path(p.segment), move.segment_root
            case PostTrace():
                path, root = trace_path(p.step), move.trace_root
            case PostFold():
                path, root = fold_path(p.step, p.node, p.element), move.fold_root
            case _:
                raise AssertionError(move)
        message = self._message(p.claim_id, path, root)
        return bytes(self._key.sign_message(message).signature)

    def recover(self, claim: bytes, path: bytes, root: bytes, signature: bytes) -> str:
        if len(signature) != 65:
            return ZERO_ADDRESS
        try:
            message = self._message(claim, path, root)
            return str(Account.recover_message(message, signature=signature)).lower()
        except Exception:  # noqa: BLE001 - eth_account has no common error for bad signatures
            return ZERO_ADDRESS
