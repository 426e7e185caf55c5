"""What a stranger's store may cost a reader."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits on everything that is fetched from another machine.

    The time for one object is ``fetch_s``, and a second more for each ``least_bytes_per_s`` bytes
    that have arrived. So a large object may take long, but only as long as it keeps coming.

    Attributes:
        object_bytes: most bytes of one object, whatever a caller asks for.
        fetch_s: seconds for an object, from asking to its last byte, before any has arrived.
        least_bytes_per_s: the slowest sender that is waited for.
        connect_s: seconds for a connection; part of ``fetch_s``.
        concurrent: fetches at a time; one host gets at most half of them.
        sources: most announced stores that are asked for one object.
        allow_private: whether addresses that strangers announce may lie in private networks or on
            this machine. A devnet needs it; elsewhere it lets strangers reach what is behind your
            firewall.
    """

    object_bytes: int = 1 << 32
    fetch_s: float = 60.0
    least_bytes_per_s: int = 1 << 20
    connect_s: float = 10.0
    concurrent: int = 8
    sources: int = 16
    allow_private: bool = False

    def __post_init__(self) -> None:
        for name in ("object_bytes", "fetch_s", "least_bytes_per_s", "connect_s", "concurrent"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be above 0")

    def wall_s(self, nbytes: int) -> float:
        """Most seconds that an object of at most ``nbytes`` can take."""
        return self.fetch_s + nbytes / self.least_bytes_per_s
