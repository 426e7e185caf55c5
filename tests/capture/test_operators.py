"""Each lowered operator against PyTorch, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.capture.running import run_operator

TOLERANCE = 2e-6


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def positive(*shape: int) -> np.ndarray:
    return (np.abs(normal(*shape)) + 0.1).astype(np.float32)


SMALL, IMAGE, ROWS = normal(6, 7), normal(3, 4, 8, 8), normal(5, 70)

ELEMENTWISE = {
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "erf": torch.erf,
    "sin": torch.sin,
    "cos": torch.cos,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "silu": F.silu,
    "softplus": F.softplus,
    "hardtanh": F.hardtanh,
    "gelu_erf": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "square": lambda x: x**2,
    "cube": lambda x: x**3,
    "negative": lambda x: -x,
    "absolute": torch.abs,
    "clamp": lambda x: x.clamp(-0.5, 0.7),
    "clamp_min": lambda x: x.clamp(min=0.1),
    "where": lambda x: torch.where(x > 0.2, x * 2, x * x),
    "maximum": lambda x: torch.maximum(x, x * 0.3 + 0.1),
    "minimum": lambda x: torch.minimum(x, x * 0.3 + 0.1),
    "reversed_subtraction": lambda x: 1 - x,
    "scaled_addition": lambda x: torch.add(x, x * x, alpha=0.3),
    "floor": lambda x: torch.floor(x * 3) + x,
    "ceil": lambda x: torch.ceil(x * 3) + x,
    "sign": lambda x: torch.sign(x) * x,
    "masked_fill": lambda x: x.masked_fill((x > 0) & ~(x > 1), -2.0),
}
OF_POSITIVE = {
    "log": torch.log,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "power_minus_half": lambda x: x**-0.5,
    "power_three_halves": lambda x: x**1.5,
}
MOVES = {
    "transpose": lambda x: x.t() * 2,
    "permute": lambda x: x.view(3, 2, 7).permute(2, 0, 1) * 2,
    "reshape_of_transpose": lambda x: x.t().reshape(6, 7) * 2,
    "expand": lambda x: x[:, :1].expand(6, 4) * 2,
    "slice": lambda x: x[1:5:2, ::3] * 2,
    "select": lambda x: x[:, 3] * 2,
    "flip": lambda x: x.flip(0, 1) * 2,
    "cat": lambda x: torch.cat([x, x * 2, -x[:, :2]], 1),
    "split": lambda x: torch.split(x, 3, dim=1)[2] * 2,
    "chunk_product": lambda x: x.chunk(2, 0)[0] * x.chunk(2, 0)[1],
    "pad": lambda x: F.pad(x, (1, 2, 0, 3), value=-1.5) * 2,
    "unbind": lambda x: torch.unbind(x, 1)[5] * 2,
    "stack": lambda x: torch.stack([x, x * x], 1),
    "repeated_index": lambda x: x[torch.tensor([0, 2, 2, -1])] * 2,
}
REDUCTIONS = {
    "sum_all": lambda x: x.sum(),
    "sum_rows": lambda x: x.sum(1),
    "sum_columns": lambda x: x.sum(0, keepdim=True),
    "mean": lambda x: x.mean(),
    "mean_rows": lambda x: x.mean(-1, keepdim=True),
    "variance": lambda x: x.var(1),
    "variance_biased": lambda x: x.var(0, correction=0),
    "amax": lambda x: (x - 5).amax(1),
    "amin": lambda x: (x + 5).amin(0),
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 0),
    "logsumexp": lambda x: torch.logsumexp(x, 1),
    "layer_norm": lambda x: F.layer_norm(x, (70,)),
    "cumsum": lambda x: torch.cumsum(x, 1),
    "normalize": lambda x: F.normalize(x, dim=1),
}
POOLS = {
    "max": lambda x: F.max_pool2d(x, 2),
    "max_overlapping_padded": lambda x: F.max_pool2d(x, 3, stride=2, padding=1),
    "max_ceil": lambda x: F.max_pool2d(x, 3, ceil_mode=True),
    "max_of_tiles": lambda x: F.max_pool2d(x, (2, 4)),
    "average_of_tiles": lambda x: F.avg_pool2d(x, (4, 2), divisor_override=3),
    "max_dilated": lambda x: F.max_pool2d(x, 2, stride=1, dilation=2),
    "max_of_negatives_padded": lambda x: F.max_pool2d(x - 9, 3, stride=1, padding=1),
    "average": lambda x: F.avg_pool2d(x, 2),
    "average_padded": lambda x: F.avg_pool2d(x, 3, stride=2, padding=1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (2, 4)),
    "upsample": lambda x: F.interpolate(x, scale_factor=2),
    "adaptive_max": lambda x: F.adaptive_max_pool2d(x, (4, 2)),
    "adaptive_one": lambda x: F.adaptive_avg_pool2d(x, 1),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_forward_and_backward_agree_with_torch(name: str) -> None:
    assert run_operator(ELEMENTWISE[name], SMALL).worst() < TOLERANCE


@pytest.mark.parametrize("name", OF_POSITIVE)
def test_elementwise_of_positive_numbers_agrees_with_torch(name: str) -> None:
    assert run_operator(OF_POSITIVE[name], positive(6, 7)).worst() < TOLERANCE


@pytest.mark.parametrize("name", MOVES)
def test_movement_forward_and_backward_agrees_with_torch(name: str) -> None:
    assert run_operator(MOVES[name], SMALL).worst() < TOLERANCE


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction_forward_and_backward_agrees_with_torch(name: str) -> None:
    assert run_operator(REDUCTIONS[name], ROWS).worst() < TOLERANCE


@pytest.mark.parametrize("name", POOLS)
def test_pooling_forward_and_backward_agrees_with_torch(name: str) -> None:
    assert run_operator(POOLS[name], IMAGE).worst() < TOLERANCE


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"padding": 2, "dilation": 2, "bias": False},
        {"groups": 2, "padding": 1},
        {"groups": 4, "stride": 2},
        {"stride": (3, 1), "padding": (0, 2)},
        {"stride": 2, "dilation": 2, "padding": 3},
    ],
    ids=str,
)
def test_convolution_forward_and_all_gradients_agree_with_torch(options: dict) -> None:
    torch.manual_seed(1)
    assert run_operator(nn.Conv2d(4, 8, 3, **options), IMAGE).worst() < TOLERANCE


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1, "output_padding": 1}, {"groups": 2}], ids=str
)
def test_transposed_convolution_agrees_with_torch(options: dict) -> None:
    torch.manual_seed(1)
    assert run_operator(nn.ConvTranspose2d(4, 8, 3, **options), IMAGE).worst() < TOLERANCE


def test_convolution_weight_gradient_split_over_images_agrees_with_torch() -> None:
    torch.manual_seed(1)
    outcome = run_operator(nn.Conv2d(2, 3, 3, padding=1), normal(5, 2, 40, 40))
    assert outcome.worst() < 2 * TOLERANCE  # sums of 8,000 terms that cancel
    assert any(node.shape == (3, 3, 2, 3, 3) for node in outcome.captured.program.nodes)


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(70, 9),
        nn.Linear(70, 9, bias=False),
        nn.LayerNorm(70),
        nn.BatchNorm1d(70),
        nn.GroupNorm(7, 70),
        nn.Conv1d(5, 2, 4),
    ],
    ids=str,
)
def test_module_parameters_get_the_gradients_of_torch(module: nn.Module) -> None:
    assert run_operator(module, normal(5, 70)).worst() < 2 * TOLERANCE


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Conv3d(2, 3, 2, stride=2, padding=1), (2, 2, 4, 5, 4)),
        (nn.ConvTranspose1d(3, 2, 4, stride=3, padding=1), (2, 3, 6)),
        (nn.ConvTranspose3d(2, 2, 3, stride=2), (1, 2, 3, 3, 2)),
    ],
    ids=str,
)
def test_convolution_of_other_ranks_agrees_with_torch(module: nn.Module, shape: tuple) -> None:
    assert run_operator(module, normal(*shape)).worst() < TOLERANCE


@pytest.mark.parametrize(
    "options",
    [{"ignore_index": 2}, {"weight": torch.tensor([0.5, 1.0, 2.0])}, {"reduction": "sum"}],
    ids=str,
)
def test_cross_entropy_options_agree_with_torch(options: dict) -> None:
    labels = torch.tensor([0, 2, 1, 1, 2, 0])
    outcome = run_operator(lambda x: F.cross_entropy(x, labels, **options), normal(6, 3))
    assert outcome.worst() < TOLERANCE


def test_batched_product_agrees_with_torch() -> None:
    outcome = run_operator(lambda x: torch.bmm(x, x.transpose(1, 2)), normal(3, 5, 6))
    assert outcome.worst() < TOLERANCE


def test_attention_agrees_with_torch() -> None:
    def attention(x: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(x, x * 0.5, x + 1, is_causal=True)

    assert run_operator(attention, normal(2, 3, 5, 4)).worst() < TOLERANCE


def test_embedding_gradient_is_one_guarded_pass() -> None:
    tokens = np.random.default_rng(1).integers(0, 9, size=(4, 6)).astype(np.int32)
    outcome = run_operator(nn.Embedding(9, 5, padding_idx=2), tokens)
    assert outcome.worst() < TOLERANCE
    assert any(node.guards for node in outcome.captured.program.nodes)


@pytest.mark.parametrize("length", [31, 32, 33, 1_000, 32_768, 32_769, 40_000])
def test_row_sum_of_any_length_is_split_as_agreed(length: int) -> None:
    outcome = run_operator(lambda x: x.sum(1), positive(3, length))
    assert outcome.worst() < TOLERANCE
    folds = [(node.shape, node.domain) for node in outcome.captured.program.nodes]
    blocks = -(-length // 1_024)
    assert (((3,), (length,)) in folds) == (length <= 32)
    assert (((3, 32), (-(-length // 32),)) in folds) == (32 < length <= 32_768)
    assert (((3, blocks, 32), (32,)) in folds) == (length > 32_768)


@pytest.mark.parametrize("rows", [256, 257, 1_000])
def test_column_sum_of_any_length_is_split_in_blocks_of_256(rows: int) -> None:
    outcome = run_operator(lambda x: x.sum(0), normal(rows, 3))
    assert outcome.worst() < TOLERANCE
    shapes = [node.shape for node in outcome.captured.program.nodes]
    assert ((-(-rows // 256), 3) in shapes) == (rows > 256)


def test_argmax_takes_the_first_of_ties_and_nan() -> None:
    x = np.array([[1, 3, 3, 0], [np.nan, 5, np.nan, 9], [-1, -1, -2, -1]], np.float32)
    assert _integers(lambda x: x.argmax(1), x) == [1, 0, 0]
    assert _integers(lambda x: x.argmin(1), x) == [3, 0, 2]


def _integers(operator: object, x: np.ndarray) -> list[int]:
    def seen(x: torch.Tensor) -> torch.Tensor:
        return x.nan_to_num(0.0).sum() * 0 + operator(x).float()  # type: ignore[operator]

    own, stock = run_operator(seen, x).output
    np.testing.assert_array_equal(own, stock)
    return own.astype(int).tolist()
