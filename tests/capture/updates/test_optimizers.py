"""Every optimiser beside PyTorch's over 50 steps of the same gradients: parameters and states."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import SGD, Adafactor, Adagrad, Adam, AdamW, RMSprop

from protocol.capture.errors import UnsupportedOptimizer
from protocol.capture.optim import Lion
from protocol.capture.task import task_from
from protocol.program.isa import DType
from tests.capture import fed
from tests.capture.agreement import assert_engines_agree
from tests.capture.fed import Maker, capture, stock, worst_difference
from tests.capture.running import states

STEPS = 50
TOLERANCE = 1e-5

MAKERS: dict[str, Maker] = {
    "sgd": lambda p: SGD(p, lr=0.03),
    "sgd, decay": lambda p: SGD(p, lr=0.03, weight_decay=0.1),
    "sgd, momentum, dampening": lambda p: SGD(p, lr=0.03, momentum=0.9, dampening=0.3),
    "sgd, nesterov, decay, maximize": lambda p: SGD(
        p, lr=0.01, momentum=0.8, nesterov=True, weight_decay=0.1, maximize=True
    ),
    "adam": lambda p: Adam(p, lr=0.01),
    "adam, decay, amsgrad": lambda p: Adam(p, lr=0.01, weight_decay=0.1, amsgrad=True),
    "adam, decoupled": lambda p: Adam(p, lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
    "adamw": lambda p: AdamW(p, lr=0.01, weight_decay=0.1, betas=(0.8, 0.95)),
    "adamw, amsgrad, maximize": lambda p: AdamW(p, lr=0.01, amsgrad=True, maximize=True),
    "rmsprop": lambda p: RMSprop(p, lr=0.01),
    "rmsprop, centered": lambda p: RMSprop(p, lr=0.01, centered=True, alpha=0.9),
    "rmsprop, all": lambda p: RMSprop(
        p, lr=0.005, centered=True, momentum=0.8, weight_decay=0.1, maximize=True
    ),
    "rmsprop, momentum": lambda p: RMSprop(p, lr=0.005, momentum=0.8),
    "adagrad": lambda p: Adagrad(p, lr=0.1),
    "adagrad, all": lambda p: Adagrad(
        p, lr=0.1, lr_decay=0.01, weight_decay=0.1, initial_accumulator_value=0.2, maximize=True
    ),
    "lion": lambda p: Lion(p, lr=0.003),
    "lion, all": lambda p: Lion(p, lr=0.003, betas=(0.8, 0.95), weight_decay=0.3, maximize=True),
    "adafactor": lambda p: Adafactor(p, lr=0.05),
    "adafactor, all": lambda p: Adafactor(
        p, lr=0.05, beta2_decay=-0.5, eps=(1e-6, 1e-2), d=1.5, weight_decay=0.1, maximize=True
    ),
}


@pytest.mark.parametrize("case", MAKERS)
def test_optimizer_agrees_with_pytorch_in_all_states(case: str) -> None:
    captured = capture(MAKERS[case], STEPS)
    assert worst_difference(captured, stock(MAKERS[case], STEPS)) < TOLERANCE


def test_groups_keep_their_own_hyperparameters() -> None:
    def make(groups: list) -> torch.optim.Optimizer:
        others, matrices = groups
        return AdamW([{**others, "lr": 0.02}, {**matrices, "amsgrad": True, "eps": 1e-3}], lr=0.01)

    captured = capture(make, 10)
    names = {name for name, _ in captured.state}
    assert "optimizer.max_exp_avg_sq.matrix" in names
    assert "optimizer.max_exp_avg_sq.bias" not in names
    assert worst_difference(captured, stock(make, 10)) < TOLERANCE


@pytest.mark.parametrize("case", [c for c in MAKERS if not c.startswith("adafactor")])
def test_updates_read_their_own_element_so_that_they_run_in_place(case: str) -> None:
    captured = capture(MAKERS[case], 2)
    nodes = captured.program.nodes
    bound = {n: b for (n, _), b in zip(captured.state, captured.program.bindings, strict=True)}
    for name, binding in bound.items():
        if name.startswith(("model.", "optimizer.")):
            node = nodes[binding.index]
            assert node.dtype is DType.F32
            assert node.domain == ()
            own = [name for name, _ in captured.state].index(name)
            assert any((o.kind.name, o.index) == ("STATE", own) for o in node.operands), name


def test_lion_of_hand_computed_steps() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    optimizer = Lion([weight], lr=0.1, betas=(0.5, 0.75), weight_decay=0.5)
    weight.grad = torch.tensor([4.0, -8.0, 0.0])
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.85, -1.8, 0.475]))
    torch.testing.assert_close(optimizer.state[weight]["exp_avg"], torch.tensor([1.0, -2.0, 0.0]))
    weight.grad = torch.tensor([-2.0, 0.0, 1.0])  # blend -0.5, -1.0, 0.5
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.9075, -1.61, 0.35125]))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"lr": -1.0}, "negative"), ({"betas": (0.9, 1.0)}, "beta"), ({"weight_decay": -1}, "decay")],
)
def test_lion_with_wrong_options_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lion([torch.nn.Parameter(torch.zeros(2))], **options)


def test_adagrad_that_has_stepped_is_refused() -> None:
    def make(groups: list) -> torch.optim.Optimizer:
        optimizer = Adagrad(groups)
        for group in groups:
            for parameter in group["params"]:
                parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        return optimizer

    with pytest.raises(UnsupportedOptimizer, match="earlier steps"):
        capture(make, 2)


def test_subclass_of_an_optimizer_is_refused_as_it_may_do_anything() -> None:
    class Mine(AdamW):
        pass

    with pytest.raises(UnsupportedOptimizer, match=r"Mine.*Lion.*docs/CAPTURE\.md"):
        capture(Mine, 2)


@pytest.mark.parametrize(
    "case",
    ["adamw, amsgrad, maximize", "rmsprop, all", "adagrad, all", "lion, all", "adafactor, all"],
)
def test_engines_agree_on_a_task_with_the_optimizer(case: str) -> None:
    assert_engines_agree(capture(MAKERS[case], 3))


ODD_SHAPES = {
    "one": (1,),
    "single": (1, 1),
    "column": (37, 1),
    "line": (1, 41),
    "deep": (3, 1, 2),
    "large": (101, 331),  # more than one row of a sum may hold
}


@pytest.mark.parametrize("case", ["adafactor, all", "lion, all", "adam, decay, amsgrad"])
def test_odd_shapes_agree_with_pytorch_when_clipped(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fed, "SHAPES", ODD_SHAPES)
    captured = capture(MAKERS[case], 4, clip_norm=50.0)
    expected = stock(MAKERS[case], 4, clip=lambda p: clip_grad_norm_(p, 50.0))
    assert worst_difference(captured, expected) < TOLERANCE


@pytest.mark.parametrize("case", ["adafactor", "adafactor, all", "rmsprop", "adagrad", "adamw"])
@pytest.mark.parametrize("size", [1e-4, 1e-9])
def test_tiny_gradients_meet_the_epsilons_as_in_pytorch(
    case: str, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = fed.gradients(8) * np.float32(size)
    monkeypatch.setattr(fed, "gradients", lambda steps: rows[:steps])
    captured = capture(MAKERS[case], 8)
    assert worst_difference(captured, stock(MAKERS[case], 8)) < TOLERANCE


@pytest.mark.parametrize("make", [Adafactor, AdamW])
def test_gradients_that_are_one_number_everywhere_are_updated_and_clipped(make: type) -> None:
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.row = nn.Parameter(torch.ones(5, 7)), nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.table.sum() * x.mean() + self.row.sum() + self.table.t().sum()

    for options in ({}, {"clip_norm": 0.1}, {"clip_value": 0.1}, {"accumulate": 2}):
        model, twin = Sums(), Sums()
        captured = task_from(
            model,
            lambda out, _: out,
            make(model.parameters(), lr=0.1),
            (np.ones((1, 1), np.float32), np.zeros(1, np.int32)),
            steps=2,
            interval=1,
            batch_size=1,
            **options,
        )
        optimizer = make(twin.parameters(), lr=0.1)
        for _ in range(2 // options.get("accumulate", 1)):
            optimizer.zero_grad()
            twin(torch.ones(1, 1)).backward()
            if "clip_norm" in options:
                clip_grad_norm_(twin.parameters(), 0.1)
            if "clip_value" in options:
                clip_grad_value_(twin.parameters(), 0.1)
            optimizer.step()
        *_, after = states(captured)
        for name, parameter in twin.named_parameters():
            np.testing.assert_allclose(
                after[f"model.{name}"], parameter.detach().numpy(), rtol=TOLERANCE
            )
