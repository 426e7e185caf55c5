"""What an honest solver must re-execute, one piece after the other.

The twin of ``contracts/dispute/libraries/WorkQueue.sol``. The pieces of one claim are queued in the
order in which disputes first need them; each is counted once, however many disputes wait for it
(X12). So the disputes of a claim end in bounded time, however many there are (I6).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """The queue of one claim. Times are Unix seconds.

    Attributes:
        end: when all queued work is due, 0 if nothing ever was queued.
        finish: when the work of each path is due.
    """

    end: int = 0
    finish: dict[bytes, int] = field(default_factory=dict)

    def wait_for(self, path: bytes, start: int, needed: int) -> tuple[WorkQueue, int]:
        """The queue with ``path`` in it, and the free seconds of a turn that waits for it.

        Args:
            path: the root that is waited for.
            start: when the turn begins.
            needed: seconds that the work takes.
        """
        if path in self.finish:
            return self, max(0, self.finish[path] - start)
        finish = max(start, self.end) + needed
        return replace(self, end=finish, finish={**self.finish, path: finish}), finish - start
