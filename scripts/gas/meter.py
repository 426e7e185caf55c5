"""Notes the gas of every transaction that a chain mines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from protocol.chain.deployment import CONTRACTS, Deployment
from protocol.chain.embedded import EmbeddedChain

# Only what anyone may call: these are the modules' calls of each other, part of other figures.
INTERNAL = {
    *("take", "release", "burn", "openClaim", "convict", "disputeOpened", "disputeClosed"),
    *("settleFallen", "settleFinalised", "settleFee"),
}


class Meter:
    """Gas of whole transactions, by ``Contract.function``.

    Attributes:
        most: The most of each function.
        log: All since it was last cleared, in order.
    """

    def __init__(self) -> None:
        self.most: dict[str, int] = {}
        self.log: list[tuple[str, int]] = []

    def note(self, contract: str, function: str, gas: int) -> None:
        """Enter one transaction."""
        name = f"{contract}.{function}"
        self.most[name] = max(gas, self.most.get(name, 0))
        self.log.append((function, gas))

    @contextmanager
    def on(self, chain: EmbeddedChain, deployment: Deployment) -> Iterator[None]:
        """Enter every transaction to a deployment's contracts that is sent within."""
        names = {deployment.addresses[role]: name for role, name in CONTRACTS.items()}
        send = chain.send

        def metered(fn: Any, *arguments: Any, **options: Any) -> Any:
            receipt = send(fn, *arguments, **options)
            if fn.address in names:
                self.note(names[fn.address], fn.fn_name, receipt["gasUsed"])
            return receipt

        chain.send = metered  # type: ignore[method-assign]
        try:
            yield
        finally:
            del chain.send


def entry_points(abis: dict[str, Any]) -> list[str]:
    """Every function that changes state and that anyone may call, as `Contract.function`."""
    return sorted(
        f"{name}.{entry['name']}"
        for name, abi in abis.items()
        for entry in abi
        if entry["type"] == "function"
        and entry["stateMutability"] not in ("view", "pure")
        and entry["name"] not in INTERNAL
    )
