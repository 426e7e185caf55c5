"""Fine-tuning the encoder to tell spam: its task beside stock PyTorch, and how it is graded.

A tiny encoder of random weights, in a package of the same form, stands in for the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch

from protocol.capture import Captured, task_from
from protocol.capture.captured import CaptureError
from protocol.capture.examples import minilm
from protocol.capture.examples.spam import Mails
from protocol.training.task import Task
from scripts.real.example import load
from scripts.real.stock import stock_losses
from tests.capture import minilm_package
from tests.capture.running import states

STEPS = 40


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """The example on the stand-in, with short mails, small batches and a high rate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minilm, "PACKAGE", minilm_package.Package())
        module = sys.modules[load("minilm").make_task.__module__]
        vars(module).update(LENGTH=6, BATCH=8, RATE=0.03)
        yield module


@pytest.fixture(scope="module")
def mails() -> Mails:
    """Spam says free, the others meeting."""
    labels = np.arange(60) % 3 == 0
    texts = [
        ("free money now" if spam else "the meeting") + " money" * (i % 4)
        for i, spam in enumerate(labels)
    ]
    return Mails(texts, labels.astype(np.int64))


@pytest.fixture(scope="module")
def captured(example: ModuleType, mails: Mails) -> Captured:
    return task_from(**example.arguments(STEPS, mails))


@pytest.fixture(scope="module")
def trained(captured: Captured) -> list[dict[str, np.ndarray]]:
    return list(states(captured))


def test_task_is_valid_and_the_same_each_time(
    captured: Captured, example: ModuleType, mails: Mails
) -> None:
    first, second = (
        Task.create(**each.parts())
        for each in (captured, task_from(**example.arguments(STEPS, mails)))
    )
    assert first.manifest.to_bytes() == second.manifest.to_bytes()
    assert first.manifest.steps == STEPS


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_arguments_of_few_steps_make_a_whole_run(
    example: ModuleType, mails: Mails, steps: int
) -> None:
    chosen = example.arguments(steps, mails)
    factors = [chosen["schedule"](step) for step in range(steps)]
    assert chosen["interval"] == 1
    assert max(factors) == 1.0
    assert min(factors) > 0.0


def test_task_begins_with_the_weights_of_the_package(captured: Captured) -> None:
    state = dict(captured.state)
    for name, tensor in minilm_package.make_encoder().state_dict().items():
        np.testing.assert_array_equal(state[f"model.bert.{name}"], tensor.numpy(), err_msg=name)


def test_task_leaves_no_parameter_as_it_was(
    captured: Captured, trained: list[dict[str, np.ndarray]], example: ModuleType
) -> None:
    before, after = dict(captured.state), trained[-1]
    for name, _ in example.make_model().named_parameters():
        assert not np.array_equal(before[f"model.{name}"], after[f"model.{name}"]), name


def test_task_trains_as_stock_pytorch_does(
    trained: list[dict[str, np.ndarray]], example: ModuleType, mails: Mails
) -> None:
    ours = [float(state["loss"]) for state in trained]
    stock = stock_losses(example.arguments(STEPS, mails), 8)
    np.testing.assert_allclose(ours[:8], stock, rtol=1e-4)
    assert ours[-1] < ours[0]


def test_optimizer_decays_matrices_only(example: ModuleType) -> None:
    model = example.make_model()
    decay = {
        id(p): group["weight_decay"]
        for group in example.make_optimizer(model).param_groups
        for p in group["params"]
    }
    assert all(decay[id(p)] == (0.01 if p.ndim > 1 else 0.0) for p in model.parameters())
    assert len(decay) == len(list(model.parameters()))


def test_evaluation_of_a_trained_state_tells_all_mails(
    trained: list[dict[str, np.ndarray]], example: ModuleType, mails: Mails
) -> None:
    said = example.evaluate(trained[-1], mails)
    assert said == {
        "accuracy": "100.0% of 60 held-out mails; 66.7% are no spam",
        "spam": "20 of 20 found; 0 others taken for it",
    }


def test_evaluation_counts_what_is_wrong(
    trained: list[dict[str, np.ndarray]], example: ModuleType, mails: Mails
) -> None:
    labels = mails.labels.copy()
    labels[0], labels[1], labels[2] = 0, 1, 1  # one taken for spam, two not found
    said = example.evaluate(trained[-1], Mails(mails.texts, labels))
    assert said == {
        "accuracy": "95.0% of 60 held-out mails; 65.0% are no spam",
        "spam": "19 of 21 found; 1 others taken for it",
    }


def test_evaluation_of_another_models_state_is_refused(
    captured: Captured, example: ModuleType, mails: Mails
) -> None:
    state = dict(captured.state)
    del state["model.classifier.bias"]
    with pytest.raises(CaptureError, match=r"missing \['classifier.bias'\]"):
        example.evaluate(state, mails)


def test_classify_takes_texts_in_pieces(
    trained: list[dict[str, np.ndarray]], example: ModuleType, mails: Mails
) -> None:
    from protocol.capture import load_into

    model = example.make_model()
    load_into(model, trained[-1].items())
    texts = mails.texts * 4
    np.testing.assert_array_equal(example.classify(model.eval(), texts), np.tile(mails.labels, 4))
    assert torch.is_grad_enabled()


@pytest.mark.slow  # fetches 103 MB
@pytest.mark.timeout(900)
def test_task_of_the_real_weights_trains_as_stock_pytorch_does() -> None:
    real = load("minilm")
    *_, state = states(real.make_task(2))
    stock = stock_losses(real.arguments(2), 2)
    np.testing.assert_allclose(float(state["loss"]), stock[-1], rtol=1e-5)
