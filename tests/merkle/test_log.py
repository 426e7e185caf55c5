"""The checkpoint log: proofs in RFC form, and nothing lost when the process is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.merkle import MerkleTree, verify_consistency, verify_inclusion
from protocol.merkle.log import CheckpointLog
from tests.merkle import rfc9162

SIZE = 67


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckpointLog]:
    with CheckpointLog(tmp_path_factory.mktemp("log") / "deep" / "checkpoints.sqlite") as full:
        for index, root in enumerate(rfc9162.values(SIZE)):
            assert full.append(root) == index
        yield full


def test_log_root_at_every_size_is_ours(log: CheckpointLog) -> None:
    assert log.size == SIZE
    assert log.root == MerkleTree(rfc9162.values(SIZE)).root
    for size in range(1, SIZE + 1):
        assert log.root_at(size) == rfc9162.mth(0, size)


def test_log_every_inclusion_proof_is_in_rfc_form(log: CheckpointLog) -> None:
    for size in (1, 2, 3, 32, 33, SIZE):
        for index in range(size):
            assert log.inclusion_proof(index, size) == rfc9162.path(index, 0, size)
    root = log.entry(SIZE - 1)
    assert root == rfc9162.value(SIZE - 1)
    last = log.inclusion_proof(SIZE - 1)
    verify_inclusion(log.root, rfc9162.mth(SIZE - 1, SIZE), SIZE - 1, SIZE, last)


def test_log_every_consistency_proof_is_in_rfc_form(log: CheckpointLog) -> None:
    for new in range(1, SIZE + 1):
        for old in range(1, new + 1):
            assert log.consistency_proof(old, new) == rfc9162.proof(old, new), (old, new)
    verify_consistency(5, log.root_at(5), SIZE, log.root, log.consistency_proof(5))


def test_log_reopened_continues_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    for index, root in enumerate(rfc9162.values(5)):
        with CheckpointLog(path) as log:
            assert log.append(root) == index
    with CheckpointLog(path) as log:
        assert log.root == rfc9162.mth(0, 5)


def test_log_process_killed_after_append_has_lost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    program = (
        "import sys, time\n"
        "from protocol.merkle.log import CheckpointLog\n"
        "log = CheckpointLog(sys.argv[1])\n"
        "for i in range(3):\n"
        "    log.append(bytes([i]) * 32)\n"
        "print('appended', flush=True)\n"
        "time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"appended\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with CheckpointLog(path) as log:
        assert [log.entry(i) for i in range(log.size)] == [bytes([i]) * 32 for i in range(3)]
        assert log.append(b"\x03" * 32) == 3


def test_log_record_is_idempotent_and_refuses_another_history(tmp_path: Path) -> None:
    with CheckpointLog(tmp_path / "log.sqlite") as log:
        for _ in range(2):
            log.record(0, b"a" * 32)
            log.record(1, b"b" * 32)
        assert log.size == 2
        with pytest.raises(ValueError, match="the log only grows"):
            log.record(0, b"c" * 32)
        with pytest.raises(ValueError, match="leave a gap"):
            log.record(3, b"d" * 32)
        assert log.size == 2


@pytest.mark.parametrize("length", [0, 31, 33])
def test_log_entry_that_is_no_root_is_refused(tmp_path: Path, length: int) -> None:
    with CheckpointLog(tmp_path / "log.sqlite") as log:
        with pytest.raises(ValueError, match="roots of 32"):
            log.append(bytes(length))
        assert log.size == 0


def test_log_empty_has_no_root_and_no_proofs(tmp_path: Path) -> None:
    with CheckpointLog(tmp_path / "log.sqlite") as log:
        for call in (
            lambda: log.root,
            lambda: log.entry(0),
            lambda: log.inclusion_proof(0),
            lambda: log.consistency_proof(0),
        ):
            with pytest.raises(IndexError):
                call()


def test_log_positions_outside_raise(log: CheckpointLog) -> None:
    for call in (
        lambda: log.entry(SIZE),
        lambda: log.entry(-1),
        lambda: log.root_at(SIZE + 1),
        lambda: log.inclusion_proof(3, 3),
        lambda: log.consistency_proof(0, 3),
        lambda: log.consistency_proof(4, 3),
        lambda: log.consistency_proof(1, SIZE + 1),
    ):
        with pytest.raises(IndexError):
            call()
