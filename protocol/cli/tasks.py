"""Tasks of a live deployment, as plain values and for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from protocol.agents.money.statement import Statement
from protocol.chain.market import ClaimPhase, ClaimView, TaskPhase, TaskView
from protocol.cli.disputes import dispute_row
from protocol.cli.live import ZERO_ADDRESS, Live, left_text, short_id, show_id
from protocol.cli.money import print_statement, statement_json
from protocol.cli.output import Column, format_tokens, print_fields, print_line, print_table

Deadline = tuple[str, int | None]
"""What happens next, and when, in Unix seconds; None: it may be done now."""

MONEY: Final = ("max_reward", "value_at_risk", "verifier_fee")


def list_tasks(live: Live, *, only_open: bool, mine: str | None) -> list[dict[str, Any]]:
    """A row for each task, in the order of posting."""
    reader = live.reader
    with reader.one_block():
        book = reader.book
        wanted = [t for t in book.tasks if not only_open or t in book.open_tasks]
        reader.prefetch(tasks=wanted, claims=[c for t in wanted for c in book.claims_on.get(t, ())])
        rows = [_row(live, task_id) for task_id in wanted]
        if mine is not None:
            rows = [row for row in rows if mine in _people(live, row["task_id"])]
    return rows


def print_tasks(rows: list[dict[str, Any]]) -> None:
    """The rows as a table."""
    names = ("task", "uri", "phase", "round", "steps", "reward", "next", "solver", "claim", "live")
    right = {"round", "steps", "reward", "live"}
    print_table(
        [Column(name, "right" if name in right else "left") for name in names],
        [
            (
                short_id(row["task_id"]),
                row["uri"][:24],
                row["phase"],
                row["round"],
                row["steps"],
                format_tokens(row["max_reward"]),
                f"{row['next']} {left_text(row['left_s'])}".removesuffix(" -"),
                short_id(row["solver"] or "-"),
                short_id(row["claim_id"] or "-"),
                row["live_disputes"],
            )
            for row in rows
        ],
    )


def _row(live: Live, task_id: bytes) -> dict[str, Any]:
    reader = live.reader
    terms, uri = reader.book.tasks[task_id]
    task = reader.task(task_id)
    claim_id = task.claim_id if any(task.claim_id) else None
    what, at = next_deadline(live, task)
    return {
        "task_id": task_id,
        "uri": uri,
        "requester": task.requester,
        "phase": task.phase.name,
        "round": task.round,
        "steps": terms.steps,
        "max_reward": terms.max_reward,
        "next": what,
        "deadline": at,
        "left_s": None if at is None else at - reader.now(),
        "solver": None if task.solver == ZERO_ADDRESS else task.solver,
        "claim_id": claim_id,
        "live_disputes": 0 if claim_id is None else len(_live_disputes(live, claim_id)),
    }


def _live_disputes(live: Live, claim_id: bytes) -> list[bytes]:
    records = live.reader.disputes_of(claim_id)
    return [record.dispute_id for record in records if record.closed is None]


def _people(live: Live, task_id: bytes) -> set[str]:
    """Everybody who has to do with a task, as far as is known of its latest state."""
    book = live.reader.book
    people = {book.requesters[task_id], live.reader.task(task_id).solver}
    people |= {
        bidder for bidder, bids in book.bids_of.items() if any(t == task_id for t, _ in bids)
    }
    for claim_id in book.claims_on.get(task_id, ()):
        people.add(book.solvers[claim_id])
        people.update(live.reader.claim(claim_id).verifiers)
        people.update(record.opener for record in book.disputes_of(claim_id))
    return people


# ---------------------------------------------------------------------------- deadlines


def next_deadline(live: Live, task: TaskView) -> Deadline:
    """What happens next to a task, and when."""
    times: dict[TaskPhase, Deadline] = {
        TaskPhase.BIDDING: ("bids end", task.bid_end),
        TaskPhase.REVEALING: ("reveals end", task.reveal_end),
        TaskPhase.DECIDABLE: ("assign" if task.reveals else "void", None),
        TaskPhase.RUNNING: ("submission ends", task.run_end),
        TaskPhase.OVERDUE: ("expire", None),
        TaskPhase.VACANT: ("reopening ends", task.reopen_end),
        TaskPhase.LAPSED: ("refund", None),
    }
    if task.phase is TaskPhase.SUBMITTED:
        return _claim_deadline(live, task.claim_id)
    return times.get(task.phase, ("nothing", None))


def _claim_deadline(live: Live, claim_id: bytes) -> Deadline:
    reader = live.reader
    claim = reader.claim(claim_id)
    window_end, reveal_end = reader.book.windows[claim_id]
    if claim.phase is ClaimPhase.WINDOW:
        return "challenges end", window_end
    if claim.phase is ClaimPhase.REVEALS:
        return "openings end", reveal_end
    if claim.phase is ClaimPhase.FALLEN:
        return "settle", None
    live_ones = reader.book.live_disputes(reader.book.disputes_on.get(claim_id, ()))
    if live_ones:
        return f"{live_ones[0].side.name.lower()}'s clock ends", live_ones[0].deadline
    return "finalise", None


def _deadlines(task: TaskView, now: int) -> list[dict[str, Any]]:
    ends = {
        "bids end": task.bid_end,
        "reveals end": task.reveal_end,
        "submission ends": task.run_end,
        "reopening ends": task.reopen_end,
    }
    if task.phase in (TaskPhase.FINALISED, TaskPhase.REFUNDED):
        return []
    return [{"what": what, "at": at, "left_s": at - now} for what, at in ends.items() if at]


# ---------------------------------------------------------------------------- one task


def task_json(live: Live, task_id: bytes, statement: Statement) -> dict[str, Any]:
    """Everything about a task."""
    reader = live.reader
    with reader.one_block():
        terms, uri = reader.book.tasks[task_id]
        task = reader.task(task_id)
        what, at = next_deadline(live, task)
        now = reader.now()
        bids = [
            {"bidder": bidder, "round": number, "state": bid.name}
            for bidder, held in reader.book.bids_of.items()
            for (other, number), bid in held.items()
            if other == task_id
        ]
        return {
            "task_id": task_id,
            "uri": uri,
            "requester": task.requester,
            "phase": task.phase.name,
            "round": task.round,
            "block": reader.block_number(),
            "time": now,
            "next": {"what": what, "at": at, "left_s": None if at is None else at - now},
            "terms": {**asdict(terms), "segments": terms.segments, "escrow": terms.escrow},
            "deadlines": _deadlines(task, now),
            "required_stake": task.required_stake,
            "deposit": task.deposit,
            "bids": {"commits": task.commits, "reveals": task.reveals, "held": bids},
            "solver": None if task.solver == ZERO_ADDRESS else task.solver,
            "price": task.price,
            "progress": {
                "checkpoints": task.reported_size,
                "of": terms.segments + 1,
                "root": task.reported_root,
            },
            "claims": [_claim_json(live, c) for c in reader.book.claims_on.get(task_id, ())],
            "money": statement_json(statement),
        }


def _claim_json(live: Live, claim_id: bytes) -> dict[str, Any]:
    reader, book, now = live.reader, live.reader.book, live.reader.now()
    claim, facts = reader.claim(claim_id), reader.facts(claim_id)
    window_end, reveal_end = book.windows[claim_id]
    return {
        "claim_id": claim_id,
        "phase": claim.phase.name,
        "round": claim.round,
        "solver": facts.solver,
        "log_root": facts.log_root,
        "result_root": facts.result_root,
        "submitted_at": claim.submitted_at,
        "window_end": window_end,
        "window_left_s": window_end - now,
        "reveal_end": reveal_end,
        "reveal_left_s": reveal_end - now,
        "bond": facts.bond,
        "settled": claim.settled,
        "beneficiary": book.fallen.get(claim_id, {}).get("beneficiary"),
        "draw": _draw_json(live, claim_id, claim),
        "disputes": [dispute_row(live, each.dispute_id) for each in book.disputes_of(claim_id)],
    }


def _draw_json(live: Live, claim_id: bytes, claim: ClaimView) -> dict[str, Any]:
    book = live.reader.book
    return {
        "target_block": claim.target_block,
        "drawn": claim.drawn,
        "verifiers": [
            {
                "account": verifier,
                "segments": list(claim.segments_of(verifier)),
                "attested": (claim_id, verifier) in book.attested,
                "fee_collected": (claim_id, verifier) in book.collected,
            }
            for verifier in claim.verifiers
        ],
    }


def names_of(shown: dict[str, Any]) -> dict[str, str]:
    """What each account is to a task, the most telling word for each."""
    names = {bid["bidder"]: "bidder" for bid in shown["bids"]["held"]}
    for claim in shown["claims"]:
        names |= {verifier["account"]: "verifier" for verifier in claim["draw"]["verifiers"]}
        names |= {row["opener"]: names.get(row["opener"], "opener") for row in claim["disputes"]}
        names[claim["solver"]] = "solver"
    if shown["solver"] is not None:
        names[shown["solver"]] = "solver"
    names[shown["requester"]] = "requester"
    return names


def print_task(shown: dict[str, Any], statement: Statement) -> None:
    """Everything about a task, for people."""
    terms = shown["terms"]
    what, left = shown["next"]["what"], shown["next"]["left_s"]
    print_fields(
        {
            "uri": shown["uri"],
            "phase": f"{shown['phase']}, round {shown['round']}",
            "next": f"{what} {left_text(left)}".removesuffix(" -"),
            "steps": f"{terms['steps']}, a checkpoint every {terms['interval']}: "
            f"{terms['segments']} segments; {terms['node_count']} nodes, "
            f"{terms['state_count']} state tensors, {terms['data_count']} data tensors",
            **{name.replace("_", " "): format_tokens(terms[name]) for name in MONEY},
            "verifiers": f"{terms['verifiers']}, {terms['segments_per_verifier']} segments each",
            **{name: f"0x{terms[name].hex()}" for name in terms if name.endswith("_root")},
            "requester": shown["requester"],
            "stake of a bid": f"{format_tokens(shown['required_stake'])}, deposit "
            f"{format_tokens(shown['deposit'])}",
            "bids": f"{shown['bids']['commits']} committed, {shown['bids']['reveals']} revealed",
            "solver": shown["solver"] or "-",
            "price": format_tokens(shown["price"]),
            "progress": f"{shown['progress']['checkpoints']} of {shown['progress']['of']} "
            "checkpoints reported",
        },
        title=f"task {show_id(shown['task_id'])} at block {shown['block']}",
    )
    print_fields(
        {
            each["what"]: f"{each['at']} ({left_text(each['left_s'])})"
            for each in shown["deadlines"]
        },
        title="deadlines of the round",
    )
    for claim in shown["claims"]:
        _print_claim(claim)
    print_statement(statement, names_of(shown))


def _print_claim(claim: dict[str, Any]) -> None:
    ends = (("challenges end", "window"), ("openings end", "reveal"))
    print_fields(
        {
            "phase": f"{claim['phase']}, round {claim['round']}",
            "solver": claim["solver"],
            "log root": show_id(claim["log_root"]),
            "result root": show_id(claim["result_root"]),
            **{
                what: f"{claim[f'{key}_end']} ({left_text(claim[f'{key}_left_s'])})"
                for what, key in ends
            },
            "bond of a challenger": format_tokens(claim["bond"]),
            "draw": f"{'done' if claim['draw']['drawn'] else 'not yet'}, target block "
            f"{claim['draw']['target_block']}",
        },
        title=f"claim {show_id(claim['claim_id'])}",
    )
    for verifier in claim["draw"]["verifiers"]:
        state = "attested" if verifier["attested"] else "not attested"
        state += ", fee collected" if verifier["fee_collected"] else ""
        print_line(f"  drawn: {verifier['account']} for {verifier['segments']}, {state}")
    for row in claim["disputes"]:
        end = row["state"]
        if row["side"] is not None:
            end += f", {row['side']} on the clock {left_text(row['left_s'])}"
        print_line(
            f"  dispute {short_id(row['dispute_id'])} by {short_id(row['opener'])}, segment "
            f"{row['segment'] or '-'}: {end}; left: solver {row['solver_left_s']} s, opener "
            f"{row['opener_left_s']} s"
        )
