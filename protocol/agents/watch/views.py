"""What contracts answered, kept until an event says that it may be different by now.

A view belongs to a subject: the task, claim, dispute or commitment whose events announce each
change of it. Views of no subject hold for one block. Several are asked for in one request, where
the client can do that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_typing import BlockNumber
from web3.exceptions import Web3Exception
from web3.providers.base import JSONBaseProvider

if TYPE_CHECKING:
    from web3.contract import Contract

    from protocol.chain.client import Chain

log = logging.getLogger(__name__)

VIEWS_PER_REQUEST: Final = 100
"""Nodes refuse longer batches, and answer them late."""

FACTS: Final = b"facts:"
"""Prefix of the subject of what never changes while a claim lives."""


@dataclass(frozen=True)
class View:
    """A question to a contract; `subject` None: its answer holds for one block."""

    contract: Contract
    function: str
    arguments: tuple[Any, ...]
    subject: bytes | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it apart."""
        return (self.contract.address, self.function, self.arguments)


class Views:
    """Answers of a chain's contracts as of one block.

    Args:
        chain: whom to ask.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._number = BlockNumber(0)
        self._kept: dict[bytes | None, dict[tuple[Any, ...], Any]] = {}
        self._batches = isinstance(chain.w3.provider, JSONBaseProvider)

    def __len__(self) -> int:
        """Number of answers kept."""
        return sum(len(kept) for kept in self._kept.values())

    def move(self, number: int) -> None:
        """Ask as of another block; what has a subject stays."""
        self._number = BlockNumber(number)
        self._kept.pop(None, None)

    def touch(self, subjects: Iterable[bytes]) -> None:
        """Forget what is known of some subjects."""
        for subject in subjects:
            self._kept.pop(subject, None)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def ask(self, view: View) -> Any:
        """The answer, asked for if it is not kept. Reverted."""
        kept = self._kept.get(view.subject, {})
        if view.key not in kept:
            call = view.contract.functions[view.function](*view.arguments)
            self._keep(view, self._chain.call(call, block=self._number))
            return self._kept[view.subject][view.key]
        return kept[view.key]

    def prefetch(self, views: Sequence[View]) -> None:
        """Ask for those that are not kept, many at once; what fails is left for `ask`."""
        missing = [view for view in views if view.key not in self._kept.get(view.subject, {})]
        if not self._batches or len(missing) < 2:
            return
        for start in range(0, len(missing), VIEWS_PER_REQUEST):
            self._ask_at_once(missing[start : start + VIEWS_PER_REQUEST])

    def _ask_at_once(self, views: Sequence[View]) -> None:
        try:
            with self._chain.w3.batch_requests() as batch:
                for view in views:
                    call = view.contract.functions[view.function](*view.arguments)
                    batch.add(call.call(block_identifier=self._number))
                answers = batch.execute()
        except (Web3Exception, ValueError) as error:  # one refusal fails all: ask alone
            log.debug("%d views at once: %s", len(views), error)
            return
        for view, answer in zip(views, answers, strict=True):
            self._keep(view, answer)

    def _keep(self, view: View, answer: Any) -> None:
        self._kept.setdefault(view.subject, {})[view.key] = answer
