"""Initial weights that the program draws: what is committed, what training starts from."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.captured import Captured, load_into
from protocol.capture.entry import Entry, capture_entry
from protocol.capture.errors import CaptureError
from protocol.capture.initial.distributions import (
    Constant,
    Normal,
    Padded,
    TruncatedNormal,
    Uniform,
)
from protocol.capture.initial.drawing import drawing
from protocol.capture.initial.starting import CHOICE, drawn_values, initial_of, initial_state
from protocol.capture.task import task_from
from protocol.program.philox import philox
from protocol.training.task import Task
from tests.capture.architectures.catalogue import ARCHITECTURES
from tests.capture.architectures.training import (
    BATCH,
    optimizer_of,
    relative_difference,
    stock_losses,
)
from tests.capture.drawn import Bag, capture, data
from tests.capture.running import states
from tests.capture.updates.test_optimizers import MAKERS


@pytest.fixture(autouse=True)
def _same_given_weights() -> None:
    torch.manual_seed(2)  # of what is not drawn, such as a bias


class Net(nn.Module):
    """Two layers, with normalisation whose statistics run."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm, self.down = (
            nn.Linear(1, 6, bias=False),
            nn.BatchNorm1d(6),
            nn.Linear(6, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 1) to the same."""
        return self.down(torch.tanh(self.norm(self.up(x))))


WHOLE = {"up.*": Uniform(-1.0, 1.0), "down.weight": Normal(0.0, 0.4)}


def stock_run(captured: Captured, model: nn.Module, optimizer: Any, **options: Any) -> list[float]:
    """Stock training from what the program draws, in its order."""
    load_into(model, initial_state(captured))
    inputs, targets = (torch.from_numpy(array) for array in data())
    losses = []
    accumulate, clip = options.get("accumulate", 1), options.get("clip_norm")
    for step, row in enumerate(torch.from_numpy(dict(captured.data)["order"]).long()):
        loss = nn.functional.mse_loss(model(inputs[row]), targets[row])
        (loss / accumulate).backward()
        losses.append(loss.item())
        if (step + 1) % accumulate == 0:
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
    return losses


def train_both(name: str, steps: int) -> tuple[Captured, np.ndarray, list[np.ndarray]]:
    """An architecture as it is, drawn; its losses, and PyTorch's from there in f32 and f64."""
    architecture = ARCHITECTURES[name]()
    with torch.random.fork_rng(devices=[]), drawing() as drawn:
        model = architecture.model().train()
    captured = task_from(
        model,
        architecture.loss,
        optimizer_of(model, architecture.learning_rate),
        architecture.data,
        steps=steps,
        interval=5,
        batch_size=BATCH,
        drawn=drawn,
    )
    stock = []
    for dtype in (torch.float32, torch.float64):
        start = copy.deepcopy(model)
        load_into(start, initial_state(captured))
        stock.append(stock_losses(architecture, start, captured, dtype))
    own = np.array([state["loss"].item() for state in states(captured)])
    return captured, own, stock


def test_losses_of_20_steps_from_drawn_weights_agree_with_stock_pytorch() -> None:
    captured, own, (stock, _) = train_both("lora", 20)
    assert relative_difference(own, stock) < 1e-5
    choices = sum(origin.endswith(f"{CHOICE} (init)") for origin in captured.origins)
    assert choices == len(drawn_values(captured)) == 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_losses_of_100_steps_from_drawn_weights_agree_with_stock_pytorch(name: str) -> None:
    _, own, (stock, exact) = train_both(name, 100)
    assert relative_difference(own[:20], stock[:20]) < 1e-4
    # Training amplifies what rounding does, in PyTorch as here.
    assert relative_difference(own, stock) < max(1e-4, 4 * relative_difference(stock, exact))


@pytest.mark.parametrize("name", MAKERS)
def test_every_optimiser_starts_from_drawn_weights(name: str) -> None:
    model = Net()
    captured = capture(model, WHOLE, MAKERS[name](model.parameters()), steps=6)
    stock = copy.deepcopy(model)
    losses = stock_run(captured, stock, MAKERS[name](stock.parameters()))
    np.testing.assert_allclose([s["loss"].item() for s in states(captured)], losses, rtol=1e-4)


@pytest.mark.parametrize(
    "options", [{"accumulate": 3, "ema": 0.5}, {"clip_norm": 0.1}, {"order": "keyed", "ema": 0.9}]
)
def test_drawn_weights_go_with_what_surrounds_an_update(options: dict[str, Any]) -> None:
    model = Net()
    captured = capture(model, WHOLE, steps=6, **options)
    drawn = drawn_values(captured)
    (first, *_, last) = states(captured)
    if options.get("order") is None:
        stock = copy.deepcopy(model)
        optimizer = torch.optim.SGD(stock.parameters(), lr=0.1)
        losses = stock_run(captured, stock, optimizer, **options)
        own = [s["loss"].item() for s in states(captured)]
        np.testing.assert_allclose(own, losses, rtol=1e-4)
    if "ema" in options:
        for name, array in drawn.items():
            after, average = first[name], first[name.replace("model.", "ema.")]
            moved = 0.0 if options.get("accumulate") else 1 - options["ema"]
            np.testing.assert_allclose(average, array + moved * (after - array), atol=1e-7)
        assert {f"ema.{n}" for n, _ in model.named_parameters()} <= last.keys()


def test_frozen_and_unused_parameters_keep_what_was_drawn() -> None:
    model = Bag(a=(3, 4), b=(5,), c=())
    model.unused = nn.Parameter(torch.zeros(2, 2))
    model.forward = lambda x: x * (model.a.mean() + model.b.mean() * model.c)
    model.a.requires_grad_(False)
    captured = capture(model, {"*": Normal()})
    drawn = drawn_values(captured)
    assert drawn.keys() == {"model.a", "model.b", "model.c", "model.unused"}
    for state in states(captured):
        for name in ("model.a", "model.unused"):
            np.testing.assert_array_equal(state[name], drawn[name])
        assert (state["model.b"] != drawn["model.b"]).all()


def test_committed_state_is_zero_where_the_program_draws_and_given_elsewhere() -> None:
    model = Net()
    with torch.no_grad():
        model.down.bias.fill_(0.75)
    captured = capture(model, WHOLE, ema=0.9)
    state = dict(captured.state)
    for name in drawn_values(captured):
        assert not state[name].any()
        assert not state[name.replace("model.", "ema.")].any()
    np.testing.assert_array_equal(state["model.down.bias"], [0.75])
    np.testing.assert_array_equal(state["model.norm.weight"], np.ones(6))


def test_word_of_an_element_is_philox_of_seed_draw_and_element() -> None:
    seed = 0x123456789ABCDEF0
    values = drawn_values(capture(Bag(a=(2,), b=(3, 5)), {"b": Uniform(0.0, 1.0)}, seed=seed))
    own = values["model.b"].reshape(-1)
    for element in range(15):
        key = (seed & 0xFFFFFFFF, 1)  # b is the second parameter
        word = philox((element, 0, seed >> 32, 1), key)[0]
        assert own[element] == np.float32((word >> 8) * 2**-24)


@functools.cache
def two_seeds() -> tuple[Captured, Captured, Captured]:
    first, again, other = (
        capture(Bag(a=(64, 32), b=(64, 32), c=(32,)), {"*": Normal()}, seed=s) for s in (7, 7, 8)
    )
    return first, again, other


def test_same_seed_gives_the_same_task_and_another_seed_other_weights() -> None:
    first, again, other = two_seeds()
    manifests = [Task.create(**each.parts()).manifest for each in (first, again, other)]
    assert manifests[0] == manifests[1]
    assert manifests[0].initial_state_root == manifests[2].initial_state_root
    assert manifests[0].program_root != manifests[2].program_root
    own, others = drawn_values(first), drawn_values(other)
    assert all((own[name] != others[name]).mean() > 0.99 for name in own)


def test_draws_of_parameters_and_seeds_are_independent() -> None:
    first, _, other = two_seeds()
    own, others = drawn_values(first), drawn_values(other)
    a, b, c = (own[f"model.{n}"].reshape(-1).astype(np.float64) for n in "abc")
    for one, two in ((a, b), (a[:-1], a[1:]), (a[:32], c), (a, others["model.a"].reshape(-1))):
        assert abs(np.corrcoef(one, two)[0, 1]) < 4 / np.sqrt(one.size)


def test_draw_of_a_parameter_does_not_depend_on_what_else_is_drawn() -> None:
    whole = drawn_values(capture(Bag(a=(4,), b=(4,)), {"*": Normal()}))
    alone = drawn_values(capture(Bag(a=(4,), b=(4,)), {"b": Normal()}))
    np.testing.assert_array_equal(whole["model.b"], alone["model.b"])
    assert not (whole["model.a"] == whole["model.b"]).any()


def test_later_pattern_counts_and_tied_weights_are_drawn_once() -> None:
    model = Bag(a=(4,), b=(4,))
    model.register_parameter("c", model.a)
    captured = capture(model, {"*": Normal(), "b": Constant(2.0), "c": Uniform(5.0, 6.0)})
    drawn = drawn_values(captured)
    assert drawn.keys() == {"model.a"}
    assert (drawn["model.a"] >= 5.0).all()
    np.testing.assert_array_equal(dict(captured.state)["model.b"], np.full(4, 2.0))


def test_copies_of_one_draw_are_drawn_alike() -> None:
    with drawing() as drawn:
        layer = nn.Linear(1, 1)
        model = nn.Sequential(layer, copy.deepcopy(layer), nn.Linear(1, 1))
    values = drawn_values(capture(model, drawn))
    assert len(values) == 6
    np.testing.assert_array_equal(values["model.0.weight"], values["model.1.weight"])
    assert values["model.0.weight"] != values["model.2.weight"]


def test_model_of_any_rank_is_drawn() -> None:
    shapes = {"a": (), "b": (1,), "c": (1, 1, 3), "d": (2,) * 8, "e": (1, 5, 1, 7)}
    captured = capture(Bag(**shapes), {"*": Normal()})
    drawn = drawn_values(captured)
    for name, shape in shapes.items():
        assert drawn[f"model.{name}"].shape == shape
    (first, *_) = states(captured)
    for name, array in drawn.items():
        assert first[name].shape == array.shape
        assert (np.abs(first[name] - array) < 1).all()
        assert (first[name] != array).any()


def test_drawing_adds_two_nodes_a_parameter_and_dropout_keeps_its_words() -> None:
    def captured(drawn: Any) -> Captured:
        model = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1)).train()
        return capture(model, drawn)

    plain, drawn = captured(None), captured({"*": Normal()})
    assert len(drawn.program.nodes) == len(plain.program.nodes) + 8
    assert sum(origin.endswith(f"{CHOICE} (init)") for origin in drawn.origins) == 4
    masks = [
        next(n for n, o in zip(c.program.nodes, c.origins, strict=True) if "bernoulli" in o)
        for c in (plain, drawn)
    ]
    assert masks[0].constants == masks[1].constants


def test_entry_of_a_file_may_return_what_is_to_be_drawn(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "import torch\n"
        "from protocol.capture.initial.distributions import Normal\n"
        "from tests.capture.drawn import Bag, data\n"
        "def make_task():\n"
        "    model = Bag(a=(3, 2))\n"
        "    return dict(model=model, loss=torch.nn.functional.mse_loss, data=data(),\n"
        "                optimizer=torch.optim.SGD(model.parameters(), lr=0.1), steps=2,\n"
        "                batch_size=4, drawn={'*': Normal()})\n"
    )
    assert drawn_values(capture_entry(Entry(path, "make_task"))).keys() == {"model.a"}


@pytest.mark.parametrize(
    ("drawn", "says"),
    [
        ({"*.weigth": Normal()}, r"drawn\['\*.weigth'\] fits none of the model's 5 parameters"),
        ({"up.weight": "normal"}, r"drawn\['up.weight'\] is 'normal'"),
        ({"up.weight": None}, r"drawn\['up.weight'\] is None"),
        ({"up.weight": Normal}, r"drawn\['up.weight'\] is <class"),
        ({"up.weight": Padded(Normal(), 4, 7)}, "has 6 elements.*constant ones up to 7"),
        ([("up.weight", Normal())], "drawn is a list"),
        (Normal(), "drawn is a Normal"),
    ],
)
def test_what_cannot_be_drawn_is_refused(drawn: Any, says: str) -> None:
    with pytest.raises(CaptureError, match=rf"(?s){says}.*docs/CAPTURE.md"):
        capture(Net(), drawn)


def test_parameter_of_another_type_is_refused_by_its_name() -> None:
    model = Net()
    model.down.bias = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    with pytest.raises(CaptureError, match=r"parameter down.bias is torch.float64.*\.float\(\)"):
        capture(model, {"*.bias": TruncatedNormal()})


def test_weights_that_were_loaded_after_the_block_stay_given() -> None:
    with drawing() as drawn:
        model = Net()
    model.load_state_dict(Net().state_dict())
    assert not drawn_values(capture(model, drawn))


def test_drawing_of_another_model_is_refused() -> None:
    with drawing() as drawn:
        model = Net()
    with pytest.raises(CaptureError, match="none of the model's 5 parameters was made in the"):
        capture(copy.deepcopy(model), drawn)


def test_new_head_on_loaded_weights_is_drawn_alone(tmp_path: Path) -> None:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertModel

    config = DistilBertConfig(
        vocab_size=9, dim=4, n_layers=1, n_heads=1, hidden_dim=4, max_position_embeddings=5
    )
    DistilBertModel(config).save_pretrained(tmp_path)
    with drawing() as drawn:
        model = DistilBertForSequenceClassification.from_pretrained(tmp_path)
    random = [d.name for d in initial_of(model, drawn).draws]
    assert random == ["pre_classifier.weight", "classifier.weight"]
