"""Every agent refuses every bad task, in bounded time and memory; nothing of one is executed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from protocol.agents.verifier import UNDECIDED
from tests.agents.bad_tasks import BAD
from tests.fuzz.audit import crime
from tests.fuzz.watched_agents import CPU_SECONDS, TIMES

pytestmark = pytest.mark.xdist_group("bad tasks under the watch")
ROOT = Path(__file__).parents[2]
REFUSED = {"refused TaskError", "refused TensorError", "refused InvalidProgram"}


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What a process told in which agents met the bad tasks under the watch."""
    command = [sys.executable, "-m", "tests.fuzz.watched_agents"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_agents_do_nothing_of_what_a_task_could_make_them_do(seen: dict[str, Any]) -> None:
    assert seen["crimes"] == []
    assert seen["sent"] == []
    assert seen["seconds"] < CPU_SECONDS


@pytest.mark.parametrize("name", BAD)
def test_solver_refuses_a_bad_task_with_its_reason(name: str, seen: dict[str, Any]) -> None:
    reason = seen["solver"][name]
    assert reason is None if BAD[name].returns else BAD[name].reason in reason


@pytest.mark.parametrize("name", [name for name in BAD if TIMES not in name])
def test_verifier_leaves_the_claim_on_a_bad_task_alone(name: str, seen: dict[str, Any]) -> None:
    """It neither attests nor accuses; it looks again at one whose files may come back."""
    assert seen["verifier"][name] == (None if BAD[name].returns else UNDECIDED.decode())


@pytest.mark.parametrize("door", ["check", "post"])
def test_commands_refuse_the_folders_of_bad_tasks(door: str, seen: dict[str, Any]) -> None:
    found = seen[door]
    valid = {name for name, outcome in found.items() if outcome == "valid"}
    assert valid == {"good", *(name for name in BAD if TIMES in name)}
    assert {found[name] for name in found.keys() - valid} == REFUSED
    assert len(found) > 25


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("import", ("evil", None, None, None, None)),
        ("compile", (b"1", "<string>")),
        ("exec", (None,)),
        ("pickle.find_class", ("posix", "system")),
        ("os.system", ("true",)),
        ("socket.connect", (None, ("127.0.0.1", 80))),
        ("open", ("/etc/passwd", "r", 0)),
        ("open", ("inside/../../outside", "r", 0)),
        ("open", ("link", "r", 0)),
        ("os.remove", ("../outside", -1)),
    ],
)
def test_watch_knows_a_crime(event: str, arguments: tuple, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "outside").touch()
    home = (tmp_path / "home").resolve()
    (home / "inside").mkdir(parents=True)
    (home / "link").symlink_to(tmp_path / "outside")
    monkeypatch.chdir(home)
    assert crime(event, arguments, home, may_write=True) is not None


def test_watch_lets_files_of_the_folder_be_read_and_written_if_that_is_allowed(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path.resolve()
    assert crime("open", ("file", "r", 0), home, may_write=False) is None
    assert crime("open", ("file", "w", 1), home, may_write=False) is not None
    assert crime("open", (b"file", None, 1), home, may_write=False) is not None
    assert crime("open", ("file", "w", 1), home, may_write=True) is None
    assert crime("os.rename", ("file", "other", -1, -1), home, may_write=True) is None
