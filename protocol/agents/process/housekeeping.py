"""What a process does besides its task: removes what nobody can ask for, and tells how it is."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protocol.agents.duties import Bid
from protocol.chain.market import TaskPhase
from protocol.dispute.state import Side
from protocol.storage import ContentStore, ContentWrong, StoreUnusable
from protocol.storage.pruning import prune

if TYPE_CHECKING:
    from protocol.agents.process.telemetry import Telemetry
    from protocol.agents.watch.reader import Reader

log = logging.getLogger(__name__)

DAY_S: Final = 86_400
KEEP_DAYS: Final = 7.0
PRUNE_EVERY_S: Final = 3_600.0
TELL_EVERY_S: Final = 10.0


class Every:
    """Says when it is time again."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last: float | None = None

    def is_due(self) -> bool:
        """Whether so many seconds have passed since it last was; True the first time."""
        now = self._clock()
        if self._last is not None and now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Pruner:
    """Removes objects and folders of tasks that have ended.

    What can still be challenged stays: the files of open tasks, everything that the logs of open
    claims lead to, and what was written in the last days, among it results that their requesters
    have not fetched yet.

    Args:
        reader: what is on the chain.
        own: the own store; one that is no folder is left alone.
        folders: each with a folder for a task, named by its id.
        stood_for: the roots that the account has stood for on a claim.
        keep_days: how long what has ended stays.
        every: when to look.
    """

    def __init__(
        self,
        reader: Reader,
        own: ContentStore,
        folders: list[Path],
        stood_for: Callable[[bytes], list[bytes]],
        keep_days: float = KEEP_DAYS,
        every: Every | None = None,
    ) -> None:
        self._reader = reader
        self._own = own
        self._folders = folders
        self._stood_for = stood_for
        self._keep_s = keep_days * DAY_S
        self._every = every or Every(PRUNE_EVERY_S)

    def __call__(self) -> None:
        """Prune, if it is time. What fails is told, and tried again the next time."""
        if not self._every.is_due():
            return
        self._remove_folders()
        if self._own.folder is None:
            return
        try:
            done = prune(self._own, self._alive(), grace_s=self._keep_s)
        except (StoreUnusable, ContentWrong) as error:
            log.warning("nothing is pruned: %s", error)
            return
        if done.removed:
            log.info("pruned %d objects of %d bytes", done.removed, done.removed_bytes)

    def _alive(self) -> set[bytes]:
        """Names of objects from which everything that may be asked for is reached."""
        book = self._reader.book
        alive = {book.tasks[task_id][0].manifest_root for task_id in book.open_tasks}
        for claim_id in book.open_claims:
            alive.add(self._reader.facts(claim_id).log_root)
            alive.update(self._stood_for(claim_id))
        return alive

    def _remove_folders(self) -> None:
        open_tasks = {task_id.hex() for task_id in self._reader.book.open_tasks}
        before = time.time() - self._keep_s
        for parent in self._folders:
            for folder in parent.glob("?" * 64):
                if folder.name not in open_tasks and _newest(folder) < before:
                    shutil.rmtree(folder, ignore_errors=True)
                    log.info("removed %s, whose task has ended", folder)


class Teller:
    """Keeps an agent's metrics: what is going on, what it has, which clock runs.

    Args:
        reader: what is on the chain.
        account: whose.
        telemetry: where it is told.
        balance: of the chain's own coin, wei.
        every: when to look.
    """

    def __init__(
        self,
        reader: Reader,
        account: str,
        telemetry: Telemetry,
        balance: Callable[[], int],
        every: Every | None = None,
    ) -> None:
        self._reader = reader
        self._account = account
        self._telemetry = telemetry
        self._balance = balance
        self._every = every or Every(TELL_EVERY_S)

    def __call__(self) -> None:
        """Tell, if it is time."""
        if not self._every.is_due():
            return
        book, telemetry = self._reader.book, self._telemetry
        live = [
            book.disputes[d] for claim in book.open_claims for d in book.disputes_on.get(claim, ())
        ]
        live = [dispute for dispute in live if dispute.closed is None]
        telemetry.live(tasks=len(book.open_tasks), claims=len(book.open_claims), disputes=len(live))
        own = [
            dispute.deadline
            for dispute in live
            if (dispute.side is Side.OPENER and dispute.opener == self._account)
            or (dispute.side is Side.SOLVER and book.solvers[dispute.claim_id] == self._account)
        ]
        telemetry.must_act_by(min(own, default=None))
        telemetry.must_deliver_by(min(self._own_tasks(), default=None))
        telemetry.owns(native_wei=self._balance(), credit_wei=self._reader.credit(self._account))

    def _own_tasks(self) -> list[int]:
        """Until when own bids must be opened and own runs submitted."""
        deadlines = []
        for (task_id, _), bid in self._reader.book.bids_of.get(self._account, {}).items():
            view = self._reader.task(task_id)
            if view.phase is TaskPhase.REVEALING and bid is Bid.COMMITTED:
                deadlines.append(view.reveal_end)
            elif view.phase is TaskPhase.RUNNING and view.solver == self._account:
                deadlines.append(view.run_end)
        return deadlines


def _newest(folder: Path) -> float:
    """When anything in a folder was written last, seconds since 1970."""
    times = [folder.stat().st_mtime]
    times += [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    return max(times)
