"""Account statements for people and for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from protocol.agents.money.rules import Direction
from protocol.agents.money.statement import AccountLine, Books, Entry, Statement, Totals
from protocol.cli.live import short_id
from protocol.cli.output import Column, format_tokens, print_line, print_table

SIGNS = {Direction.TAKEN: -1, Direction.RELEASED: 1, Direction.BURNED: 1}


def statement_json(statement: Statement) -> dict[str, Any]:
    """A statement as plain values; amounts are token wei."""
    return {
        "block": statement.block,
        "entries": [_entry_json(entry) for entry in statement.entries],
        "accounts": {
            account: {**_totals_json(totals), "locked": statement.locked_of(account)}
            for account, totals in statement.accounts.items()
        },
        "total": {**_totals_json(statement.totals), "locked": statement.locked},
        "pots": [
            {
                **asdict(line.pot),
                "expected": line.expected,
                "held": line.held,
            }
            for line in statement.pots
        ],
        "unexplained": len(statement.faults),
        "faults": list(statement.faults),
    }


def books_json(books: Books) -> dict[str, Any]:
    """The books of a deployment as plain values; amounts are token wei."""
    return {
        "block": books.block,
        "unexplained": len(books.faults),
        "faults": list(books.faults),
        "token_balance": books.token_balance,
        "gifts": books.gifts,
        "accounts": {line.account: _account_json(line) for line in books.accounts},
        "tasks": {f"0x{key.hex()}": statement_json(each) for key, each in books.tasks.items()},
        "stakes": statement_json(books.stakes),
    }


def print_statement(statement: Statement, names: dict[str, str]) -> None:
    """Every movement, the sums for each account, and what is still locked, exact to the wei."""
    print_line()
    print_table(
        [Column("block"), Column("account"), Column("why"), Column("tokens", "right")],
        [
            (entry.block, _name(entry.account, names), entry.reason, _signed(entry))
            for entry in statement.entries
        ],
        title="money: every movement",
    )
    print_table(
        [Column("account"), *(Column(name, "right") for name in ("in", "out", "net", "locked"))],
        [
            (
                _name(account, names),
                *(format_tokens(amount, full=True) for amount in (totals.taken, totals.released)),
                format_tokens(totals.net, full=True, signed=True),
                format_tokens(statement.locked_of(account), full=True),
            )
            for account, totals in statement.accounts.items()
        ],
        title="money: sums (in: into the task, out: back to the account)",
    )
    totals = statement.totals
    print_line(
        f"{format_tokens(totals.taken, full=True)} in = "
        f"{format_tokens(totals.released, full=True)} out + "
        f"{format_tokens(totals.burned, full=True)} burned + "
        f"{format_tokens(statement.locked, full=True)} still locked"
    )
    for line in statement.pots:
        if line.held:
            what = f"{line.pot.what} of {_name(line.pot.owner, names)}"
            print_line(f"  locked: {format_tokens(line.held, full=True)} ({what})")
    print_faults(statement.faults)


def print_books(books: Books) -> None:
    """Credits, tasks and the token balance."""
    columns = ("deposited", "withdrawn", "into pots", "out of pots", "credit")
    print_table(
        [Column("account"), *(Column(name, "right") for name in columns)],
        [
            (
                line.account,
                *(
                    format_tokens(amount, full=True)
                    for amount in (
                        *(line.deposited, line.withdrawn, line.taken, line.released),
                        line.held,
                    )
                ),
            )
            for line in books.accounts
        ],
        title=f"vault credits at block {books.block} (tokens)",
    )
    parts = [*((short_id(key), each) for key, each in books.tasks.items())]
    print_table(
        [Column("task"), *(Column(name, "right") for name in ("in", "out", "burned", "locked"))],
        [_sums(name, each) for name, each in (*parts, ("stakes", books.stakes))],
        title="pots",
    )
    credit = sum(line.held for line in books.accounts)
    locked = sum(each.locked for _, each in parts) + books.stakes.locked
    print_line(
        f"the vault owns {format_tokens(books.token_balance, full=True)} = "
        f"{format_tokens(credit, full=True)} credits + {format_tokens(locked, full=True)} locked + "
        f"{format_tokens(books.gifts, full=True)} sent to it by mistake"
    )
    print_faults(books.faults)


def print_faults(faults: tuple[str, ...]) -> None:
    """Whether all is explained, and what is not."""
    if not faults:
        print_line("every balance is explained to the wei")
    for fault in faults:
        print_line(f"NOT EXPLAINED: {fault}")


def _sums(name: str, statement: Statement) -> tuple[str, ...]:
    totals = statement.totals
    amounts = (totals.taken, totals.released, totals.burned, statement.locked)
    return (name, *(format_tokens(amount, full=True) for amount in amounts))


def _signed(entry: Entry) -> str:
    return format_tokens(SIGNS[entry.direction] * entry.amount, full=True, signed=True)


def _name(account: str | None, names: dict[str, str]) -> str:
    if account is None:
        return "burned"
    return f"{short_id(account)} {names[account]}" if account in names else account


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "block": entry.block,
        "transaction": entry.transaction,
        "account": entry.account,
        "direction": entry.direction.value,
        "reason": entry.reason,
        "amount": entry.amount,
        "pot": entry.pot.key,
    }


def _totals_json(totals: Totals) -> dict[str, int]:
    return {**asdict(totals), "net": totals.net}


def _account_json(line: AccountLine) -> dict[str, int]:
    values = asdict(line)
    del values["account"]
    return {**values, "expected": line.expected}
