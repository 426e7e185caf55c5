"""Where every wei of a task, or of a whole deployment, came from and went to.

Each movement of the vault is joined with the event of the same transaction that entails it
(`rules`), and what remains is compared with the pots and credits that the vault holds as of one
block. Whatever does not agree, by one wei, is a fault of the statement: a fault of a contract, of
the rules, or of the node.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from eth_typing import BlockNumber, HexStr

from protocol.agents.money.ledger import TRIES, Event, Ledger, read_ledger
from protocol.agents.money.rules import Direction, Expected, Pot, Rules
from protocol.agents.money.statement import (
    AccountLine,
    Books,
    Entry,
    PotLine,
    Statement,
    Totals,
    UnknownTask,
)
from protocol.agents.watch.reader import BLOCKS_PER_QUERY
from protocol.chain.presets import DisputeConstants, MarketConstants

if TYPE_CHECKING:
    from protocol.chain.deployment import Deployment

__all__ = [
    "AccountLine",
    "Books",
    "Direction",
    "Entry",
    "Pot",
    "PotLine",
    "Statement",
    "Totals",
    "UnknownTask",
    "explain_deployment",
    "explain_task",
]

UNEXPLAINED: Final = "unexplained"
MOVEMENTS: Final = {
    "Taken": Direction.TAKEN,
    "Released": Direction.RELEASED,
    "Burned": Direction.BURNED,
}


def explain_task(deployment: Deployment, task_id: bytes, *, first_block: int = 0) -> Statement:
    """Explain every movement of a task's money, and compare its pots with the vault.

    Args:
        deployment: whose task.
        task_id: the task.
        first_block: no event of the deployment is older.

    Raises:
        UnknownTask: there is none.
        ConnectionError: the chain replaces blocks faster than they are read, or nobody answers.
    """
    for _ in range(TRIES):
        replay = _Replay.of(read_ledger(deployment, first_block))
        if task_id not in replay.task_ids:
            raise UnknownTask(f"no task 0x{task_id.hex()} up to block {replay.ledger.block}")
        statement = replay.statement(task_id)
        if replay.ledger.is_current():
            return statement
    raise _out_of_sync()


def explain_deployment(deployment: Deployment, *, first_block: int = 0) -> Books:
    """Explain every pot and every credit of a deployment, and the token balance of its vault.

    Args:
        deployment: whose books.
        first_block: no event of the deployment is older.

    Raises:
        ConnectionError: the chain replaces blocks faster than they are read, or nobody answers.
    """
    for _ in range(TRIES):
        replay = _Replay.of(read_ledger(deployment, first_block))
        books = replay.books(first_block)
        if replay.ledger.is_current():
            return books
    raise _out_of_sync()


def _out_of_sync() -> ConnectionError:
    return ConnectionError(
        f"the chain's latest block was replaced {TRIES} times while accounts were drawn up: "
        "the node is not in sync; use another one or wait"
    )


@dataclass
class _Replay:
    """A ledger whose movements have been joined with what entails them."""

    ledger: Ledger
    rules: Rules
    task_ids: dict[bytes, None] = field(default_factory=dict)
    entries: dict[bytes | None, list[Entry]] = field(default_factory=dict)  # by task
    balances: dict[tuple[str, bytes], int] = field(default_factory=dict)  # of pots
    faults: list[tuple[bytes | None, str]] = field(default_factory=list)  # with their task

    @staticmethod
    def of(ledger: Ledger) -> _Replay:
        """Join everything."""
        # Asked of the contracts: a deployment of somebody else's need not have its preset's.
        rules = Rules(
            MarketConstants(*ledger.ask("market", "constants")),
            DisputeConstants(*ledger.ask("dispute", "parameters")),
        )
        replay = _Replay(ledger, rules)
        for _, events in groupby(ledger.events, key=lambda event: event.transaction):
            replay._join(list(events))
        return replay

    def _join(self, events: list[Event]) -> None:
        """Match the movements of one transaction with those that its other events entail."""
        expected: list[Expected] = []
        for event in events:
            if event.name == "TaskPosted":
                self.task_ids[event.args["taskId"]] = None
            try:
                expected += self.rules.expect(event)
            except KeyError as error:
                self._fault(
                    event.args.get("taskId"),
                    f"{event.name} in block {event.block} is about {_show(error.args[0])}, which "
                    "no earlier event began: is the first block later than the deployment?",
                )
        for event in events:
            if event.source == "vault" and event.name in MOVEMENTS:
                self._match(event, expected)
        for left in expected:
            self._fault(
                left.pot.task_id,
                f"{left.amount} wei should have been {left.direction} ({left.parts[0][0]}) in "
                f"transaction 0x{events[0].transaction.hex()} of block {events[0].block}, but "
                "no such movement is there",
            )

    def _match(self, event: Event, expected: list[Expected]) -> None:
        args, direction = event.args, MOVEMENTS[event.name]
        module = self._role(args["module"])
        account = args.get("account")
        for candidate in expected:
            pot = candidate.pot
            if (module, args["key"], direction, account, args["amount"]) == (
                *(pot.module, pot.key, candidate.direction, candidate.account),
                candidate.amount,
            ):
                expected.remove(candidate)
                self._enter(event, pot, direction, account, candidate.parts)
                return
        unknown = Pot(module, args["key"], "unknown", account or "", None)
        pot = self.rules.pots.setdefault((module, args["key"]), unknown)
        self._enter(event, pot, direction, account, ((UNEXPLAINED, args["amount"]),))
        self._fault(
            pot.task_id,
            f"{args['amount']} wei were {direction} ({pot.what} of {module}, account {account}) "
            f"in transaction 0x{event.transaction.hex()} of block {event.block}, and no event "
            "entails it",
        )

    def _enter(
        self,
        event: Event,
        pot: Pot,
        direction: Direction,
        account: str | None,
        parts: Iterable[tuple[str, int]],
    ) -> None:
        for reason, amount in parts:
            if amount:
                entry = Entry(
                    *(event.block, event.transaction, pot, direction, account, reason, amount)
                )
                self.entries.setdefault(pot.task_id, []).append(entry)
                sign = 1 if direction is Direction.TAKEN else -1
                key = (pot.module, pot.key)
                self.balances[key] = self.balances.get(key, 0) + sign * amount

    def _fault(self, task_id: bytes | None, text: str) -> None:
        self.faults.append((task_id, text))

    def _role(self, address: str) -> str:
        deployment = self.ledger.deployment
        roles = {getattr(deployment, r).address: r for r in ("market", "dispute", "registry")}
        return roles.get(address, address)

    # ------------------------------------------------------------------ statements

    def statement(self, task_id: bytes | None) -> Statement:
        """The money of one task, or of what belongs to no task."""
        entries = tuple(self.entries.get(task_id, ()))
        pots = tuple(
            PotLine(pot, self.balances.get(key, 0), self.ledger.pot(*key))
            for key, pot in self.rules.pots.items()
            if pot.task_id == task_id
        )
        faults = [text for subject, text in self.faults if subject == task_id]
        faults += [
            f"the vault holds {line.held} wei in the {line.pot.what} of {line.pot.owner} "
            f"(pot 0x{line.pot.key.hex()} of {line.pot.module}), its movements add up to "
            f"{line.expected}"
            for line in pots
            if line.held != line.expected
        ]
        statement = Statement(task_id, self.ledger.block, entries, pots)
        totals = statement.totals
        if totals.taken != totals.released + totals.burned + statement.locked:
            faults.append(
                f"{totals.taken} wei went in, but {totals.released} went out, {totals.burned} "
                f"burned and {statement.locked} are locked"
            )
        return replace(statement, faults=tuple(faults))

    # ------------------------------------------------------------------ the whole deployment

    def books(self, first_block: int) -> Books:
        """Everything."""
        tasks = {task_id: self.statement(task_id) for task_id in self.task_ids}
        stakes = self.statement(None)
        accounts = self._accounts()
        faults = [text for subject, text in self.faults if subject not in (None, *tasks)]
        faults += [text for part in (*tasks.values(), stakes) for text in part.faults]
        faults += [
            f"the vault holds a credit of {line.held} wei for {line.account}, its movements add "
            f"up to {line.expected}"
            for line in accounts
            if line.held != line.expected
        ]
        locked = sum(part.locked for part in (*tasks.values(), stakes))
        balance, gifts = self._token(first_block)
        credited = sum(line.held for line in accounts)
        burned = sum(part.totals.burned for part in (*tasks.values(), stakes))
        for what, got, expected in (
            ("the vault's total of pots", self.ledger.ask("vault", "totalPots"), locked),
            ("the vault's total of credits", self.ledger.ask("vault", "totalCredits"), credited),
            ("the vault's total of burned tokens", self.ledger.ask("vault", "totalBurned"), burned),
            ("the vault's balance of tokens", balance, locked + credited + gifts),
        ):
            if got != expected:
                faults.append(f"{what} is {got} wei, everything explained is {expected}")
        faults += self._registry_faults(stakes)
        ledger = self.ledger
        return Books(ledger.block, tasks, stakes, accounts, balance, gifts, tuple(faults))

    def _accounts(self) -> tuple[AccountLine, ...]:
        sums: dict[str, dict[str, int]] = {}
        burn_address: str = self.ledger.ask("vault", "BURN_ADDRESS")
        for event in self.ledger.events:
            if event.source != "vault":
                continue
            account = burn_address if event.name == "Burned" else event.args["account"]
            name = "Released" if event.name == "Burned" else event.name
            line = sums.setdefault(account, {})
            line[name] = line.get(name, 0) + event.args["amount"]
        return tuple(
            AccountLine(
                account,
                deposited=line.get("Deposited", 0),
                withdrawn=line.get("Withdrawn", 0),
                taken=line.get("Taken", 0),
                released=line.get("Released", 0),
                held=self.ledger.ask("vault", "credits", account),
            )
            for account, line in sums.items()
        )

    def _registry_faults(self, stakes: Statement) -> list[str]:
        faults = []
        for line in stakes.pots:
            if line.pot.what != "stake":
                continue
            staked = self.ledger.ask("registry", "stakeOf", line.pot.owner)
            unbonding, _ = self.ledger.ask("registry", "unbondingOf", line.pot.owner)
            if staked + unbonding != line.held:
                faults.append(
                    f"the registry knows {staked} wei of stake and {unbonding} unbonding for "
                    f"{line.pot.owner}, the vault holds {line.held}"
                )
        return faults

    def _token(self, first_block: int) -> tuple[int, int]:
        """The vault's balance, and what came to it otherwise than by deposits."""
        vault = self.ledger.deployment.vault.address
        balance: int = self.ledger.ask("token", "balanceOf", vault)
        received = self._transfers_to(vault, first_block)
        deposited = sum(e.args["amount"] for e in self.ledger.events if e.name == "Deposited")
        return balance, received - deposited

    def _transfers_to(self, account: str, first_block: int) -> int:
        token = self.ledger.deployment.token
        event = token.events.Transfer()
        received = 0
        for start in range(first_block, self.ledger.block + 1, BLOCKS_PER_QUERY):
            end = min(self.ledger.block, start + BLOCKS_PER_QUERY - 1)
            logs = self.ledger.deployment.chain.w3.eth.get_logs(
                {
                    "address": token.address,
                    "fromBlock": BlockNumber(start),
                    "toBlock": BlockNumber(end),
                    "topics": [HexStr(event.topic), None, _topic(account)],
                }
            )
            received += sum(event.process_log(entry)["args"]["value"] for entry in logs)
        return received


def _topic(account: str) -> HexStr:
    return HexStr(f"0x{account.removeprefix('0x').lower():0>64}")


def _show(thing: object) -> str:
    """A key that was not found."""
    if isinstance(thing, tuple):
        return ", ".join(map(_show, thing))
    return f"0x{thing.hex()}" if isinstance(thing, bytes) else str(thing)
