"""Tasks that compute a model's outputs: the same as PyTorch's, for every example, and in bits."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from protocol.capture import inference_from
from protocol.capture.captured import Captured
from protocol.capture.data.columns import Images, Windows
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.program.canonical import encode_program
from protocol.program.node import Operand, OperandKind
from protocol.training.task import Task
from tests.capture.agreement import assert_engines_agree
from tests.capture.architectures.catalogue import ARCHITECTURES
from tests.capture.architectures.training import make_model
from tests.capture.running import states
from tests.capture.scoring import BATCH, Calls, X, close, computed, mlp, scored, stock

SLOW = pytest.mark.slow


@pytest.mark.parametrize("batch_size", [1, 4, 5, 11, 12])
def test_outputs_are_pytorchs_for_every_example(batch_size: int) -> None:
    captured = inference_from(mlp(), X, batch_size=batch_size)
    assert captured.steps == -(-11 // batch_size)
    close(computed(captured)["output"], stock(mlp(), X))


def test_batches_of_any_size_give_the_same_bits() -> None:
    first, *others = (scored(mlp(), batch_size=size).tobytes() for size in (1, 4, 11, 16))
    assert others == [first] * 3


def test_step_writes_the_rows_of_its_batch_and_no_others() -> None:
    captured = inference_from(mlp(), X, batch_size=BATCH)
    whole = computed(captured)["output"]
    for step, after in enumerate(states(captured), 1):
        expected = np.where(np.arange(11)[:, None] < step * BATCH, whole, np.float32(0))
        assert after["outputs.output"].tobytes() == expected.tobytes()
        assert int(after["step"]) == step


def test_weights_are_data_and_the_state_is_what_is_computed() -> None:
    captured = inference_from(mlp(), X, batch_size=BATCH)
    assert [name for name, _ in captured.state] == ["outputs.output", "step"]
    weights = {f"model.{n}" for n in mlp().state_dict() if not n.endswith("num_batches_tracked")}
    assert {name for name, _ in captured.data} == weights | {"inputs"}
    task = Task.create(**captured.parts())
    assert task.manifest.loss_state is None


def test_other_weights_are_another_task_of_the_same_program() -> None:
    one, other = (Task.create(**_captured_with(shift).parts()).manifest for shift in (0.0, 1.0))
    assert one.program_root == other.program_root
    assert one.data_root != other.data_root
    assert one.root != other.root


def _captured_with(shift: float) -> Captured:
    model = mlp()
    with torch.no_grad():
        model[4].bias += shift
    return inference_from(model, X, batch_size=BATCH)


def test_capture_changes_neither_the_model_nor_the_process_and_repeats() -> None:
    model = mlp().train()
    before = copy.deepcopy(model.state_dict())
    random_state = torch.get_rng_state()
    with pytest.warns(UserWarning, match="mode of training"):
        first = inference_from(model, X, batch_size=BATCH)
    torch.set_default_dtype(torch.float64)
    warned = pytest.warns(UserWarning, match="mode of training")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), warned:
            second = inference_from(model, X, batch_size=BATCH)
    finally:
        torch.set_default_dtype(torch.float32)
    assert encode_program(first.program) == encode_program(second.program)
    assert first.origins == second.origins
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


# ---------------------------------------------------------------------------- bits


def reference_states(captured: Captured) -> list[list[list[int]]]:
    """The words of the state after each step, by the specification in plain Python."""
    state, data = ([_words(a) for _, a in part] for part in (captured.state, captured.data))
    found = []
    for _ in range(captured.steps):
        outputs: list[list[int]] = []

        def find(operand: Operand, state: Any = state, outputs: Any = outputs) -> list[int]:
            kinds = {OperandKind.NODE: outputs, OperandKind.STATE: state}
            return kinds.get(operand.kind, data)[operand.index]

        for node in captured.program.nodes:
            outputs.append(evaluate_node(node, [find(o) for o in node.operands]))
        bindings = captured.program.bindings
        state = [(outputs if b.kind is OperandKind.NODE else state)[b.index] for b in bindings]
        found.append(state)
    return found


def _words(array: np.ndarray) -> list[int]:
    flat = array.reshape(-1)
    return (flat if flat.dtype == np.uint8 else flat.view(np.uint32)).tolist()


def test_every_step_has_the_bits_of_the_reference() -> None:
    odd = X[:5].copy()
    odd[0, :4] = [np.nan, np.inf, -np.inf, -0.0]
    odd[4] = np.float32(1e-40)

    def output(said: torch.Tensor, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        signs = {"best": said.argmax(1), "above": said > 0}
        return {"scores": said, "root": inputs.sqrt(), **signs}

    captured = inference_from(mlp(), odd, batch_size=2, output=output)
    for own, expected in zip(states(captured), reference_states(captured), strict=True):
        assert [_words(array) for array in own.values()] == expected


def test_all_engines_agree_on_inference() -> None:
    assert_engines_agree(inference_from(mlp(), X, batch_size=BATCH, interval=2))


# ---------------------------------------------------------------------------- inputs


def test_arrays_by_keyword_bools_and_integers_reach_forward() -> None:
    data = {"x": X, "keep": X > 0, "row": np.arange(11)}
    model = Calls(lambda x, keep, row: torch.where(keep, x, 0.0) + row[:, None])
    close(scored(model, data), stock(model, data))


def test_bytes_are_seen_divided_and_images_normalised() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (11, 3, 2, 2)).astype(np.uint8)
    same = Calls(lambda x: x)
    close(scored(same, pixels), torch.from_numpy(pixels) * (1 / 255))
    own = scored(same, Images(pixels, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)))
    close(own[:, 1], (torch.from_numpy(pixels[:, 1]) / 255 - 0.2) / 0.6)


def test_windows_of_a_stream_are_examples() -> None:
    own = scored(Calls(lambda x: x), Windows(np.arange(23), 5, 3))
    assert own.tolist() == [list(range(3 * e, 3 * e + 5)) for e in range(7)]


# ---------------------------------------------------------------------------- outputs


def test_several_outputs_of_every_type_have_rows_by_name() -> None:
    def output(said: torch.Tensor, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        probabilities = said.softmax(1)
        return {
            "probabilities": probabilities,
            "best": said.argmax(1),
            "sure": probabilities.amax(1) > 0.4,
            "bytes": (inputs[:, :2] > 0).to(torch.uint8),
            "cube": inputs[:, :, None, None].expand(-1, -1, 2, 3),
        }

    own, expected = scored(mlp(), output=output), stock(mlp(), X, output)
    types = {"probabilities": "float32", "best": "int32", "sure": "uint8", "bytes": "uint8"}
    assert {name: array.dtype.name for name, array in own.items()} == {**types, "cube": "float32"}
    for name in ("probabilities", "cube"):
        close(own[name], expected[name])
    for name in ("best", "sure", "bytes"):
        assert own[name].tolist() == expected[name].int().tolist()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        lambda x: x[:, 0],
        lambda x: x[:, :1].expand(-1, 5),
        lambda x: (x[:, None] * torch.ones(1, 5, 1)).transpose(1, 2),
        lambda x: torch.zeros_like(x),
        lambda x: x.new_full((len(x), 2), 7.5),
        lambda x: x.unflatten(1, (2, 1, 3)),
    ],
)
def test_outputs_that_are_only_views_or_constants_are_written(function: Any) -> None:
    own = scored(Calls(function))
    np.testing.assert_array_equal(own, function(torch.from_numpy(X)).numpy())


def test_mapping_with_logits_gives_these_alone() -> None:
    own = scored(Calls(lambda x: {"loss": None, "logits": x * 2, "cache": object()}))
    np.testing.assert_array_equal(own, X * 2)


def test_unknown_numbers_of_padding_do_not_reach_an_output() -> None:
    own = scored(Calls(lambda x: 1 / x), np.ones((5, 2), np.float32), batch_size=3)
    assert own.tolist() == [[1.0, 1.0]] * 5  # the padding's are infinite


# ---------------------------------------------------------------------------- models


def test_frozen_and_tied_parameters_are_stored_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
            self.outer.weight = self.inner.weight
            self.inner.weight.requires_grad_(False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.outer(self.inner(x).relu())

    torch.manual_seed(0)
    model = Tied().eval()
    captured = inference_from(model, X, batch_size=BATCH)
    assert [name for name, _ in captured.data] == ["model.inner.weight", "inputs"]
    close(computed(captured)["output"], stock(model, X))


def test_buffers_that_forward_changes_are_state_and_seen_by_the_next_step() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
            self.register_buffer("scale", torch.tensor(2.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.batches += 1
            return x * self.scale + self.batches

    captured = inference_from(Counting().eval(), np.zeros((5, 1), np.float32), batch_size=2)
    assert [n for n, _ in captured.state] == ["outputs.output", "model.batches", "step"]
    assert computed(captured)["output"].ravel().tolist() == [1, 1, 2, 2, 3]


def test_mode_of_training_is_kept_and_warned_of_where_it_matters() -> None:
    norm = nn.BatchNorm1d(6)
    with pytest.warns(UserWarning, match=r"buffers that each step changes \(running_mean.*eval\("):
        own = scored(norm.train(), X[:8])
    expected = nn.BatchNorm1d(6)
    both = [expected(torch.from_numpy(part)) for part in (X[:4], X[4:8])]
    close(own, torch.cat(both).detach())
    with pytest.warns(UserWarning, match="1 random draws"):
        dropped = scored(nn.Dropout(0.5).train())
    assert set(np.unique(dropped / X)) == {0.0, 2.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scored(nn.Linear(6, 2).train())
        scored(mlp())


def test_model_for_one_batch_size_only_is_captured() -> None:
    model = Calls(lambda x: x + torch.arange(4).reshape(4, 1))
    assert (
        scored(model, X[:8])[:, 0].tolist()
        == (X[:8, 0] + np.tile(np.arange(4, dtype=np.float32), 2)).tolist()
    )


def mean_pooled(said: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Sentence embeddings: the mean over tokens that are no padding, of length 1."""
    mask = inputs["attention_mask"].unsqueeze(-1).float()
    total = (said.last_hidden_state * mask).sum(1)
    return F.normalize(total / mask.sum(1).clamp(min=1e-9), dim=1)


def log_likelihood(said: Any, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of each token after those before it, and of the whole text."""
    scores = said.logits[:, :-1].log_softmax(-1)
    each = scores.gather(2, inputs["input_ids"][:, 1:, None])[..., 0]
    return {"each": each, "whole": each.sum(1)}


def _inputs(name: str, *keywords: str) -> dict[str, np.ndarray]:
    data = ARCHITECTURES[name]().data
    return {k: (data if isinstance(data, dict) else data[0])[k][:10] for k in keywords}


def _embedder() -> nn.Module:
    return make_model(ARCHITECTURES["bert"]()).bert


@pytest.mark.parametrize(
    ("make", "data", "output"),
    [
        (_embedder, ("bert", "input_ids", "attention_mask"), mean_pooled),
        pytest.param("bert", ("bert", "input_ids", "attention_mask"), None, marks=SLOW),
        pytest.param("vit", ("vit", "pixel_values"), None, marks=SLOW),
        ("resnet", ("resnet", "pixel_values"), None),
        ("gpt2", ("gpt2", "input_ids"), log_likelihood),
        pytest.param("llama", ("llama", "input_ids"), log_likelihood, marks=SLOW),
    ],
    ids=["embeddings", "bert", "vit", "resnet", "gpt2", "llama"],
)
def test_models_of_transformers_score_as_stock_pytorch_does(
    make: Any, data: Sequence[str], output: Any
) -> None:
    model = (make if callable(make) else lambda: make_model(ARCHITECTURES[make]()))().eval()
    inputs = _inputs(*data)
    own, expected = scored(model, inputs, output=output), stock(model, inputs, output)
    if not isinstance(expected, dict):
        own, expected = {"output": own}, {"output": expected}
    assert own.keys() == expected.keys()
    for name, array in own.items():
        close(array, expected[name])
