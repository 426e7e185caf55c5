"""An hour of one honest and one lying solver with two verifiers, and every balance explained.

    scripts/devnet_soak [--minutes M] [--node hardhat|anvil] [--every S] [--kill] [--keep FOLDER]

Tasks are posted one after another, dear ones that the liar underbids and cheap ones that it leaves
to the honest solver. With --kill somebody is killed (SIGKILL) and started again now and then. At
the end: no honest claim fell, no false one was finalised, and `pinpoint task show` explains the
money of each task to the wei, as the books of the whole deployment are. Exit code 0 if so.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from protocol.chain.market import ClaimPhase, TaskPhase
from scripts.devnet.town import Town, TownError, read_json, town

WAIT_S = 600.0
ENDED = (TaskPhase.FINALISED, TaskPhase.REFUNDED)
COMMANDS = {
    "requester": ("requester", "run", "--serve", "127.0.0.1:0"),
    "solver": ("solver", "run", "--threads", "1"),
    "verifier": ("verifier", "run", "--threads", "1"),
    "verifier-2": ("verifier", "run", "--threads", "1"),
}
LIAR = "solver-2"


def main() -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--node", choices=("hardhat", "anvil"), default="hardhat")
    parser.add_argument("--every", type=float, default=35.0, help="seconds between two tasks")
    parser.add_argument("--kill", action="store_true", help="kill and restart people at random")
    parser.add_argument("--keep", type=Path, help="a folder for logs and homes, which stays")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pinpoint-soak-") as temporary:
        try:
            with town(chosen.keep or Path(temporary), chosen.node) as people:
                for name in [*COMMANDS, LIAR]:
                    start(people, name)
                people.wait_until_up(*COMMANDS, LIAR)
                tasks = post_tasks(people, chosen.minutes * 60, chosen.every, kill=chosen.kill)
                check(people, tasks)
        except TownError as error:
            tell(f"FAILED: {error}")
            return 1
    return 0


def start(people: Town, name: str) -> None:
    """Start somebody, for the first time or after a death."""
    if name == LIAR:
        people.liar(name, "one-ulp")
    else:
        people.agent(name, *COMMANDS[name])


def post_tasks(people: Town, seconds: float, every: float, *, kill: bool) -> list[bytes]:
    """Post tasks until the time is over; their ids."""
    tasks: list[bytes] = []
    dice = random.Random(0)  # noqa: S311 - nothing secret
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reward = "1000" if len(tasks) % 2 else "900"
        # Two verifiers with half of the six segments each: no false segment goes unchecked.
        tasks.append(people.post(**{"max-reward": reward, "segments-per-verifier": "3"}))
        if kill:
            victim = dice.choice([*COMMANDS, LIAR])
            people.kill(victim)
            start(people, victim)
        until = min(time.monotonic() + every, end)
        people.wait(
            "the next task's time", lambda until=until: time.monotonic() >= until, every + 9
        )
        if len(tasks) % 10 == 0:
            tell(f"{len(tasks)} tasks posted, {(end - time.monotonic()) / 60:.0f} minutes left")
    return tasks


def check(people: Town, tasks: list[bytes]) -> None:
    """Wait until all has ended, and look at every end and every balance. TownError."""
    reader = people.reader
    people.wait(
        "the end of all tasks", lambda: all(reader.task(t).phase in ENDED for t in tasks), WAIT_S
    )
    people.wait("the collection of all fees", lambda: not reader.book.fees_of, WAIT_S)
    people.stop_all()
    accounts = people.deployment.chain.accounts
    honest, liar = accounts[2], accounts[3]
    ends: Counter[str] = Counter()
    for task_id in tasks:
        for claim_id in reader.book.claims_on.get(task_id, ()):
            phase, solver = reader.claim(claim_id).phase, reader.book.solvers[claim_id]
            who = {honest: "honest", liar: "lying"}[solver]
            ends[f"{who} claim {phase.name}"] += 1
            wanted = ClaimPhase.FINALISED if who == "honest" else ClaimPhase.FALLEN
            people.demand(phase is wanted, f"the {who} claim 0x{claim_id.hex()} is {wanted.name}")
        if not reader.book.claims_on.get(task_id):
            ends["no claim"] += 1
        people.pinpoint("task", "show", f"0x{task_id.hex()}", "--json")
    for end in ("honest claim FINALISED", "lying claim FALLEN"):
        people.demand(ends[end] >= 1, f"there was a {end}")
    books = read_json(people.pinpoint("task", "books", "--json"))
    people.demand(books["unexplained"] == 0, "every balance of the deployment is explained")
    tell(f"{len(tasks)} tasks: " + ", ".join(f"{n} x {end}" for end, n in sorted(ends.items())))
    tell("every balance is explained to the wei")


def tell(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
