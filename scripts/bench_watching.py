"""What watching costs for each block: requests and time of one verifier, as a table.

    python -m scripts.bench_watching [--node hardhat] [--finished 10,100,1000] [--live 100]

First with no open claim, then with live disputes which the verifier has opened and whose solver has
gone. Time is the processor's: what the agent's whole round takes of it, requests included.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from protocol.agents.bundle import publish_task
from protocol.agents.verifier import Verifier
from protocol.agents.watch.reader import Reader
from protocol.storage import ContentStore
from scripts.load.claims import submit_claims
from scripts.load.crowd import Crowd, Person, open_crowd
from tests.training.regression import regression_task

BLOCKS = 20
MOST_BLOCKS = 2_000


@dataclass(frozen=True)
class Row:
    """Costs of an idle block; messages and calls are the same for all measured blocks."""

    finished: int
    live: int
    messages: int
    calls: int
    milliseconds: float
    milliseconds_between: float  # a look while no block came


@dataclass(frozen=True)
class Watch:
    """A verifier with its connection."""

    crowd: Crowd
    person: Person
    reader: Reader
    verifier: Verifier

    @property
    def live(self) -> int:
        """Disputes that it has opened and that are not closed."""
        return len(self.reader.book.disputes_of_opener.get(self.person.account, ()))


def measure(watch: Watch, finished: int) -> Row:
    """One row. RuntimeError if blocks differ in what they cost."""
    crowd, person, verifier = watch.crowd, watch.person, watch.verifier
    _settle(watch, lambda: True)
    costs: set[tuple[int, int]] = set()
    idle, between = [], []
    for _ in range(BLOCKS):
        crowd.mine()
        before, began = (person.endpoints.requests, person.endpoints.calls), time.process_time()
        verifier.tick()
        idle.append(time.process_time() - began)
        costs.add((person.endpoints.requests - before[0], person.endpoints.calls - before[1]))
        began = time.process_time()
        verifier.tick()
        between.append(time.process_time() - began)
    if len(costs) > 1:
        raise RuntimeError(f"idle blocks cost differently: {sorted(costs)}")
    ms = [1e3 * statistics.median(times) for times in (idle, between)]
    ((messages, calls),) = costs
    return Row(finished, watch.live, messages, calls, *ms)


def run(kind: str, finished: Sequence[int], live: int, folder: Path) -> list[Row]:
    """All rows: each number of finished tasks alone, then the last with live disputes."""
    task = regression_task(steps=11, interval=4, width=40)
    store = ContentStore(folder / "store")
    publish_task(store, task)
    with open_crowd(kind, folder) as crowd:
        person = crowd.people["verifier"]
        reader = person.reader()
        verifier = Verifier(
            *(reader, person.sender(), person.journal, store),
            checks_all=True,
            folder=folder / "copies",
        )
        watch = Watch(crowd, person, reader, verifier)
        rows, done = [], 0
        for wanted in finished:
            crowd.post_and_cancel(task, wanted - done)
            done = wanted
            rows.append(measure(watch, done))
        submit_claims(crowd, task, crowd.post(task, live))
        _settle(watch, lambda: watch.live == live)
        rows.append(measure(watch, done))
        return rows


def _settle(watch: Watch, over: Callable[[], bool]) -> None:
    """Blocks until the verifier has nothing to do and ``over``."""
    for _ in range(MOST_BLOCKS):
        watch.person.outbox.pump()
        acted = watch.verifier.tick()
        if not acted and not watch.person.outbox.pending and over():
            return
        if not acted:
            watch.crowd.mine()
    raise RuntimeError(f"the verifier still acts after {MOST_BLOCKS} rounds")


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--node", default="anvil", choices=("anvil", "hardhat"))
    parser.add_argument("--finished", default="10,100,1000")
    parser.add_argument("--live", type=int, default=100)
    arguments = parser.parse_args()
    finished = [int(number) for number in arguments.finished.split(",")]
    with tempfile.TemporaryDirectory(prefix="pinpoint-") as folder:
        rows = run(arguments.node, finished, arguments.live, Path(folder))
    print("| finished tasks | live disputes | messages | calls | ms per block | ms per look |")
    print("|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        numbers = f"{row.finished:,} | {row.live:,} | {row.messages} | {row.calls}"
        print(f"| {numbers} | {row.milliseconds:.1f} | {row.milliseconds_between:.1f} |")


if __name__ == "__main__":
    main()
