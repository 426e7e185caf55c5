"""What ordinary models draw their weights from is noted while they are made."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from protocol.capture.errors import CaptureError
from protocol.capture.initial.distributions import (
    Constant,
    Distribution,
    Normal,
    Padded,
    TruncatedNormal,
    Uniform,
)
from protocol.capture.initial.drawing import Story, drawing
from tests.capture.architectures.catalogue import ARCHITECTURES
from tests.capture.drawn import Bag

LOADED = torch.randn(4, 6)
COMPUTED = "it was computed by aten."
DRAWN_OF = {
    "gpt2": 10, "bert": 17, "distilbert": 16, "llama": 16, "vit": 16, "resnet": 9, "lstm": 10,
    "gru": 18, "encoder": 15, "unet": 10, "diffusion": 14, "lora": 20,
}  # fmt: skip
"""Parameters of each architecture that are drawn; the others are constant."""


def story_of(make: Callable[[], torch.Tensor]) -> Story:
    with drawing() as drawn:
        tensor = make()
    return drawn.story(tensor)


def distribution_of(make: Callable[[], torch.Tensor]) -> Distribution | None:
    return story_of(make).distribution


def changed(by: Callable[[torch.Tensor], Any], size: tuple[int, ...] = (4, 6)) -> torch.Tensor:
    """A normal parameter, changed."""
    parameter = nn.Parameter(torch.randn(size))
    with torch.no_grad():
        by(parameter)
    return parameter


INITS = [
    (nn.init.uniform_, Uniform(0.0, 1.0)),
    (lambda t: nn.init.uniform_(t, -0.5, 0.25), Uniform(-0.5, 0.25)),
    (lambda t: nn.init.normal_(t, 1.0, 0.5), Normal(1.0, 0.5)),
    (lambda t: nn.init.trunc_normal_(t, 0.0, 0.02), TruncatedNormal(0.0, 0.02)),
    (lambda t: nn.init.trunc_normal_(t, 0.1, 1, a=0.5, b=0.6), TruncatedNormal(0.1, 1, 0.5, 0.6)),
    (nn.init.xavier_uniform_, Uniform(-math.sqrt(3 / 5), math.sqrt(3 / 5))),
    (nn.init.xavier_normal_, Normal(0.0, math.sqrt(1 / 5))),
    (nn.init.kaiming_uniform_, Uniform(-1.0, 1.0)),
    (lambda t: nn.init.kaiming_normal_(t, mode="fan_out"), Normal(0.0, math.sqrt(1 / 2))),
    (nn.init.zeros_, Constant(0.0)),
    (nn.init.ones_, Constant(1.0)),
    (lambda t: nn.init.constant_(t, 0.3), Constant(0.3)),
]


@pytest.mark.parametrize(("init", "expected"), INITS)
def test_function_of_nn_init_is_noted(init, expected) -> None:
    own = distribution_of(lambda: changed(init))
    assert type(own) is type(expected)
    assert vars(own) == pytest.approx(vars(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: nn.Parameter(torch.randn(3, 4) * 0.5), Normal(0.0, 0.5)),
        (lambda: 0.02 * torch.randn(3), Normal(0.0, 0.02)),
        (lambda: (torch.rand(3) - 0.5) / 0.25, Uniform(-2.0, 2.0)),
        (lambda: -torch.rand(3), Uniform(-1.0, 0.0)),
        (lambda: torch.rand(3).add(torch.tensor(2.0), alpha=3), Uniform(6.0, 7.0)),
        (lambda: torch.randn_like(torch.empty(2)).mul_(2).add_(1).sub_(3), Normal(-2.0, 2.0)),
        (lambda: torch.normal(1.0, 2.0, (3,)), Normal(1.0, 2.0)),
        (lambda: torch.empty(3).normal_(5.0, 0.0), Constant(5.0)),
        (lambda: torch.full((3,), 7.0) / 2, Constant(3.5)),
        (lambda: torch.randn(3).zero_(), Constant(0.0)),
        (lambda: torch.zeros(3).copy_(torch.rand(3)), Uniform(0.0, 1.0)),
        (lambda: torch.rand(3).copy_(torch.tensor(2.0)), Constant(2.0)),
        (lambda: torch.randn(6).view(2, 3).t(), Normal()),
        (lambda: changed(lambda p: p.data.uniform_(-1, 1)), Uniform(-1.0, 1.0)),
        (lambda: changed(lambda p: p.view(-1).fill_(2)), Constant(2.0)),
        (lambda: copy.deepcopy(changed(lambda p: p.mul_(3))), Normal(0.0, 3.0)),
    ],
)
def test_arithmetic_on_what_was_drawn_is_followed(make, expected) -> None:
    assert distribution_of(make) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p[0].zero_(), Padded(Normal(), 0, 6)),
        (lambda p: p[2].fill_(1.5), Padded(Normal(), 12, 18, 1.5)),
        (lambda p: p.data[1:3].zero_(), Padded(Normal(), 6, 18)),
        (lambda p: p[3].copy_(torch.tensor(2.0)), Padded(Normal(), 18, 24, 2.0)),
        (lambda p: (p[1].fill_(1), p[1].fill_(2)), Padded(Normal(), 6, 12, 2.0)),
        (lambda p: (p[1].fill_(1), p.normal_()), Normal()),
        (lambda p: p[:0].fill_(1), Normal()),
    ],
)
def test_constant_row_is_left_out_of_what_is_drawn(change, expected) -> None:
    assert distribution_of(lambda: changed(change)) == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (nn.init.orthogonal_, COMPUTED),
        (lambda p: nn.init.sparse_(p, 0.5), COMPUTED),
        (nn.init.eye_, COMPUTED),
        (lambda p: p.mul_(torch.randn(4, 6)), COMPUTED),
        (lambda p: p.clamp_(-1, 1), COMPUTED),
        (lambda p: p.copy_(torch.randn(4, 6) @ torch.eye(6)), COMPUTED + "mm"),
        (lambda p: p.copy_(LOADED), "copied from values that were not drawn in the block"),
        (lambda p: p.copy_(torch.randn(6)), "of another shape"),
        (lambda p: p[0].normal_(), "a part of it was drawn on its own"),
        (lambda p: p[0].mul_(2), "a part of it was computed"),
        (lambda p: (p[0].fill_(1), p[1].fill_(2)), "several parts of it were filled"),
        (lambda p: (p[0].fill_(1), p.mul_(2)), "a part of it was computed"),
        (lambda p: p[:, 0].fill_(1), "several parts of it were filled"),
        (lambda p: p.fill_(float("nan")), "bounds that are none"),
        (lambda p: nn.init.normal_(p, 0, 1e-60), "bounds that are none"),
        (lambda p: torch._foreach_mul_([p], 2.0), COMPUTED),
    ],
)
def test_weight_that_was_not_simply_drawn_is_given_with_its_reason(change, reason) -> None:
    story = story_of(lambda: changed(change))
    assert story.distribution is None
    assert reason in story.reason


def test_weight_of_another_type_or_part_or_time_is_given() -> None:
    whole = torch.randn(4)
    with drawing() as drawn:
        wide, part, late = torch.randn(4).double(), torch.randn(4)[:2], torch.randn(4)
        shared = torch.randn(2, 4, dtype=torch.float64)
    assert "not made in the drawing block" in drawn.story(whole).reason
    assert COMPUTED in drawn.story(wide).reason
    assert "of another type" in drawn.story(shared).reason
    assert "part of what was drawn" in drawn.story(part).reason
    assert drawn.story(late).distribution == Normal()
    late.data[0] += 1
    assert "changed after the drawing block" in drawn.story(late).reason


def test_copies_of_one_draw_are_told_from_draws_of_their_own() -> None:
    with drawing() as drawn:
        layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False
        )
        fresh = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
    stories = drawn.stories(layers)
    first, second = (stories[f"layers.{i}.linear1.weight"] for i in range(2))
    assert first == second
    assert len({story.draw for story in drawn.stories(fresh).values()}) == 4


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_drawn_as_it_is(name: str) -> None:
    with torch.random.fork_rng(devices=[]), drawing() as drawn:
        model = ARCHITECTURES[name]().model()
    stories = drawn.stories(model)
    assert all(story.distribution is not None for story in stories.values())
    random = [s for s in stories.values() if not isinstance(s.distribution, Constant)]
    assert len(random) == DRAWN_OF[name]


def test_report_says_of_each_weight_whether_it_is_drawn_and_why_not() -> None:
    with drawing() as drawn:
        model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Embedding(3, 2, padding_idx=1))
        nn.init.orthogonal_(model[0].weight)
    lines = drawn.report(model).splitlines()
    assert lines[0].startswith("0.weight: given, it was computed by aten.")
    assert lines[1:] == [
        "0.bias: drawn from Uniform(low=-0.5, high=0.5)",
        "1.weight: given, 1.0 everywhere",
        "1.bias: given, 0.0 everywhere",
        "2.weight: drawn from Padded(drawn=Normal(mean=0.0, std=1.0), start=2, stop=4, value=0.0)",
    ]


def test_drawing_that_is_asked_while_it_watches_is_refused() -> None:
    with drawing() as drawn:
        model = Bag(a=(2,))
        with pytest.raises(CaptureError, match="leave the `with drawing"):
            drawn.stories(model)
    assert drawn.stories(model)["a"].distribution == Constant(0.5)


def test_watching_changes_no_number_and_ends_with_the_block() -> None:
    def make() -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(5, 5), nn.Embedding(4, 3, padding_idx=0), nn.LSTM(3, 4))

    original = nn.init._no_grad_trunc_normal_
    plain = make().state_dict()
    with drawing() as drawn:
        watched = make().state_dict()
    for name, tensor in plain.items():
        assert torch.equal(tensor, watched[name]), name
    assert nn.init._no_grad_trunc_normal_ is original
    assert "not made in the drawing block" in drawn.story(torch.randn(3)).reason


def test_error_in_the_block_ends_the_watching() -> None:
    with pytest.raises(ZeroDivisionError), drawing():
        torch.ones(1).mul_(1 / 0)
    assert nn.init._no_grad_trunc_normal_.__module__ == "torch.nn.init"
    assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()
