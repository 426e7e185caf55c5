"""A receipt comes back as it was recorded, or is refused with the reason, whatever is in it."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from protocol.dispute.execution import Withheld
from protocol.kernels import Executor
from protocol.merkle import root_of_leaves
from protocol.storage import ContentStore
from protocol.training import CheckpointError, CheckpointFolder, Replay, Trainer
from protocol.training.contents import Contents
from protocol.training.receipt import FILE, Receipt
from protocol.training.recorded import RecordError
from protocol.training.recorder import NotReproduced, Recorder
from tests.training.liars import ELEMENT, NODE, SEGMENT, STEP, TASK, OneUlp, record, train


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory) -> Path:
    return record(run, tmp_path_factory.mktemp("whole") / "receipt")


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_receipt_says_what_a_replay_says(whole) -> None:
    receipt, replay = Receipt(whole), Replay(TASK, None, Executor(1))
    assert receipt.manifest == TASK.manifest
    assert receipt.log_leaves() == replay.log_leaves()
    assert receipt.program_leaves() == TASK.program_leaves
    assert receipt.segment_leaves(SEGMENT) == replay.segment_leaves(SEGMENT)
    assert receipt.trace_leaves(STEP) == replay.trace_leaves(STEP)
    for step in (4, 5, 6, 8):
        assert receipt.state_leaves(step) == replay.state_leaves(step)
        for index in range(len(TASK.manifest.state)):
            assert receipt.state_tensor(step, index) == replay.state_tensor(step, index)
    for node in range(len(TASK.program.nodes)):
        assert receipt.node_output(STEP, node) == replay.node_output(STEP, node)
    assert receipt.fold_leaves(STEP, NODE, ELEMENT) == replay.fold_leaves(STEP, NODE, ELEMENT)
    assert receipt.state(1)[0].tobytes() == replay.state_tensor(4, 0)


def test_receipt_withholds_what_was_not_recorded(whole) -> None:
    receipt = Receipt(whole)
    for missing in (
        lambda: receipt.segment_leaves(1),
        lambda: receipt.trace_leaves(4),
        lambda: receipt.node_output(4, 0),
        lambda: receipt.state_leaves(1),
        lambda: receipt.state_tensor(7, 0),
        lambda: receipt.fold_leaves(STEP, NODE, 0),
        lambda: receipt.data_tensor(0),
    ):
        with pytest.raises(Withheld):
            missing()
    with pytest.raises(CheckpointError):
        receipt.state(3)


def test_receipt_that_grows_is_the_one_made_at_once(run, whole, tmp_path) -> None:
    for depth in ("segment", "segment", "step", "fold"):
        record(run, tmp_path / "grown", depth=depth)
    assert (tmp_path / "grown" / FILE).read_bytes() == (whole / FILE).read_bytes()
    grown, at_once = (
        sorted(path.name for path in folder.rglob("*")) for folder in (tmp_path / "grown", whole)
    )
    assert grown == at_once


def test_receipt_of_an_unfinished_run_holds_its_log_so_far(tmp_path) -> None:
    run = train(tmp_path / "run", until=4)
    receipt = Receipt(record(run, tmp_path / "receipt", depth="segment", segment=1))
    assert len(receipt.log) == 2
    with pytest.raises(RecordError, match="the run has finished the segments 1 to 1"):
        record(run, tmp_path / "receipt", depth="segment", segment=2)


def test_recorder_does_not_record_what_it_does_not_compute(tmp_path) -> None:
    run = train(tmp_path / "run", OneUlp())
    with pytest.raises(NotReproduced, match="segment 2 ends in 0x"):
        record(run, tmp_path / "receipt")
    # The segment after it starts from the run's own checkpoint, and is right.
    record(run, tmp_path / "receipt", depth="segment", segment=3)
    (run / "step-000000000008.safetensors").unlink()
    with pytest.raises(NotReproduced, match="segment 2 ends in 0x"):
        record(run, tmp_path / "other", depth="segment", segment=3)


def test_recorder_computes_a_segment_though_its_end_is_on_disk(run, tmp_path, monkeypatch) -> None:
    read = []
    state = CheckpointFolder.state
    monkeypatch.setattr(
        CheckpointFolder, "state", lambda self, index: read.append(index) or state(self, index)
    )
    record(run, tmp_path / "receipt", depth="step")
    assert set(read) == {SEGMENT - 1}


def test_recorder_refuses_the_receipt_of_another_run(whole, tmp_path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    other = train(tmp_path / "other", OneUlp())
    with pytest.raises(RecordError, match="receipt of another run"):
        record(other, folder, OneUlp())


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (lambda r: r.record_segment(0), "segment 0 cannot be recorded"),
        (lambda r: r.record_segment(4), "segments 1 to 3"),
        (lambda r: r.record_step(11), "the task has the steps 0 to 10"),
        (lambda r: r.record_step(-1), "there is no step -1"),
        (lambda r: r.record_fold(5, 8, 0), "nodes 0 to 7"),
        (lambda r: r.record_fold(5, 6, 300), "elements 0 to 299 in node 6"),
    ],
)
def test_recorder_refuses_places_that_do_not_exist(what, says, run, tmp_path) -> None:
    with CheckpointFolder(TASK, run) as checkpoints:
        recorder = Recorder(TASK, checkpoints, tmp_path / "receipt", Executor(1))
        with pytest.raises(RecordError, match=says):
            what(recorder)


# ---------------------------------------------------------------------- hostile folders


def rewrite(folder: Path, **fields: object) -> None:
    document = json.loads((folder / FILE).read_bytes()) | fields
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    (folder / FILE).write_text(text)


ZERO = "00" * 32
BAD_CONTENTS = {
    "not JSON": (lambda f: (f / FILE).write_bytes(b"\xff{"), "not JSON"),
    "deep": (lambda f: (f / FILE).write_text("[" * 100_000), "not JSON"),
    "empty": (lambda f: (f / FILE).write_bytes(b""), "not JSON"),
    "a list": (lambda f: (f / FILE).write_text("[]"), "fields of receipt.json are list"),
    "more fields": (lambda f: rewrite(f, more=1), "expected"),
    "version": (lambda f: rewrite(f, version=2), "version 2, expected 1"),
    "spaces": (
        lambda f: (f / FILE).write_text(" " + (f / FILE).read_text()),
        "not canonical JSON",
    ),
    "huge": (lambda f: (f / FILE).write_bytes(b" " * ((16 << 20) + 1)), "larger than"),
    "root": (lambda f: rewrite(f, log_root="00"), "expected 64 hex digits"),
    "no checkpoints": (lambda f: rewrite(f, checkpoints=0), "expected 1"),
    "too many checkpoints": (lambda f: rewrite(f, checkpoints=1 << 63), "expected 1"),
    "another length": (lambda f: rewrite(f, checkpoints=3), "4 leaves below|larger than"),
    "true": (lambda f: rewrite(f, checkpoints=True), "True, expected"),
    "missing manifest": (lambda f: rewrite(f, manifest_root=ZERO), "no blob"),
    "missing log": (lambda f: rewrite(f, log_root=ZERO), "no leaves"),
    "segment 0": (lambda f: rewrite(f, segments=[[0, ZERO]]), "expected 1"),
    "segment beyond": (lambda f: rewrite(f, segments=[[4, ZERO]]), "beyond the log of 4"),
    "segment twice": (lambda f: rewrite(f, segments=[[2, ZERO], [2, ZERO]]), "does not come after"),
    "segment text": (lambda f: rewrite(f, segments="2"), "must be a list"),
    "segment row": (lambda f: rewrite(f, segments=[[2]]), "must be 1 integers and a root"),
    "step beyond": (lambda f: rewrite(f, steps=[[11, ZERO]]), "step 11 is recorded, its segment"),
    "step of another": (lambda f: rewrite(f, steps=[[0, ZERO]]), "its segment 1 is not"),
    "fold of another": (lambda f: rewrite(f, folds=[[4, 0, 0, ZERO]]), "fold of step 4"),
    "fold of no node": (lambda f: rewrite(f, folds=[[5, 8, 0, ZERO]]), "node 8 of 8"),
    "fold of no element": (lambda f: rewrite(f, folds=[[5, 6, 300, ZERO]]), "element 300"),
}


@pytest.mark.parametrize("case", BAD_CONTENTS)
def test_receipt_with_bad_contents_is_refused(case, copy) -> None:
    spoil, says = BAD_CONTENTS[case]
    spoil(copy)
    with pytest.raises(RecordError, match=says):
        Receipt(copy)


def test_receipt_whose_segment_does_not_end_in_its_log_is_refused(copy) -> None:
    leaves = [*Receipt(copy).segment_leaves(SEGMENT)[:-1], bytes(32)]
    root = ContentStore(copy).put_leaves(leaves)
    rewrite(copy, segments=[[SEGMENT, root.hex()]])
    with pytest.raises(RecordError, match="segment 2 ends in 0x0000"):
        Receipt(copy)


def test_receipt_with_leaves_of_another_size_is_refused(copy) -> None:
    log = Receipt(copy).log
    root = ContentStore(copy).put_leaves([*log[:-1], bytes(31)])
    rewrite(copy, log_root=root.hex())
    with pytest.raises(RecordError, match="a leaf of 31 bytes"):
        Receipt(copy)


def test_receipt_with_any_object_damaged_is_refused_or_withholds_it(whole, tmp_path) -> None:
    objects = [path for path in whole.rglob("*") if path.is_file() and path.name != FILE]
    assert len(objects) > 20
    chance = random.Random(5)
    for number, path in enumerate(objects):
        folder = Path(shutil.copytree(whole, tmp_path / str(number)))
        spoiled = folder / path.relative_to(whole)
        data = bytearray(spoiled.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        spoiled.write_bytes(data)
        with pytest.raises(RecordError):
            read_all(Receipt(folder))
        spoiled.unlink()
        with pytest.raises((RecordError, Withheld)):
            read_all(Receipt(folder))


def read_all(receipt: Receipt) -> None:
    for step in (4, 5, 6, 8):
        for index in range(len(receipt.manifest.state)):
            receipt.state_tensor(step, index)
    for node in range(receipt.manifest.nodes):
        receipt.node_output(STEP, node)


def test_contents_come_back_as_they_were() -> None:
    root = bytes(range(32))
    contents = Contents(root, root, 9, ((1, root), (3, root)), ((0, root),), (((0, 2, 5), root),))
    assert Contents.from_bytes(contents.to_bytes()) == contents


def test_receipt_root_of_its_log_is_that_of_the_run(run, whole) -> None:
    outcome = Trainer(TASK, run, Executor(1)).run()
    assert Receipt(whole).contents.log_root == outcome.log_root
    assert root_of_leaves(Receipt(whole).log) == outcome.log_root
