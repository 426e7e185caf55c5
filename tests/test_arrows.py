"""Imports go one way: cli -> agents -> {dispute, training, chain, storage} -> {capture, kernels} ->
program -> merkle; and between rooms of one floor never both ways."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import protocol

ROOT = Path(protocol.__file__).parent
FLOORS = (
    {"merkle"},
    {"program"},
    {"capture", "kernels"},
    {"dispute", "training", "chain", "storage"},
    {"agents"},
    {"cli"},
)
FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def arrows() -> Iterator[tuple[str, str, str]]:
    """(file, its room, imported room) of every import between rooms, lazy ones too."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                package, _, rest = name.partition(".")
                room = rest.partition(".")[0]
                if package == "protocol" and room != parts[0]:
                    yield "/".join(parts), parts[0], room


def test_every_room_has_its_floor() -> None:
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(FLOOR_OF)


def test_no_import_goes_up() -> None:
    found = list(arrows())
    assert len(found) > 300, "imports were found at all"
    assert not [each for each in found if FLOOR_OF[each[2]] > FLOOR_OF[each[1]]]


def test_no_two_rooms_of_one_floor_import_each_other() -> None:
    level = {(a, b) for _, a, b in arrows() if FLOOR_OF[a] == FLOOR_OF[b]}
    assert not [pair for pair in level if pair[::-1] in level]
