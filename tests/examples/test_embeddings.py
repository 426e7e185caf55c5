"""The embeddings of mails: what is built, delivered and said of it.

A tiny encoder of random weights, in a package of the same form, stands in for the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from protocol.capture.examples import minilm
from protocol.capture.examples.spam import Mails
from scripts.real import run
from scripts.real.example import Example, load
from tests.capture import minilm_package
from tests.capture.running import states

STEPS = 5


@pytest.fixture(scope="module")
def example() -> Iterator[Example]:
    """The example on the stand-in, with 27 short mails: spam says free, the others meeting."""
    labels = np.arange(60) % 3 == 0
    texts = [
        ("free money now" if spam else "the meeting") + " money" * (i % 4)
        for i, spam in enumerate(labels)
    ]
    halves = tuple(Mails(texts[i::2], labels[i::2].astype(np.int64)) for i in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minilm, "PACKAGE", minilm_package.Package())
        found = load("embeddings")
        patch.setattr(module_of(found), "load_mails", lambda: halves)
        vars(module_of(found)).update(LENGTH=6, BATCH=6, MAILS=27)
        yield found


def module_of(example: Example) -> ModuleType:
    return sys.modules[example.make_task.__module__]


def test_task_embeds_every_mail_as_stock_pytorch_does(example: Example) -> None:
    captured = example.make_task(STEPS)
    assert captured.steps == STEPS
    *_, after = states(captured)
    known, unseen = module_of(example).corpus(27)
    assert (len(known.texts), len(unseen.texts)) == (18, 9)
    expected = module_of(example).stock([*known.texts, *unseen.texts])
    np.testing.assert_allclose(after["outputs.embedding"], expected, atol=1e-6)
    told = example.evaluate(after)
    assert told["spam"].startswith("100.0% of 9 held-out mails told by their 5 nearest of 18;")
    assert "stock PyTorch's, 27 compared" in told["embeddings"]


def test_fewer_steps_embed_fewer_mails(example: Example) -> None:
    captured = example.make_task(2)
    assert dict(captured.state)["outputs.embedding"].shape == (
        12,
        minilm_package.CONFIG["hidden_size"],
    )


def test_outputs_are_judged_as_delivered_and_not_before(example: Example, capsys) -> None:
    *_, after = states(example.make_task(STEPS))
    run.judge(example, {"as delivered": after})
    told = capsys.readouterr().out
    assert "spam as delivered: 100.0%" in told
    assert "before" not in told


def test_neighbours_vote_by_cosine(example: Example) -> None:
    known = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0, 1], [0.1, 0.9], [0.2, 0.8]], np.float32)
    labels = np.array([1, 1, 1, 0, 0, 0])
    assert module_of(example).vote(known, labels, np.eye(2, dtype=np.float32)).tolist() == [1, 0]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("devnet")  # real time: not two of them at once
def test_run_of_embeddings_pays_the_honest_and_convicts_the_cheat(tmp_path, capsys) -> None:
    assert run.main(["embeddings", "--steps", "4", "--keep", str(tmp_path / "town")]) == 0
    told = capsys.readouterr().out
    assert "claim finalised" in told
    assert "1 ulp apart" in told
    assert "embeddings as delivered: within" in told
