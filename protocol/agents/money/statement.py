"""What an account statement is: entries, pots, sums. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.agents.money.rules import Direction, Pot


class UnknownTask(LookupError):
    """No task of the deployment has this id."""


@dataclass(frozen=True)
class Entry:
    """One line of an account: one reason of one movement.

    Attributes:
        block: its number.
        transaction: hash of the transaction.
        pot: which pot it filled or emptied.
        direction: where the money went.
        account: whose credit moved; None if it burned.
        reason: why, as in docs/PROTOCOL.md section 10.
        amount: token wei.
    """

    block: int
    transaction: bytes
    pot: Pot
    direction: Direction
    account: str | None
    reason: str
    amount: int


@dataclass(frozen=True)
class PotLine:
    """A pot's balance, token wei: what the entries add up to, and what the vault holds."""

    pot: Pot
    expected: int
    held: int


@dataclass(frozen=True)
class Totals:
    """Sums of entries, token wei."""

    taken: int = 0
    released: int = 0
    burned: int = 0

    @property
    def net(self) -> int:
        """What an account gained, while its money in pots counts as spent."""
        return self.released - self.taken

    @staticmethod
    def of(entries: Iterable[Entry]) -> Totals:
        """The sums of some entries."""
        sums = dict.fromkeys(Direction, 0)
        for entry in entries:
            sums[entry.direction] += entry.amount
        return Totals(*(sums[direction] for direction in Direction))


@dataclass(frozen=True)
class Statement:
    """The money of one task; or, without a task, of the verifiers' stakes.

    Attributes:
        task_id: the task.
        block: everything is as of this block.
        entries: every movement, in the order of the chain.
        pots: every pot that was ever filled, empty ones as well.
        faults: what does not agree, each a sentence with both values; none if all is explained.
    """

    task_id: bytes | None
    block: int
    entries: tuple[Entry, ...]
    pots: tuple[PotLine, ...]
    faults: tuple[str, ...] = ()

    @property
    def totals(self) -> Totals:
        """Sums of all entries: ``taken = released + burned + locked``."""
        return Totals.of(self.entries)

    @property
    def locked(self) -> int:
        """What the vault still holds in the pots, token wei."""
        return sum(line.held for line in self.pots)

    @property
    def accounts(self) -> dict[str, Totals]:
        """Sums for each account, in the order of their first entries."""
        names = dict.fromkeys(entry.account for entry in self.entries if entry.account is not None)
        return {
            name: Totals.of(entry for entry in self.entries if entry.account == name)
            for name in names
        }

    def locked_of(self, account: str) -> int:
        """What an account has put into pots that still hold it, token wei."""
        return sum(line.held for line in self.pots if line.pot.owner == account)


@dataclass(frozen=True)
class AccountLine:
    """An account's credit in the vault, token wei; ``held`` is what the vault says."""

    account: str
    deposited: int
    withdrawn: int
    taken: int
    released: int
    held: int

    @property
    def expected(self) -> int:
        """What its movements add up to."""
        return self.deposited - self.withdrawn + self.released - self.taken


@dataclass(frozen=True)
class Books:
    """All the money of a deployment.

    Attributes:
        block: everything is as of this block.
        tasks: a statement for each task, in the order of posting.
        stakes: the verifiers' stakes.
        accounts: each credit. What was burned is the credit of the burn address.
        token_balance: what the token says that the vault owns, token wei.
        gifts: tokens that somebody sent to the vault without a deposit, token wei: nobody's.
        faults: what does not agree, those of the statements included; none if all is explained.
    """

    block: int
    tasks: dict[bytes, Statement]
    stakes: Statement
    accounts: tuple[AccountLine, ...]
    token_balance: int
    gifts: int
    faults: tuple[str, ...]
