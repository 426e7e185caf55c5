"""The form of JSON-RPC answers: what the client is about to take apart, looked at first.

A gateway may answer a well-formed JSON object that is none of the chain: an error page's text, a
list, a number. What has not the form that the method's answers have is no answer, so that another
endpoint is asked, and nothing further up meets values of a type that cannot be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_HEX = re.compile(r"0x[0-9a-fA-F]*")


def is_quantity(value: Any) -> bool:
    """A number as 0x and digits."""
    return isinstance(value, str) and len(value) > 2 and bool(_HEX.fullmatch(value))


def is_data(value: Any) -> bool:
    """Bytes as 0x and an even number of digits."""
    return isinstance(value, str) and len(value) % 2 == 0 and bool(_HEX.fullmatch(value))


def is_hash(value: Any) -> bool:
    """32 bytes."""
    return is_data(value) and len(value) == 2 + 64


def _has(value: Any, fields: Mapping[str, Callable[[Any], bool]]) -> bool:
    return isinstance(value, dict) and all(
        name in value and is_right(value[name]) for name, is_right in fields.items()
    )


def is_block(value: Any) -> bool:
    """A block's header, or null for one that the node has not."""
    fields = {
        "number": is_quantity,
        "timestamp": is_quantity,
        "hash": is_hash,
        "parentHash": is_hash,
    }
    if value is None:
        return True
    return _has(value, fields) and is_quantity(value.get("baseFeePerGas", "0x0"))


def is_receipt(value: Any) -> bool:
    """A receipt, or null for a transaction that is not mined."""
    fields = {
        "blockNumber": is_quantity,
        "blockHash": is_hash,
        "status": is_quantity,
        "gasUsed": is_quantity,
        "effectiveGasPrice": is_quantity,
        "logs": is_logs,
    }
    return value is None or _has(value, fields)


def is_logs(value: Any) -> bool:
    """A list of events."""
    fields = {
        "address": lambda v: is_data(v) and len(v) == 2 + 40,
        "data": is_data,
        "topics": lambda v: isinstance(v, list) and all(map(is_hash, v)),
    }
    return isinstance(value, list) and all(_has(entry, fields) for entry in value)


FORMS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "eth_blockNumber": is_quantity,
    "eth_call": is_data,
    "eth_chainId": is_quantity,
    "eth_estimateGas": is_quantity,
    "eth_getBalance": is_quantity,
    "eth_getBlockByHash": is_block,
    "eth_getBlockByNumber": is_block,
    "eth_getCode": is_data,
    "eth_getLogs": is_logs,
    "eth_getTransactionCount": is_quantity,
    "eth_getTransactionReceipt": is_receipt,
    "eth_sendRawTransaction": is_hash,
}
"""Methods that agents use -> whether a result has the method's form."""


def require_answer(method: str, response: Any) -> None:
    """ValueError unless it is an error, or a result of the method's form."""
    if isinstance(response, dict):
        if isinstance(response.get("error"), dict):
            return
        if "result" in response and response.get("error") is None:
            result = response["result"]
            if FORMS.get(method, lambda _: True)(result):
                return
            raise ValueError(f"{method} cannot have the result {_short(result)}")
    raise ValueError(f"neither a result nor an error: {_short(response)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
