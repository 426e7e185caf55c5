"""An agent's own view: chain, money, what is due, what waits, and what needs its operator."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from protocol.agents.duties import Bid
from protocol.agents.process.runtime import IDENTITY, JOURNAL, STORE
from protocol.chain.heads import MAX_AGE_S
from protocol.chain.keys import DEVELOPMENT_CHAIN_ID
from protocol.chain.txlog import Status, TransactionLog
from protocol.cli.disputes import dispute_row
from protocol.cli.funds import read_balances
from protocol.cli.live import Live, left_text, short_id
from protocol.cli.machine import is_agent_running
from protocol.cli.output import format_seconds, format_tokens, print_fields, print_line
from protocol.cli.tasks import next_deadline

LONG_PENDING_S: Final = 600
TIGHT_SHARE: Final = 4
"""A clock of which less than one part in so many is left is tight."""
ANSWER_S: Final = 5
MOST_ANSWER: Final = 1000


def overview(
    live: Live, account: str, *, home: Path, store: str | None, metrics: str | None
) -> dict[str, Any]:
    """Everything about an account and its home, as plain values; ``attention``: what is wrong."""
    account = str(live.deployment.chain.w3.to_checksum_address(account))
    reader = live.reader
    with reader.one_block():
        head = reader.head
        shown: dict[str, Any] = {
            "chain": {
                "id": live.chain_id,
                "head": head.number,
                "age_s": round(time.time() - head.time),
            },
            "account": read_balances(live.deployment, account).to_json(),
            "announced_store": reader.book.stores.get(account) or None,
            "home": str(home),
            "running": is_agent_running(home),
            "tasks": list(_tasks(live, account)),
            "claims": list(_claims(live, account)),
            "disputes": list(_disputes(live, account)),
            "openings": list(_openings(live, account)),
            "transactions": _transactions(live, account, home),
            "store": _store(store, home),
            "metrics": None if metrics is None else _readiness(metrics),
        }
        shown["due"] = _due(shown, head.time)
        shown["attention"] = list(_attention(live, shown, home))
    return shown


# ---------------------------------------------------------------------------- what is one's own


def _tasks(live: Live, account: str) -> Iterator[dict[str, Any]]:
    reader, book = live.reader, live.reader.book
    held = book.bids_of.get(account, {})
    solving = [book.claims[claim_id] for claim_id in book.claims_of.get(account, ())]
    mine = dict.fromkeys([*book.tasks_of.get(account, ()), *(t for t, _ in held), *solving])
    for task_id in mine:
        task = reader.task(task_id)
        what, at = next_deadline(live, task)
        roles = ["requester"] if task.requester == account else []
        bid = held.get((task_id, task.round), Bid.NONE)
        roles += ["solver"] if task.solver == account else [] if bid is Bid.NONE else ["bidder"]
        yield {
            "task_id": task_id,
            "as": roles,
            "phase": task.phase.name,
            "next": what,
            "deadline": at,
        }


def _claims(live: Live, account: str) -> Iterator[dict[str, Any]]:
    """Claims that the account made, or was drawn to check."""
    reader, book = live.reader, live.reader.book
    reader.prefetch(claims=book.open_claims)
    for claim_id in book.open_claims:
        claim, solver = reader.claim(claim_id), book.solvers[claim_id]
        if account != solver and account not in claim.verifiers:
            continue
        window_end, reveal_end = book.windows[claim_id]
        yield {
            "claim_id": claim_id,
            "task_id": book.claims[claim_id],
            "as": "solver" if account == solver else "verifier",
            "phase": claim.phase.name,
            "segments": list(claim.segments_of(account)),
            "attested": (claim_id, account) in book.attested,
            "window_end": window_end,
            "reveal_end": reveal_end,
        }


def _disputes(live: Live, account: str) -> Iterator[dict[str, Any]]:
    """Disputes that the account plays, on either side."""
    book = live.reader.book
    ids = dict.fromkeys(book.disputes_of_opener.get(account, ()))
    for claim_id in book.claims_of.get(account, ()):
        ids |= dict.fromkeys(r.dispute_id for r in book.disputes_of(claim_id) if r.closed is None)
    for dispute_id in ids:
        row = dispute_row(live, dispute_id)
        own = "opener" if row["opener"] == account else "solver"
        yield {**row, "as": own, "own_turn": row["side"] == own}


def _openings(live: Live, account: str) -> Iterator[dict[str, Any]]:
    """Commitments that lock a bond and wait to be opened."""
    book = live.reader.book
    for commitment, claim_id in book.openings_of.get(account, {}).items():
        yield {
            "commitment": commitment,
            "claim_id": claim_id,
            "reveal_end": book.windows[claim_id][1],
        }


def _due(shown: dict[str, Any], now: int) -> list[dict[str, Any]]:
    """What comes next, the tightest first."""
    due = [
        {"what": f"move in dispute {short_id(row['dispute_id'])}", "at": row["deadline"]}
        for row in shown["disputes"]
        if row["own_turn"]
    ]
    due += [
        {"what": f"open commitment {short_id(row['commitment'])}", "at": row["reveal_end"]}
        for row in shown["openings"]
    ]
    due += [
        {"what": f"check claim {short_id(row['claim_id'])}", "at": row["window_end"]}
        for row in shown["claims"]
        if row["as"] == "verifier" and row["phase"] == "WINDOW" and not row["attested"]
    ]
    due += [
        {"what": f"task {short_id(row['task_id'])}: {row['next']}", "at": row["deadline"]}
        for row in shown["tasks"]
        if row["next"] != "nothing"
    ]
    for each in due:
        each["left_s"] = None if each["at"] is None else each["at"] - now
    return sorted(due, key=lambda each: each["at"] or 0)


# ---------------------------------------------------------------------------- the home


def _transactions(live: Live, account: str, home: Path) -> list[dict[str, Any]]:
    """What the agent has signed and is not final."""
    path = home / JOURNAL
    if not path.exists():
        return []
    log = TransactionLog(path, live.chain_id, account, read_only=True)
    try:
        return [
            {
                "function": intent.label,
                "nonce": intent.nonce,
                "status": intent.status.value,
                "attempts": len(attempts),
                "since_s": round(time.time() - attempts[0].sent_at) if attempts else 0,
            }
            for intent in log.with_status(Status.SENT, Status.MINED)
            for attempts in [log.attempts(intent.number)]
        ]
    finally:
        log.close()


def _store(store: str | None, home: Path) -> dict[str, Any]:
    folder = Path(store) if store is not None else home / STORE
    if store is not None and "://" in store:
        return {"at": store, "bytes": None, "objects": None}
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return {"at": str(folder), "bytes": sum(sizes), "objects": len(sizes)}


def _readiness(metrics: str) -> dict[str, Any]:
    """What the agent's own endpoint says."""
    url = f"http://{metrics}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
            return {"url": url, "ready": True, "says": _text(answer.read(MOST_ANSWER))}
    except urllib.error.HTTPError as error:
        return {"url": url, "ready": False, "says": _text(error.read(MOST_ANSWER))}
    except OSError as error:
        return {"url": url, "ready": False, "says": str(error)}


def _text(answer: bytes) -> str:
    return answer.decode(errors="replace").strip()


# ---------------------------------------------------------------------------- what needs somebody


def _attention(live: Live, shown: dict[str, Any], home: Path) -> Iterator[str]:
    chain, account = shown["chain"], shown["account"]
    if live.chain_id != DEVELOPMENT_CHAIN_ID and chain["age_s"] > MAX_AGE_S:
        yield (
            f"the latest block is {format_seconds(chain['age_s'])} old, at most "
            f"{MAX_AGE_S} s count as fresh: look at --rpc"
        )
    yield from _identity(live, str(account["account"]), home)
    if shown["due"] and not shown["running"]:
        yield f"{len(shown['due'])} things are due, and no agent runs in {home}: start it"
    budgets = live.deployment.preset.dispute
    for row in shown["disputes"]:
        whole = budgets.solver_seconds if row["as"] == "solver" else budgets.opener_seconds
        if row["own_turn"] and row["left_s"] < whole // TIGHT_SHARE:
            yield (
                f"the own clock in dispute {short_id(row['dispute_id'])} ends "
                f"{left_text(row['left_s'])}: see the agent's log"
            )
    for pending in shown["transactions"]:
        if pending["status"] == Status.SENT.value and pending["since_s"] > LONG_PENDING_S:
            yield (
                f"{pending['function']} (nonce {pending['nonce']}) is not mined since "
                f"{format_seconds(pending['since_s'])}: raise --max-fee-gwei, or look at --rpc"
            )
    price = int(live.deployment.chain.w3.eth.gas_price)
    least = live.deployment.preset.market.solver_gas * price
    if account["native_wei"] < least:
        yield (
            f"{format_tokens(account['native_wei'])} of the chain's currency is left, the longest "
            f"dispute costs {format_tokens(least)} now: send some to {account['account']}"
        )
    metrics = shown["metrics"]
    if metrics is not None and not metrics["ready"]:
        yield f"the agent is not ready: {metrics['says']} ({metrics['url']})"


def _identity(live: Live, account: str, home: Path) -> Iterator[str]:
    """Whether the home is this account's on this deployment."""
    path = home / IDENTITY
    if not path.exists():
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        yield f"{path} is damaged ({error}): restore it"
        return
    own = {"account": account, "market": live.deployment.addresses["market"]}
    for key, value in own.items():
        if known.get(key) != value:
            yield f"the home {home} is of {key} {known.get(key)}, not {value}: check --home"


# ---------------------------------------------------------------------------- for people


def print_overview(shown: dict[str, Any]) -> None:
    """Everything in lines."""
    chain, account, store = shown["chain"], shown["account"], shown["store"]
    size = "-" if store["bytes"] is None else f"{store['bytes'] / 2**20:,.1f} MiB"
    fields = {
        "chain": f"{chain['id']}, block {chain['head']}, {format_seconds(chain['age_s'])} old",
        "account": account["account"],
        "for gas": format_tokens(account["native_wei"]),
        "tokens outside the vault": format_tokens(account["token_wei"]),
        "vault credit": format_tokens(account["credit_wei"]),
        "verifier's stake": f"{format_tokens(account['stake_wei'])}, unbonding "
        f"{format_tokens(account['unbonding_wei'])}",
        "home": f"{shown['home']}, {'an agent runs' if shown['running'] else 'no agent runs'}",
        "store": f"{store['at']}, {size}; announced: {shown['announced_store'] or 'nowhere'}",
    }
    if shown["metrics"] is not None:
        fields["ready"] = shown["metrics"]["says"]
    print_fields(fields)
    for row in shown["tasks"]:
        print_line(f"task {short_id(row['task_id'])} as {'+'.join(row['as'])}: {row['phase']}")
    for row in shown["claims"]:
        done = ", attested" if row["attested"] else ""
        print_line(f"claim {short_id(row['claim_id'])} as {row['as']}: {row['phase']}{done}")
    for row in shown["disputes"]:
        turn = "our turn" if row["own_turn"] else "their turn"
        print_line(f"dispute {short_id(row['dispute_id'])} as {row['as']}: {row['state']}, {turn}")
    for each in shown["due"]:
        print_line(f"due: {each['what']} {left_text(each['left_s'])}".removesuffix(" -"))
    for pending in shown["transactions"]:
        print_line(
            f"transaction {pending['function']}, nonce {pending['nonce']}: {pending['status']}, "
            f"{format_seconds(pending['since_s'])}, {pending['attempts']} attempts"
        )
    for text in shown["attention"]:
        print_line(f"ATTENTION: {text}")
    if not shown["attention"]:
        print_line("all is well")
