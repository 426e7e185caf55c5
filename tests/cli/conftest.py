"""Runs `pinpoint` inside the test's process, with an environment and a folder of its own."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from protocol.chain import devnet
from protocol.chain.devnet import Devnet
from protocol.chain.presets import LOCAL
from protocol.cli import live
from protocol.cli.main import run
from tests.cli.scene import Scene, play_conviction


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(self.stderr.splitlines()[-1])["error"]


Pinpoint = Callable[..., Result]


@pytest.fixture
def pinpoint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Pinpoint]:
    """`pinpoint("task", "show", env={"PINPOINT_JSON": "1"}, stdin="…")`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    for name in [name for name in os.environ if name.startswith("PINPOINT_")]:
        monkeypatch.delenv(name)

    def call(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Result:
        with monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.StringIO(stdin))
            capsys.readouterr()
            try:
                code = run(arguments)
            except SystemExit as exit_:  # completion ends the process by itself
                code = int(exit_.code or 0)
            captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    yield call
    logging.getLogger("protocol").handlers.clear()


@pytest.fixture(scope="session")
def convicted(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A market in process in which a solver that lied by one ulp was convicted and all settled."""
    return play_conviction(tmp_path_factory.mktemp("convicted"))


@pytest.fixture
def scene(convicted: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The same, as the chain that `pinpoint` commands find."""
    monkeypatch.setattr(live, "open_live", lambda _rpc, _file: convicted.live)
    return convicted


@pytest.fixture(scope="session")
def devnet_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A node with a deployed market and people with keys; nobody may change its chain much."""
    up = devnet.up(tmp_path_factory.mktemp("devnet"), "anvil", 0, 0, LOCAL)
    yield up
    up.stop()
