"""What a requester offers: a task folder's ``offer.toml``, overridden by flags."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from protocol.cli.errors import Code, UserError
from protocol.cli.output import format_tokens, parse_tokens

if TYPE_CHECKING:
    from protocol.agents.requester import Offer

FILE: Final = "offer.toml"
AMOUNTS: Final = ("max-reward", "value-at-risk", "verifier-fee")
MAX_BYTES: Final = 1 << 16
WIDTHS: Final = {"verifiers": 8, "segments-per-verifier": 32}
"""Bits of a count in the contracts' terms; times have 64, amounts 128 bits of token wei."""
USUAL: Final = {"verifiers": 2, "segments-per-verifier": 1}
"""What is taken for an offer that does not say it yet."""

MaxRewardOption = Annotated[
    str | None,
    typer.Option("--max-reward", help="Tokens: the most for the solver.", metavar="TOKENS"),
]
ValueAtRiskOption = Annotated[
    str | None,
    typer.Option(
        "--value-at-risk",
        help="Tokens: what a false result would cost you; the solver's stake follows from it.",
        metavar="TOKENS",
    ),
]
VerifierFeeOption = Annotated[
    str | None,
    typer.Option("--verifier-fee", help="Tokens for each verifier that attests.", metavar="TOKENS"),
]
VerifiersOption = Annotated[
    int | None, typer.Option("--verifiers", help="Verifiers to be drawn.", min=0)
]
SegmentsOption = Annotated[
    int | None,
    typer.Option("--segments-per-verifier", help="Segments that each re-runs.", min=0),
]
BidSecondsOption = Annotated[int | None, typer.Option("--bid-seconds", help="For sealed bids.")]
RevealSecondsOption = Annotated[
    int | None, typer.Option("--reveal-seconds", help="For opening the bids.")
]
RunSecondsOption = Annotated[int | None, typer.Option("--run-seconds", help="For the training.")]
WindowSecondsOption = Annotated[
    int | None, typer.Option("--window-seconds", help="For checks and challenges.")
]
SegmentSecondsOption = Annotated[
    int | None, typer.Option("--segment-seconds", help="For running one segment again.")
]
TraceSecondsOption = Annotated[
    int | None, typer.Option("--trace-seconds", help="For tracing one step.")
]


def read_offer(folder: Path, flags: dict[str, str | int | None]) -> Offer:
    """The offer of a task folder.

    Args:
        folder: with ``offer.toml``, or without one if the flags say everything.
        flags: name as in the file -> value; None: not given.

    Raises:
        UserError: something is missing, unknown or no number.
    """
    from protocol.agents.requester import Offer

    names = _names()
    values = _values(folder, flags)
    missing = [name for name in names if name not in values]
    if missing:
        raise UserError(
            "the offer is not complete",
            f"neither {folder / FILE} nor a flag says {', '.join(missing)}",
            f"add them to the file, or give {', '.join('--' + name for name in missing)}",
            "docs/operate/requester.md",
            Code.USAGE,
        )
    return Offer(**{name.replace("-", "_"): _number(name, values[name]) for name in names})


def read_partly(folder: Path, flags: dict[str, str | int | None]) -> dict[str, int]:
    """What of an offer is known before it is complete: field of `Offer` -> value.

    With a reward or a value at risk, `USUAL` counts for what is missing.

    Args:
        folder: with ``offer.toml`` or without.
        flags: as in `read_offer`.

    Raises:
        UserError: something is unknown or no number.
    """
    values = _values(folder, flags)
    if values.keys() & {"max-reward", "value-at-risk"}:
        values = USUAL | values
    return {
        name.replace("-", "_"): _number(name, values[name]) for name in _names() if name in values
    }


def _names() -> list[str]:
    """The fields of an offer, as a file and flags name them."""
    from protocol.agents.requester import Offer

    return [field.name.replace("_", "-") for field in fields(Offer)]


def _values(folder: Path, flags: dict[str, str | int | None]) -> dict[str, Any]:
    """What the file says, and what flags say instead."""
    given = {name: value for name, value in flags.items() if value is not None}
    return {**_read(folder / FILE, _names()), **given}


def _read(file: Path, names: list[str]) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes, the most that is read")
        values = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"cannot read {file}", str(error), "correct it", code=Code.USAGE) from error
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise UserError(
            f"{file} says what nobody knows",
            f"{', '.join(map(repr, unknown[:9]))}: known are {', '.join(names)}",
            "correct or remove it",
            code=Code.USAGE,
        )
    return values


def _number(name: str, value: Any) -> int:
    try:
        if name in AMOUNTS:
            return _held(parse_tokens(str(value)), value, 128)
        if type(value) is not int or value < 0:
            raise ValueError(f"{value!r} is no count")
        return _held(value, value, WIDTHS.get(name, 64))
    except ValueError as error:
        raise UserError(
            f"the offer's {name} cannot be used", str(error), "correct it", code=Code.USAGE
        ) from error


def _held(number: int, said: Any, bits: int) -> int:
    """The number, if the terms on the chain can hold it."""
    if number >= 1 << bits:
        most, unit = f"{(1 << bits) - 1:,}", ""
        if bits == 128:
            most, unit = format_tokens((1 << bits) - 1, full=True), " tokens"
        raise ValueError(f"{said!r} is more than the contracts can hold: at most {most}{unit}")
    return number
