"""A market of real processes over JSON-RPC, from posting to the end, honestly and with a liar.

    scripts/devnet_e2e [--node hardhat|anvil] [--keep FOLDER] [--times N]

A requester, two solvers, two drawn verifiers and an open challenger meet only through a node and
their stores. First an honest task is finalised and its model graded; then a solver that adds one
ulp to one element wins the bidding and is convicted by the verifiers and the challenger at once.
Exit code 0 if every demand held.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from protocol.capture.examples import digits
from protocol.chain.market import ClaimPhase, TaskPhase
from protocol.dispute.state import DisputeState
from scripts.devnet.town import Town, TownError, read_json, town

HONEST_ACCURACY = 0.9
WAIT_S = 300.0


def main() -> int:
    """Play; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", choices=("hardhat", "anvil"), default="hardhat")
    parser.add_argument("--keep", type=Path, help="a folder for logs and homes, which stays")
    parser.add_argument("--times", type=int, default=1, help="so many times in a row")
    chosen = parser.parse_args()
    for turn in range(1, chosen.times + 1):
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="pinpoint-e2e-") as temporary:
            folder = Path(temporary) if chosen.keep is None else chosen.keep / str(turn)
            try:
                with town(folder, chosen.node) as people:
                    play(people)
            except TownError as error:
                tell(f"FAILED in turn {turn}: {error}")
                return 1
        tell(f"turn {turn} of {chosen.times}: passed in {time.monotonic() - started:.0f} s")
    return 0


def play(people: Town) -> None:
    """Both tasks. TownError."""
    people.agent("requester", "requester", "run", "--serve", "127.0.0.1:0")
    people.agent("solver", "solver", "run", "--threads", "1")
    people.agent("verifier", "verifier", "run", "--threads", "1")
    people.agent("verifier-2", "verifier", "run", "--threads", "1")
    people.agent("challenger", "verifier", "run", "--threads", "1", "--check-all")
    people.wait_until_up("requester", "solver", "verifier", "verifier-2", "challenger")
    honest_task(people)
    people.liar("solver-2", "one-ulp")
    people.wait_until_up("solver-2")
    lying_task(people)
    people.stop_all()
    books = read_json(people.pinpoint("task", "list", "--json"))
    people.demand(len(books) == 2, "two tasks are listed")


def honest_task(people: Town) -> None:
    """An honest solver is paid, and its model is good."""
    task_id = people.post()
    tell(f"honest task 0x{task_id.hex()}")
    reader = people.reader
    people.wait("the honest task's end", lambda: _is_over(people, task_id), WAIT_S)
    view = reader.task(task_id)
    people.demand(view.phase is TaskPhase.FINALISED, f"it is finalised, not {view.phase.name}")
    claim = reader.claim(view.claim_id)
    people.demand(not reader.disputes_of(view.claim_id), "nobody disputed it")
    people.demand(claim.attested == len(claim.verifiers) == 2, "both drawn verifiers attested")
    people.wait("the fees", lambda: _fees_paid(people, view.claim_id), WAIT_S)
    people.pinpoint("requester", "fetch", f"0x{task_id.hex()}", "--out", "result.safetensors")
    state = load_file(people.folder / "result.safetensors")
    accuracy = digits.accuracy(state.items())
    people.demand(accuracy >= HONEST_ACCURACY, f"{accuracy:.1%} is at least {HONEST_ACCURACY:.0%}")
    tell(f"  finalised; the fetched model classifies {accuracy:.1%} of held-out digits")
    _check_money(people, task_id)


def lying_task(people: Town) -> None:
    """A solver that is one ulp off in one element is convicted by one scalar operation."""
    # Each verifier is drawn for all segments, so that three parties accuse at once.
    task_id = people.post(**{"segments-per-verifier": "6"})
    tell(f"one-ulp task 0x{task_id.hex()}")
    people.wait("the lying task's end", lambda: _is_over(people, task_id), WAIT_S)
    reader, book = people.reader, people.reader.book
    (claim_id,) = book.claims_on[task_id]
    phase = reader.claim(claim_id).phase
    people.demand(phase is ClaimPhase.FALLEN, f"the claim has fallen, not {phase.name}")
    liar = people.deployment.chain.accounts[3]
    people.demand(book.solvers[claim_id] == liar, "the liar had won the bidding")
    won = [d for d in reader.disputes_of(claim_id) if d.closed is DisputeState.CHALLENGER_WON]
    people.demand(len(won) == 1, f"exactly one dispute convicts, not {len(won)}")
    judged = won[0].judged
    people.demand(judged.get("judged") == "ArithmeticJudged", "one operation decided it")
    people.demand(
        abs(judged["claimed"] - judged["computed"]) == 1, f"the words are 1 ulp apart: {judged}"
    )
    openers = {d.opener for d in reader.disputes_of(claim_id)}
    people.demand(len(openers) >= 2, f"several parties disputed at once, not {len(openers)}")
    tell(
        f"  convicted: claimed 0x{judged['claimed']:08x}, the chain computed "
        f"0x{judged['computed']:08x}; {len(openers)} of three checkers disputed at once"
    )
    _check_money(people, task_id)


def _is_over(people: Town, task_id: bytes) -> bool:
    return people.reader.task(task_id).phase in (TaskPhase.FINALISED, TaskPhase.REFUNDED)


def _fees_paid(people: Town, claim_id: bytes) -> bool:
    book = people.reader.book
    return len([1 for claim, _ in book.collected if claim == claim_id]) == 2


def _check_money(people: Town, task_id: bytes) -> None:
    """`task show` explains every balance to the wei, or exits with another code than 0."""
    shown: dict[str, Any] = read_json(
        people.pinpoint("task", "show", f"0x{task_id.hex()}", "--json")
    )
    people.demand(shown, "the task is shown")


def tell(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
