"""What `pinpoint doctor` finds: one finding for each check, and the exit code that follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from protocol.cli.errors import Code, explain

Check = Callable[[], "Finding | None"]


class Grade(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Area(StrEnum):
    """What a check is about."""

    MACHINE = "machine"
    HOME = "home"
    KEYS = "keys"
    CHAIN = "chain"
    MONEY = "money"
    STORE = "store"


CODES = {Area.CHAIN: Code.CHAIN, Area.STORE: Code.STORE, Area.KEYS: Code.KEYS}
"""The exit code if checks of this area alone fail."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        area: What it is about.
        name: Of the check.
        grade: How it went.
        why: What was found, with the value expected if it differs.
        todo: What to do; empty if nothing is.
    """

    area: Area
    name: str
    grade: Grade
    why: str
    todo: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "area": self.area.value,
            "check": self.name,
            "grade": self.grade.value,
            "why": self.why,
            "todo": self.todo,
        }


def ok(area: Area, name: str, why: str) -> Finding:
    """A check that went well."""
    return Finding(area, name, Grade.OK, why)


def warn(area: Area, name: str, why: str, todo: str) -> Finding:
    """A check whose result an operator should know."""
    return Finding(area, name, Grade.WARN, why, todo)


def fail(area: Area, name: str, why: str, todo: str) -> Finding:
    """A check that says: an agent would not work."""
    return Finding(area, name, Grade.FAIL, why, todo)


def examine(area: Area, name: str, check: Check) -> Iterator[Finding]:
    """Yield what a check finds. Its exception is a failure in that exception's own words."""
    try:
        finding = check()
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what is looked for
        words = explain(error)
        yield fail(area, name, f"{words.what}: {words.why}", words.todo)
        return
    if finding is not None:
        yield finding


def exit_code(findings: Iterable[Finding]) -> Code:
    """0 without failures; the area's code if all are of one area that has one; else 1."""
    areas = {finding.area for finding in findings if finding.grade is Grade.FAIL}
    if not areas:
        return Code.OK
    return CODES.get(areas.pop(), Code.FAILED) if len(areas) == 1 else Code.FAILED
