"""The GPT on characters: its text, its task beside stock PyTorch, and what it writes.

All but the slow test take a stand-in for the text, and a smaller model.
"""

from __future__ import annotations

import importlib
import json
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from protocol.capture import Captured, task_from
from protocol.capture.captured import CaptureError
from protocol.training.task import Task
from scripts.real.example import load
from scripts.real.stock import stock_losses
from tests.capture.running import states

STEPS = 6
WORDS = "The whale and the sea; the sea and the ship!\n" * 20


@pytest.fixture(scope="module")
def data() -> ModuleType:
    load("chargpt")  # what is beside it may be imported from now on
    return importlib.import_module("chargpt_data")


@pytest.fixture(scope="module")
def text(data: ModuleType) -> Any:
    return data.split(WORDS, held_out=200)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example with a small model."""
    module = importlib.import_module(load("chargpt").make_task.__module__)
    vars(module).update(BLOCK=16, WIDTH=16, LAYERS=2, HEADS=2, BATCH=4, SAMPLED=12)
    return module


@pytest.fixture(scope="module")
def captured(example: ModuleType, text: Any) -> Captured:
    return task_from(**example.arguments(STEPS, text))


def test_text_is_split_and_decoded_again(text: Any) -> None:
    assert (len(text.train), len(text.held_out)) == (len(WORDS) - 200, 200)
    assert text.train.dtype == np.uint8
    assert text.decode(text.train) + text.decode(text.held_out) == WORDS
    assert text.vocabulary == "".join(sorted(set(WORDS)))
    assert list(text.encode(text.vocabulary)) == list(range(len(text.vocabulary)))


def test_text_with_an_unknown_character_is_not_encoded(text: Any) -> None:
    with pytest.raises(KeyError, match="Q"):
        text.encode("Queequeg")


@pytest.mark.parametrize("held_out", [0, len(WORDS)])
def test_text_without_two_parts_is_refused(data: ModuleType, held_out: int) -> None:
    with pytest.raises(ValueError, match=f"{held_out} of {len(WORDS)}"):
        data.split(WORDS, held_out)


def test_chapters_are_joined_in_the_order_given(data: ModuleType) -> None:
    files = [
        json.dumps({"chapter": n, "title": f"Title {n}.", "text": f"Text {n}—\n"}).encode()
        for n in (2, 10)
    ]
    assert data.join_chapters(files) == "Title 2.\n\nText 2—\n\n\nTitle 10.\n\nText 10—\n\n\n"


def test_task_stores_the_text_once_and_no_order(captured: Captured, text: Any) -> None:
    stored = dict(captured.data)
    assert set(stored) == {"inputs.input_ids", "schedule"}
    assert np.array_equal(stored["inputs.input_ids"], text.train)
    assert Task.create(**captured.parts()).manifest.steps == STEPS


def test_task_ties_the_head_to_the_embedding(captured: Captured) -> None:
    names = {name for name, _ in captured.state}
    assert "model.transformer.wte.weight" in names
    assert "model.lm_head.weight" not in names


def test_task_trains_as_stock_pytorch_does(
    captured: Captured, example: ModuleType, text: Any
) -> None:
    ours = [float(state["loss"]) for state in states(captured)]
    stock = stock_losses(example.arguments(STEPS, text), STEPS)
    np.testing.assert_allclose(ours, stock, rtol=1e-4)
    assert ours[-1] < ours[0]


def test_evaluation_of_fresh_weights_is_that_of_a_guess(
    captured: Captured, example: ModuleType, text: Any
) -> None:
    said = example.evaluate(dict(captured.state), text)
    guess = math.log(len(text.vocabulary))
    assert float(said["loss"].split()[0]) == pytest.approx(guess, rel=0.05)
    assert said["sample"].startswith(example.PROMPT)
    assert len(said["sample"]) == len(example.PROMPT) + example.SAMPLED
    assert said == example.evaluate(dict(captured.state), text)


def test_evaluation_of_a_trained_state_is_better(
    captured: Captured, example: ModuleType, text: Any
) -> None:
    *_, after = states(captured)
    before, now = (
        float(example.evaluate(state, text)["loss"].split()[0])
        for state in (dict(captured.state), after)
    )
    assert now < before


def test_evaluation_of_another_models_state_is_refused(
    captured: Captured, example: ModuleType, text: Any
) -> None:
    state = dict(captured.state)
    del state["model.transformer.wpe.weight"]
    with pytest.raises(CaptureError, match=r"missing \['transformer.wpe.weight'\]"):
        example.evaluate(state, text)


@pytest.mark.slow
def test_novel_is_fetched_and_a_megabyte_long(data: ModuleType) -> None:
    novel = data.load_text()
    assert len(novel.train) > 1_000_000
    assert len(novel.held_out) == data.HELD_OUT
    assert novel.decode(novel.train).startswith("Loomings.\n\nCall me Ishmael.")
    assert len(novel.vocabulary) < 100
