"""What can go wrong with a store. Whoever asks one thing tells absent, lying and unusable apart."""

from __future__ import annotations

READ_MORE = "docs/operate/store.md"


class ContentMissing(LookupError):
    """No object of this name is to be had: it is not there, or its store cannot be reached."""


class ContentUnreachable(ContentMissing):
    """The store did not answer as it must; it may well have the object.

    Attributes:
        timed_out: whether it used up the time it was given.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class ContentWrong(ValueError):
    """An object does not hash to its name, or is larger than allowed."""


class AddressRefused(ValueError):
    """An address that an agent does not open; the message says why."""


class StoreUnusable(OSError):
    """A store that cannot be opened or written now; a later try may succeed.

    ``errno`` is the system's number, or 0 if the system did not object.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(number, message)

    def __str__(self) -> str:
        return str(self.strerror)
