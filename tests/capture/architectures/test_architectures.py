"""Architectures that people train, captured without edits and trained beside stock PyTorch."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from protocol.capture.captured import Captured
from protocol.program.cost import TreeSizes, judgement_gas
from protocol.training.task import Task
from tests.capture.architectures.catalogue import ARCHITECTURES
from tests.capture.architectures.training import (
    Pair,
    capture,
    make_model,
    relative_difference,
    stock_losses,
    train_both,
)
from tests.capture.running import states

TOLERANCE = 1e-5
GAS_CAP = 400_000
MOST_NODES = {
    "gpt2": 290,
    "bert": 370,
    "distilbert": 360,
    "llama": 290,
    "vit": 345,
    "resnet": 275,
    "lstm": 315,
    "gru": 565,
    "encoder": 305,
    "unet": 120,
    "diffusion": 145,
    "lora": 245,
}
WITH_DROPOUT = ("gpt2", "bert", "encoder", "lstm")


@functools.cache
def pair(name: str) -> Pair:
    return train_both(ARCHITECTURES[name](), 20)


def worst_gas(captured: Captured) -> int:
    sizes = TreeSizes.of(captured.program, captured.data_specs())
    return max(judgement_gas(node, sizes) for node in captured.program.nodes)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_losses_of_20_steps_agree_with_stock_pytorch(name: str) -> None:
    assert pair(name).worst() < TOLERANCE
    assert pair(name).own[-5:].mean() < pair(name).own[:5].mean()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_programs_are_small_and_cheap_to_judge(name: str) -> None:
    captured = pair(name).captured
    assert len(captured.program.nodes) <= MOST_NODES[name]
    assert worst_gas(captured) <= GAS_CAP


@pytest.mark.parametrize("name", WITH_DROPOUT)
def test_dropout_draws_anew_at_every_step(name: str) -> None:
    captured = capture(ARCHITECTURES[name](dropout=0.2), 3)
    draws = [origin for origin in captured.origins if "bernoulli" in origin]
    assert len(draws) >= 1
    assert worst_gas(captured) <= GAS_CAP
    losses = [state["loss"].item() for state in states(captured)]
    without = pair(name).own[:3]
    assert np.isfinite(losses).all()
    np.testing.assert_allclose(losses, without, rtol=0.3)
    assert not np.isclose(losses, without, rtol=1e-4).any()


def test_running_statistics_follow_stock_pytorch() -> None:
    architecture = ARCHITECTURES["resnet"]()
    model = make_model(architecture)
    captured = capture(architecture, 6, model)
    (*_, after) = states(captured)
    stock_losses(architecture, model, captured)
    means = [name for name, _ in model.named_buffers() if name.endswith("running_mean")]
    assert len(means) > 3
    for name, buffer in model.named_buffers():
        own = after[f"model.{name}"]
        np.testing.assert_allclose(own, buffer.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


def test_frozen_parameters_stay_and_have_no_optimiser_state() -> None:
    captured = pair("lora").captured
    names = [name for name, _ in captured.state]
    trained = {n.removeprefix("optimizer.exp_avg.") for n in names if ".exp_avg." in n}
    assert all("distilbert" not in n or n.endswith((".up", ".down")) for n in trained)
    assert len(trained) == 2 * 2 * 2 + 4
    frozen = [n for n in names if n.startswith("model.") and n[len("model.") :] not in trained]
    assert len(frozen) > 20
    kinds = {(b.kind.name, b.index) for b in captured.program.bindings}
    assert all(("STATE", names.index(name)) in kinds for name in frozen)


def test_tied_embeddings_are_one_state_tensor() -> None:
    names = [name for name, _ in pair("gpt2").captured.state]
    assert "model.transformer.wte.weight" in names
    assert "model.lm_head.weight" not in names


def test_capturing_twice_gives_the_same_task() -> None:
    first, second = (capture(ARCHITECTURES["llama"](), 3) for _ in range(2))
    assert Task.create(**first.parts()).manifest == Task.create(**second.parts()).manifest


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_losses_of_100_steps_agree_with_stock_pytorch(name: str, scale: int) -> None:
    architecture = ARCHITECTURES[name](scale)
    trained = train_both(architecture, 100)
    exact = stock_losses(architecture, make_model(architecture), trained.captured, torch.float64)
    assert trained.worst(20) < 1e-4
    # Training amplifies what rounding does, in PyTorch as here.
    assert trained.worst() < max(1e-4, 4 * relative_difference(trained.stock, exact))
    assert worst_gas(trained.captured) <= GAS_CAP
