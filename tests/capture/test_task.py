"""What capture promises besides numbers: refusals, determinism, independence of settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.captured import Captured, load_into
from protocol.capture.errors import (
    CaptureError,
    UnsupportedDtype,
    UnsupportedOperator,
    UnsupportedOptimizer,
)
from protocol.capture.task import task_from
from protocol.program.canonical import encode_program
from protocol.program.node import OperandKind
from protocol.training.task import Task
from tests.capture.running import states

RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 40)


def capture(model: nn.Module, **changes: object) -> Captured:
    options: dict = {"steps": 6, "interval": 2, "batch_size": 8, "seed": 4, **changes}
    optimizer = options.pop("optimizer", None) or torch.optim.SGD(model.parameters(), lr=0.1)
    data = options.pop("data", (X, Y))
    loss = options.pop("loss", nn.CrossEntropyLoss())
    return task_from(model, loss, optimizer, data, **options)


def mlp(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 3))


class Calls(nn.Module):
    """Calls a function on the output of a linear layer."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 3)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.inner(x))  # type: ignore[operator]


def test_capture_twice_gives_the_same_bytes() -> None:
    first, second = capture(mlp(0.1)), capture(mlp(0.1))
    assert encode_program(first.program) == encode_program(second.program)
    assert first.origins == second.origins
    for (name, a), (_, b) in zip(
        [*first.state, *first.data], [*second.state, *second.data], strict=True
    ):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_capture_does_not_change_the_model_nor_the_process() -> None:
    model = mlp()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    random_state = torch.get_rng_state()
    capture(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_settings_of_the_process_have_no_influence() -> None:
    plain = encode_program(capture(mlp()).program)
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            other = encode_program(capture(model, optimizer=optimizer).program)
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision("highest")
    assert other == plain


def test_captured_parts_make_a_valid_task() -> None:
    task = Task.create(**capture(mlp(0.1)).parts())
    assert task.manifest.steps == 6
    assert task.manifest.state[task.manifest.loss_state or 0].name == "loss"


def test_origins_name_module_operator_and_direction() -> None:
    origins = capture(mlp()).origins
    assert "0: aten.mm (fwd)" in origins
    assert "3: aten.mm (bwd)" in origins
    assert any(o.startswith("1: ") and o.endswith("(bwd)") for o in origins)
    assert any(o.startswith("loss: ") and o.endswith("(fwd)") for o in origins)
    assert "0.weight: sgd.param (opt)" in origins


def test_step_counter_is_its_own_node_and_counts() -> None:
    captured = capture(mlp())
    binding = captured.program.bindings[[n for n, _ in captured.state].index("step")]
    assert binding.kind is OperandKind.NODE
    assert [int(s["step"]) for s in states(captured)] == [1, 2, 3, 4, 5, 6]


def test_frozen_and_unused_parameters_stay_as_they_are() -> None:
    model = mlp()
    model.add_module("spare", nn.Linear(2, 2))
    model.forward = lambda x: model[3](model[1](model[0](x)))  # type: ignore[method-assign]
    model[0].bias.requires_grad_(False)
    captured = capture(model)
    *_, after = states(captured)
    initial = dict(captured.state)
    for name in ("model.0.bias", "model.spare.weight"):
        np.testing.assert_array_equal(after[name], initial[name])
    assert not np.array_equal(after["model.0.weight"], initial["model.0.weight"])


def test_tied_weights_are_one_state_tensor() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    model[2].weight = model[0].weight
    captured = capture(model)
    names = [name for name, _ in captured.state]
    assert "model.0.weight" in names
    assert "model.2.weight" not in names
    *_, after = states(captured)
    load_into(model, after.items())
    np.testing.assert_array_equal(model[2].weight.detach().numpy(), after["model.0.weight"])


def test_dropout_mask_has_the_rate_and_changes_with_step_and_layer() -> None:
    class Watch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Dropout(0.3), nn.Dropout(0.3)
            self.last = nn.Linear(500, 3)
            self.register_buffer("seen", torch.zeros(2, 64, 500))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a, b = self.first(torch.ones_like(x)), self.second(torch.ones_like(x))
            self.seen.copy_(torch.stack([a, b]).detach())
            return self.last(x * a * b)

    x = np.ones((64, 500), np.float32)
    captured = capture(
        Watch(), data=(x, np.zeros(64, np.int32)), batch_size=64, steps=2, interval=1
    )
    first, second = (state["model.seen"] for state in states(captured))
    kept = np.float32(1) / np.float32(0.7)
    for mask in (first[0], first[1], second[0]):
        np.testing.assert_allclose(np.unique(mask), [0, kept], rtol=1e-6)
        assert abs((mask > 0).mean() - 0.7) < 0.01
    assert abs(((first[0] > 0) & (first[1] > 0)).mean() - 0.49) < 0.01
    assert abs(((first[0] > 0) & (second[0] > 0)).mean() - 0.49) < 0.01


def test_dropout_depends_on_the_seed_of_the_task() -> None:
    order = np.arange(48).reshape(6, 8) % 40
    losses = [
        [s["loss"].item() for s in states(capture(mlp(0.5), seed=seed, order=order))]
        for seed in (1, 1, 2)
    ]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_unsupported_operator_names_operator_module_line_and_remedy() -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        capture(nn.Sequential(nn.Tanh(), Calls(torch.digamma)))
    text = str(caught.value)
    assert "aten.digamma" in text
    assert "in 1," in text
    assert "test_task.py" in text
    assert "self.function(self.inner(x))" in text
    assert "supported operators" in text


@pytest.mark.parametrize(
    "function", [lambda x: x if x.sum() > 0 else -x, lambda x: x[x > 0].sum() * x]
)
def test_data_dependent_forward_is_refused_with_its_line(function: object) -> None:
    with pytest.raises(UnsupportedOperator, match=r"in .*test_task\.py.*torch\.where"):
        capture(Calls(function))


def test_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"shape \(8,\); reduce it"):
        capture(mlp(), loss=nn.CrossEntropyLoss(reduction="none"))
    with pytest.raises(CaptureError, match="trainable"):
        capture(Calls(lambda x: x.detach()))


def test_model_in_channels_last_gives_the_same_program() -> None:
    data = (RNG.normal(size=(40, 2, 6, 6)).astype(np.float32), Y)
    programs = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
        captured = capture(model.to(memory_format=memory_format), data=data)
        programs.append(encode_program(captured.program))
    assert programs[0] == programs[1]


@pytest.mark.parametrize(
    "function", [lambda x: x.double(), lambda x: x.half(), lambda x: x.bfloat16().float()]
)
def test_other_float_types_are_refused_with_their_place(function: object) -> None:
    with pytest.raises(UnsupportedDtype, match=r"(double|float64|float16).*|bfloat16.*float"):
        capture(Calls(function))


def test_data_of_other_types_is_refused() -> None:
    with pytest.raises(UnsupportedDtype, match=r"data inputs is float64.*astype"):
        capture(mlp(), data=(X.astype(np.float64), Y))
    with pytest.raises(UnsupportedDtype, match="beyond the 32 bits"):
        capture(mlp(), data=(X, Y + (1 << 40)))
    with pytest.raises(UnsupportedDtype, match=r"parameter 0.weight is float64"):
        capture(mlp().double())


def test_optimizer_options_without_lowering_are_refused() -> None:
    model = mlp()
    with pytest.raises(UnsupportedOptimizer, match="differentiable"):
        capture(model, optimizer=torch.optim.AdamW(model.parameters(), differentiable=True))
    with pytest.raises(UnsupportedOptimizer, match=r"Rprop.*torch\.optim\.Adafactor"):
        capture(model, optimizer=torch.optim.Rprop(model.parameters()))
    with pytest.raises(UnsupportedOptimizer, match="not a parameter"):
        capture(model, optimizer=torch.optim.SGD(mlp().parameters(), lr=1.0))


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(CaptureError, match="interval 7"):
        capture(mlp(), interval=7)
    with pytest.raises(CaptureError, match="batch of 41"):
        capture(mlp(), batch_size=41)
    with pytest.raises(CaptureError, match="40 inputs but 39 targets"):
        capture(mlp(), data=(X, Y[:39]))
    with pytest.raises(CaptureError, match="order names examples"):
        capture(mlp(), order=np.full((6, 8), 40))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": True}, "steps is True"),
        ({"steps": 6.0}, "steps is 6.0"),
        ({"steps": 1 << 31}, "counter is an i32"),
        ({"steps": 1 << 30}, "order='keyed'"),
        ({"batch_size": None}, "batch_size is None"),
        ({"seed": "7"}, "seed '7' must lie in"),
        ({"interval": "1"}, "interval '1' must lie in"),
        ({"clip_norm": "1"}, "clip_norm='1' is no limit"),
        ({"ema": "0.9"}, "ema is '0.9'"),
        ({"schedule": "cosine"}, "schedule is 'cosine'"),
        ({"schedule": torch.optim.lr_scheduler.StepLR}, "schedule is <class .*StepLR"),
        ({"schedule": [lambda _: 1.0, 2.0]}, r"schedule is 2\.0"),
        ({"schedule": lambda _: 1e300}, "no finite float32"),
        ({"data": (X, Y.astype(np.uint8))}, r"targets holds bytes .*astype\('int32'\)"),
    ],
)
def test_argument_of_another_kind_is_refused_with_its_value(changes: dict, says: str) -> None:
    with pytest.raises(CaptureError, match=says):
        capture(mlp(), **changes)


def test_optimizer_that_is_none_or_has_hooks_is_refused() -> None:
    model = mlp()
    with pytest.raises(UnsupportedOptimizer, match=r"NoneType.*inference_from"):
        task_from(model, nn.CrossEntropyLoss(), None, (X, Y), steps=1, batch_size=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.register_step_post_hook(lambda *_: None)
    with pytest.raises(UnsupportedOptimizer, match="hooks of its steps"):
        capture(model, optimizer=optimizer)


def test_loading_the_state_of_another_model_is_refused() -> None:
    captured = capture(mlp())
    with pytest.raises(CaptureError, match=r"missing.*2\.bias"):
        load_into(nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)), captured.state)
