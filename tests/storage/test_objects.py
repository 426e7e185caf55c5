"""Paths of objects: exactly one way to write each, and nothing else is one."""

from __future__ import annotations

import pytest

from protocol.storage.objects import KINDS, object_path, parse_path

NAME = bytes(range(32))
HEX = NAME.hex()


@pytest.mark.parametrize("kind", KINDS)
def test_path_of_an_object_is_read_back(kind) -> None:
    assert parse_path(object_path(kind, NAME)) == (kind, NAME)


@pytest.mark.parametrize(
    "path",
    [
        "", "blob", f"blob/{HEX}", f"blob/00/{HEX}/", f"/blob/00/{HEX}", f"blob/01/{HEX}",
        f"blob/00/{HEX.upper()}", f"blob/00/{HEX}\n", f"blob/00/{HEX}.part", f"blob/00/{HEX}00",
        f"blob/00/{HEX[:-1]}", f"other/00/{HEX}", f"blob//00/{HEX}", f"blob/../blob/00/{HEX}",
        f"blob/00/{HEX}?x", f"blob/00/..%2f{HEX}", f"blob%2f00%2f{HEX}", "../../etc/passwd",
        "incoming/prune.lock", f"Blob/00/{HEX}", f"blob/00/{HEX[:-1]}\u0661",
    ],
)  # fmt: skip
def test_other_path_is_no_object(path) -> None:
    assert parse_path(path) is None


def test_name_of_another_length_has_no_path() -> None:
    with pytest.raises(ValueError, match="32 bytes, got 31"):
        object_path("blob", NAME[1:])
