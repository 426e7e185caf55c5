"""Disputes of a live deployment, as plain values and for people."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eth_typing import BlockNumber

from protocol.cli.live import Live, left_text, short_id, show_id
from protocol.cli.moves import Move, Moves
from protocol.cli.output import Column, format_seconds, print_line, print_table, say
from protocol.cli.show import describe_place, draw_ladder
from protocol.cli.verdict import Model, fetch_model, find_place
from protocol.dispute.state import DisputeState, Side
from protocol.program.canonical import MalformedBytes
from protocol.program.manifest import ManifestError
from protocol.storage import ContentMissing, ContentWrong

WINNERS = {
    DisputeState.CHALLENGER_WON: "challenger",
    DisputeState.SOLVER_WON: "solver",
    DisputeState.REFUNDED: "nobody (the claim had fallen)",
}
JUDGING = ("judgeArithmetic", "judgeLoad", "answerBinding")


def list_disputes(live: Live, *, only_live: bool) -> list[dict[str, Any]]:
    """A row for each dispute, in the order of opening."""
    reader = live.reader
    with reader.one_block():
        records = reader.book.disputes.values()
        ids = [r.dispute_id for r in records if not only_live or r.closed is None]
        return [dispute_row(live, dispute_id) for dispute_id in ids]


def dispute_row(live: Live, dispute_id: bytes) -> dict[str, Any]:
    """Where a dispute stands, and its clocks. ``side`` is None if nobody is on the clock."""
    reader = live.reader
    record = reader.book.disputes[dispute_id]
    position = reader.position(dispute_id)
    side, deadline = reader.clock(dispute_id)
    solver_left, opener_left = _remaining(live, dispute_id)
    return {
        "dispute_id": dispute_id,
        "claim_id": record.claim_id,
        "task_id": reader.book.claims[record.claim_id],
        "solver": reader.book.solvers[record.claim_id],
        "opener": record.opener,
        "segment": position.segment or None,
        "state": position.state.name,
        "moves": position.turn,
        "side": None if side is Side.NONE else side.name.lower(),
        "deadline": None if side is Side.NONE else deadline,
        "left_s": None if side is Side.NONE else deadline - reader.now(),
        "solver_left_s": solver_left,
        "opener_left_s": opener_left,
    }


def print_disputes(rows: list[dict[str, Any]]) -> None:
    """The rows as a table."""
    names = ("dispute", "task", "opener", "solver", "segment", "state", "moves", "to move", "until")
    print_table(
        [Column(name) for name in names],
        [
            (
                short_id(row["dispute_id"]),
                short_id(row["task_id"]),
                short_id(row["opener"]),
                short_id(row["solver"]),
                row["segment"] or "-",
                row["state"],
                row["moves"],
                row["side"] or "-",
                left_text(row["left_s"]),
            )
            for row in rows
        ],
    )


def dispute_json(live: Live, dispute_id: bytes, read_stores: Sequence[str]) -> dict[str, Any]:
    """Everything about a dispute.

    ``names`` says why names and shapes are not known; None if they are.

    Raises:
        StoreUnusable, AddressRefused: a store in ``read_stores`` cannot be opened.
    """
    reader = live.reader
    with reader.one_block():
        row = dispute_row(live, dispute_id)
        record = reader.book.disputes[dispute_id]
        model, problem = _model(live, row["task_id"], read_stores)
        moves = Moves(live).of(record, reader.block_number())
        judged = [move.gas for move in moves if move.function in JUDGING]
        return {
            **row,
            "beneficiary": record.beneficiary if record.closed else None,
            "winner": None if record.closed is None else WINNERS.get(record.closed, "nobody"),
            "transactions": len(moves),
            "gas": sum(move.gas for move in moves),
            "judgement_gas": judged[-1] if judged else None,
            "moves": [move_json(move) for move in moves],
            "place": asdict(find_place(reader, model, record)),
            "names": problem,
        }


def print_dispute(shown: dict[str, Any], move: int | None) -> None:
    """A dispute for people, as it is, or as it was after ``move`` moves."""
    print_line(f"dispute {show_id(shown['dispute_id'])}")
    print_line(f"  task {show_id(shown['task_id'])}")
    print_line(f"  claim {show_id(shown['claim_id'])}")
    print_line(f"  {shown['opener']} accuses {shown['solver']}")
    moves = shown["moves"][:move]
    for number, done in enumerate(moves, 1):
        print_line(
            f"  {number:3} {done['function']:18} {_who(done['sender'], shown):8} "
            f"{done['gas']:>9,} gas  block {done['block']}, {_after(done, moves[0])}"
        )
    for line in draw_ladder(shown["place"], moves):
        print_line(f"  {line}")
    if len(moves) < len(shown["moves"]):
        return
    if shown["side"] is not None:
        print_line(
            f"  {shown['state']}: the {shown['side']} must move, at the latest "
            f"{left_text(shown['left_s'])} ({shown['deadline']})"
        )
    print_line(
        f"  budgets at the last move: solver {format_seconds(shown['solver_left_s'])}, opener "
        f"{format_seconds(shown['opener_left_s'])}"
    )
    if shown["winner"] is None:
        print_line(f"  so far: {len(moves)} transactions, {shown['gas']:,} gas")
    else:
        for line in describe_place(shown):
            print_line(f"  {line}")
    if shown["names"] is not None:
        say(f"names and shapes are not known: {shown['names']}")


def move_json(move: Move) -> dict[str, Any]:
    """A move as plain values."""
    return {
        "dispute_id": move.dispute_id,
        "function": move.function,
        "sender": move.sender,
        "gas": move.gas,
        "block": move.block,
        "time": move.time,
        "transaction": move.transaction,
        "state": None if move.state is None else move.state.name,
        "side": None if move.side is Side.NONE else move.side.name.lower(),
        "deadline": move.deadline or None,
    }


def move_line(move: Move) -> str:
    """A move in one line, for people who watch."""
    line = (
        f"block {move.block}: {short_id(move.dispute_id)} {move.function} by "
        f"{short_id(move.sender)}, {move.gas:,} gas"
    )
    if move.state is not None:
        line += f"; now {move.state.name}"
    if move.side is not Side.NONE:
        line += f", {move.side.name.lower()} until {move.deadline}"
    return line


def _remaining(live: Live, dispute_id: bytes) -> tuple[int, int]:
    chain, views = live.deployment.chain, live.deployment.dispute.functions
    block = BlockNumber(live.reader.block_number())
    solver, opener = chain.call(views.remaining(dispute_id), block=block)
    return int(solver), int(opener)


def _model(
    live: Live, task_id: bytes, read_stores: Sequence[str]
) -> tuple[Model | None, str | None]:
    """What the task's files say; or why they are not to be had."""
    terms, _ = live.reader.book.tasks[task_id]
    with tempfile.TemporaryDirectory(prefix="pinpoint-") as scratch:
        store = live.store_of(task_id, read_stores, Path(scratch))
        try:
            return fetch_model(store, terms), None
        except (ContentMissing, ContentWrong) as error:
            stores = [*read_stores, *live.reader.announced_stores(task_id)]
            asked = ", ".join(stores) or "no store: nobody announced one; name one by --read-store"
            return None, f"{error} (asked {asked})"
        except (ManifestError, MalformedBytes) as error:
            return None, f"the task's files are not valid: {error}"


def _who(sender: str, shown: dict[str, Any]) -> str:
    roles = {shown["opener"]: "opener", shown["solver"]: "solver"}
    return roles.get(sender, short_id(sender))


def _after(done: dict[str, Any], first: dict[str, Any]) -> str:
    return f"+{format_seconds(done['time'] - first['time'])}"
