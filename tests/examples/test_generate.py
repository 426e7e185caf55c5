"""The model of characters that continues texts: its task beside transformers, with a stand-in.

All but the slow test take another text and a model that is hardly trained.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import nn

from protocol.capture import decode_from
from scripts.real.example import load
from tests.capture.running import states

WORDS = """The whale, and the sea; the sea and Captain Ahab's ship! Call me Ishmael.\n""" * 20
EXTRA = '"Thar she blows I At midnight '
STEPS = 40


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example with a small model."""
    made = importlib.import_module(load("generate").make_task.__module__)
    vars(importlib.import_module("generate_model")).update(WIDTH=16, LAYERS=1, BLOCK=32, BATCH=2)
    return made


@pytest.fixture(scope="module")
def text(example: ModuleType) -> Any:
    del example  # the novel's module may be imported from now on
    return importlib.import_module("chargpt_data").split(EXTRA + WORDS, held_out=200)


@pytest.fixture(scope="module")
def model(text: Any) -> nn.Module:
    module = importlib.import_module("generate_model")
    made: nn.Module = module.make_model(len(text.vocabulary))
    module.train(made, text.train, 5)
    return made.eval()


def test_generated_texts_are_those_of_transformers(
    example: ModuleType, text: Any, model: nn.Module
) -> None:
    captured = decode_from(**example.arguments(STEPS, text, model))
    assert captured.steps == STEPS
    *_, last = states(captured)
    told = example.evaluate(last, text, model)
    assert told["transformers"] == "generate() writes the same 8 of 8 texts"
    assert told["texts"].count("\n--- ") == len(example.PROMPTS)
    assert all(f"--- {prompt}" in told["texts"] for prompt in example.PROMPTS)


def test_weights_are_trained_once_and_kept(
    text: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("generate_model")
    monkeypatch.setattr(module, "STEPS", 2)
    first = module.trained_model(text, tmp_path)
    monkeypatch.setattr(module, "train", None)
    second = module.trained_model(text, tmp_path)
    assert not second.training
    for (name, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        assert (a == b).all(), name


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_task_of_the_novel_is_built() -> None:
    captured = load("generate").make_task(STEPS)
    assert captured.name == "generate"
    assert captured.steps == STEPS
