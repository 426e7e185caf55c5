"""Why CUDA cannot be used, in four parts: what, why, what to do, where to read."""

from __future__ import annotations

from typing import Final

READ: Final = "docs/CUDA.md"
INSTALL: Final = "pip install 'pinpoint-protocol[cuda]'"


class CudaUnavailable(RuntimeError):
    """Nodes cannot be computed with CUDA here.

    Attributes:
        what: happened.
        why: the values behind it.
        todo: what to do.
        read: where to read on.
    """

    def __init__(self, what: str, why: str, todo: str) -> None:
        super().__init__(f"{what}: {why}; {todo} (see {READ})")
        self.what = what
        self.why = why
        self.todo = todo
        self.read = READ


class MissingPackage(CudaUnavailable):
    """A package that CUDA needs is not installed."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "the packages for CUDA are not installed", why, f"{INSTALL}, or use --device cpu"
        )
