"""`pinpoint requester`: posting a folder once, and what is refused before anything is paid."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.agents.watch.reader import Reader
from protocol.chain import devnet
from protocol.chain.devnet import Devnet
from protocol.chain.presets import LOCAL
from protocol.cli.errors import Code
from protocol.storage import ContentStore
from protocol.training.task import Task
from scripts.devnet.town import EXAMPLE
from tests.cli.conftest import Pinpoint


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    found = devnet.up(tmp_path_factory.mktemp("devnet"), "anvil", 0, 0, LOCAL)
    yield found
    found.stop()


@pytest.fixture
def requester(pinpoint: Pinpoint, up: Devnet):
    """`pinpoint requester …` as the devnet's requester."""

    def call(command: str, *arguments: str):
        return pinpoint(
            *("requester", command, *arguments, "--rpc", up.node.url, "--json"),
            *("--deployment", str(up.deployment_file), "--home", str(up.home("requester"))),
            *("--keystore", str(up.keystore("requester"))),
            *("--password-file", str(up.password_file)),
        )

    return call


def posted(up: Devnet) -> int:
    return len(Reader(devnet.connect_all(up)).book.tasks)


def test_posted_folder_is_on_chain_and_in_the_store(requester, up: Devnet) -> None:
    before = posted(up)
    result = requester("post", str(EXAMPLE), "--again")
    assert result.code == 0, result.stderr
    task_id = bytes.fromhex(result.json["task_id"][2:])
    reader = Reader(devnet.connect_all(up))
    terms, uri = reader.book.tasks[task_id]
    task = Task.load(EXAMPLE)
    assert (terms.manifest_root, terms.steps) == (task.manifest.root, task.manifest.steps)
    assert uri == f"sha256:{task.manifest.root.hex()}"
    assert posted(up) == before + 1
    store = ContentStore(up.home("requester") / "store")
    assert store.get(task.manifest.root) == task.manifest.to_bytes()


def test_folder_that_is_open_already_is_not_posted_again_by_mistake(requester, up: Devnet) -> None:
    assert requester("post", str(EXAMPLE), "--again").code == 0
    before = posted(up)
    result = requester("post", str(EXAMPLE))
    assert result.code == Code.USAGE
    assert "--again" in result.error["todo"]
    assert posted(up) == before


def test_dry_run_tells_what_it_would_take_and_posts_nothing(requester, up: Devnet) -> None:
    before = posted(up)
    result = requester("post", str(EXAMPLE), "--again", "--dry-run", "--max-reward", "500")
    assert (result.code, result.json["task_id"]) == (0, None)
    assert result.json["escrow"] == (500 + 2 * 30) * 10**18
    assert posted(up) == before


def test_clocks_that_slow_machines_cannot_keep_are_told_before_the_post(
    requester, monkeypatch
) -> None:
    offered = requester("post", str(EXAMPLE), "--again", "--dry-run")
    assert "will refuse" not in offered.stderr
    with monkeypatch.context() as patch:
        patch.setattr("protocol.agents.appraisal.Rate.worst_step_seconds", lambda *_: 50.0)
        risky = requester("post", str(EXAMPLE), "--again", "--dry-run")
    assert "slow with subnormal numbers" in risky.stderr
    assert f"give --segment-seconds {8 * 50 * 2 + 1}; see docs/operate/requester" in risky.stderr
    with monkeypatch.context() as patch:
        patch.setattr("protocol.agents.appraisal.Rate.step_seconds", lambda *_: 50.0)
        slow = requester("post", str(EXAMPLE), "--again", "--dry-run")
    assert (risky.code, slow.code) == (0, 0)
    assert "warning: solvers on slow machines will refuse: to run the task takes" in slow.stderr


def test_escrow_beyond_the_credit_is_refused_with_both_amounts(requester, up: Devnet) -> None:
    before = posted(up)
    result = requester("post", str(EXAMPLE), "--again", "--max-reward", "1000000")
    assert result.code == Code.FAILED
    assert "1,000,060" in result.error["why"]
    assert "wallet deposit" in result.error["todo"]
    assert posted(up) == before


@pytest.mark.parametrize("damage", ["program.bin", "state.safetensors", "manifest.json"])
def test_damaged_folder_is_refused_before_anything_is_sent(
    damage: str, requester, up: Devnet, tmp_path: Path
) -> None:
    folder = tmp_path / "task"
    shutil.copytree(EXAMPLE, folder)
    raw = bytearray((folder / damage).read_bytes())
    if damage == "manifest.json":  # one letter of a name would make it another valid task
        del raw[-2:]
    else:
        raw[len(raw) // 2] ^= 1
    (folder / damage).write_bytes(raw)
    before = posted(up)
    result = requester("post", str(folder), "--again")
    assert result.code == Code.USAGE, result.stderr
    assert posted(up) == before


def test_fetching_what_was_never_posted_or_is_not_final_is_an_error(requester) -> None:
    unknown = requester("fetch", "0x" + "11" * 32)
    assert (unknown.code, unknown.error["what"]) == (Code.USAGE, "there is no such task")
    assert requester("fetch", "0x1234").code == Code.USAGE
    task_id = requester("post", str(EXAMPLE), "--again").json["task_id"]
    early = requester("fetch", task_id)
    assert early.code == Code.FAILED
    assert "expected FINALISED" in early.error["why"]


def test_built_task_is_posted_at_the_amounts_that_check_told(
    requester, pinpoint: Pinpoint, up: Devnet
) -> None:
    entry = f"{EXAMPLE / 'make_task.py'}:make_task"
    assert pinpoint("task", "build", "--entry", entry, "--out", "made").code == 0
    shutil.copy(EXAMPLE / "offer.toml", "made")
    told = pinpoint("task", "check", "made", "--json").json["quotes"]["local"]
    asked = requester("post", "made", "--again", "--dry-run").json
    names = ("stake", "solver_stake"), ("deposit", "bid_deposit"), ("bond", "challenger_bond")
    assert [told[ours] for ours, _ in names] == [asked[market] for _, market in names]
    before = posted(up)
    assert requester("post", "made", "--again").code == 0
    assert posted(up) == before + 1
