"""A chain as `task`, `dispute` and `status` look at it: read-only, without any key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.cli.errors import INPUT_PAGE, Code, UserError
from protocol.cli.output import format_seconds

if TYPE_CHECKING:
    from protocol.agents.watch.reader import Reader
    from protocol.chain.deployment import Deployment
    from protocol.storage import Store

ZERO_ADDRESS = "0x" + "00" * 20
SHORT = 10
"""Characters of an id in a table: enough to tell it apart, and to name it by."""


@dataclass(frozen=True)
class Live:
    """A deployment on a chain, and a reader of its events."""

    deployment: Deployment
    reader: Reader
    first_block: int
    chain_id: int

    def store_of(self, task_id: bytes, read_stores: Sequence[str], scratch: Path) -> Store:
        """What a task's files are read from: the named stores, then what its people announced."""
        from protocol.storage import Limits, open_store

        limits = Limits(allow_private=self.chain_id == _development_chain())
        announced = partial(self.reader.announced_stores, task_id)
        return open_store(scratch, read_stores, limits, announced, keep=False)


def open_live(rpc: Sequence[str], deployment_file: Path) -> Live:
    """Connect for reading. DeployFileError, WrongChain, RpcUnreachable."""
    from protocol.agents.watch.reader import Reader
    from protocol.chain.deployfile import DeployFile
    from protocol.chain.endpoints import Endpoints
    from protocol.chain.rpc import RpcChain

    file = DeployFile.load(deployment_file)
    deployment = file.connect(RpcChain(Endpoints(rpc)))
    reader = Reader(deployment, file.first_block)
    return Live(deployment, reader, file.first_block, file.chain_id)


def find_id(text: str, known: Iterable[bytes], what: str) -> bytes:
    """The one id that begins with ``text`` (hexadecimal digits, with or without 0x).

    Raises:
        UserError: There is none, or there are several.
    """
    digits = text.lower().removeprefix("0x")
    ids = list(known)
    found = [each for each in ids if digits and each.hex().startswith(digits)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"no {what} {text}",
            f"none of the deployment's {len(ids)} {what}s has an id that begins so",
            f"see `pinpoint {what} list`; check --deployment",
            INPUT_PAGE,
            Code.USAGE,
        )
    raise UserError(
        f"{what} {text} is not one",
        f"{len(found)} ids begin so: {', '.join(show_id(each) for each in found[:5])}",
        "write more of its digits",
        INPUT_PAGE,
        Code.USAGE,
    )


def show_id(value: bytes) -> str:
    """An id in full."""
    return f"0x{value.hex()}"


def short_id(value: bytes | str) -> str:
    """The beginning of an id or address, for tables; commands accept it."""
    return (show_id(value) if isinstance(value, bytes) else value)[:SHORT]


def left_text(left_s: int | None) -> str:
    """Time to a deadline for people."""
    if left_s is None:
        return "-"
    return f"in {format_seconds(left_s)}" if left_s > 0 else f"since {format_seconds(-left_s)}"


def _development_chain() -> int:
    from protocol.chain.keys import DEVELOPMENT_CHAIN_ID

    return DEVELOPMENT_CHAIN_ID
