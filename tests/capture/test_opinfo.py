"""Torch's own operator database: what is supported agrees, the rest is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from protocol.capture.errors import CaptureError, UnsupportedDtype, UnsupportedOperator
from tests.capture.running import states
from tests.capture.test_task import capture

SUPPORTED = (Path(__file__).parent / "opinfo_supported.txt").read_text(encoding="utf-8").split()
# Their results are random, or whatever was in memory; or PyTorch cannot make them on a CPU.
UNDEFINED = {
    "empty",
    "empty_like",
    "empty_permuted",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "as_strided_partial_views",
    "jiterator_2inputs_2outputs",
    "jiterator_4inputs_with_extra_args",
    "jiterator_binary",
    "jiterator_binary_return_by_ref",
    "jiterator_unary",
    "bernoulli",
    "normal",
    "normal_in_place",
    "normal_number_mean",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "uniform",
    "exponential",
    "sparse_mm_reduce",
    "sparse_sampled_addmm",
    "to_sparse",
    "nn_functional_alpha_dropout",
    "nn_functional_dropout",
    "nn_functional_dropout2d",
    "nn_functional_dropout3d",
    "nn_functional_feature_alpha_dropout_with_train",
    "nn_functional_multi_head_attention_forward",  # its sample has dropout
}
# Those of the database that have no samples of floats.
INTEGER_ONLY = (
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "unravel_index",
)
QUICK = (
    "__getitem__",
    "acos",
    "amax",
    "atan2",
    "clamp",
    "cosh",
    "cummax",
    "cumprod",
    "diagonal_scatter",
    "div_floor_rounding",
    "erfc",
    "fmod",
    "gather",
    "index_put",
    "index_select",
    "kthvalue",
    "linalg_vector_norm",
    "log2",
    "max_reduction_with_dim",
    "median",
    "nn_functional_adaptive_avg_pool2d",
    "nn_functional_adaptive_max_pool2d",
    "nn_functional_avg_pool2d",
    "nn_functional_interpolate_bilinear",
    "nn_functional_interpolate_nearest",
    "nn_functional_max_pool3d",
    "nn_functional_pad_reflect",
    "nn_functional_pad_replicate",
    "pow",
    "prod",
    "remainder",
    "tile",
    "roll",
    "round",
    "scatter",
    "scatter_add",
    "scatter_reduce_mean",
    "sort",
    "std",
    "take_along_dim",
    "topk",
    "unfold",
    "where",
)


@pytest.mark.parametrize("name", QUICK)
def test_sample_of_supported_operator_agrees_with_torch(name: str) -> None:
    from tests.capture.opinfo import check_sample, samples_of  # its import takes seconds

    agreed = [check_sample(name, sample) for sample in samples_of(name, 2)]
    assert any(agreed)


@pytest.mark.parametrize("name", INTEGER_ONLY)
def test_sample_of_integers_agrees_with_torch(name: str) -> None:
    from tests.capture.opinfo import DATABASE, check_sample, samples_of

    for dtype in {torch.int32, torch.bool} & DATABASE[name].dtypes:
        assert all(check_sample(name, sample) for sample in samples_of(name, 2, dtype))


@pytest.mark.slow
@pytest.mark.parametrize("name", SUPPORTED)
def test_all_samples_of_supported_operator_agree_or_are_refused(name: str) -> None:
    from tests.capture.opinfo import check_sample, samples_of

    agreed = [check_sample(name, sample) for sample in samples_of(name, 25)]
    assert any(agreed)


@pytest.mark.slow
def test_operators_that_are_not_listed_are_refused() -> None:
    from tests.capture.opinfo import DATABASE, check_sample, samples_of

    accepted = []
    for name in sorted(DATABASE.keys() - set(SUPPORTED) - UNDEFINED):
        if torch.float32 in DATABASE[name].dtypes:
            accepted += [name for sample in samples_of(name, 2) if check_sample(name, sample)]
    assert not accepted, "add these to opinfo_supported.txt"


class Inner(nn.Module):
    """Calls a function on the output of a linear layer, one module below the model."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6, 3))
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x @ self.scale)  # type: ignore[operator]


def _branching(x: torch.Tensor) -> torch.Tensor:
    return x * 2 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("function", "operator", "advice"),
    [
        (lambda x: torch.linalg.qr(x)[0][:, :3], "aten.linalg_qr", "supported operators"),
        (lambda x: x[x > 0].sum() + x, "aten.index.Tensor", "torch.where"),
        (lambda x: x[torch.nonzero(x > 0)[:, 0]], "aten.nonzero", "depends on data"),
        (lambda x: x[: int(x.argmax())], "_local_scalar_dense", "torch.where or a mask"),
        (_branching, "bool, int or .item() of a tensor", "torch.where or a mask"),
        (lambda x: torch.sort(x.repeat(1, 6_000))[0][:, :3], "aten.sort", "at most 16,384"),
    ],
    ids=["linear_algebra", "mask", "nonzero", "dynamic_slice", "branch", "long_sort"],
)
def test_unsupported_operator_names_itself_module_line_and_way_out(
    function: object, operator: str, advice: str
) -> None:
    model = nn.Sequential(nn.Identity(), Inner(function))
    with pytest.raises(UnsupportedOperator) as caught:
        capture(model)
    text = str(caught.value)
    assert operator in text
    assert " in 1" in text
    assert "test_opinfo.py:" in text
    assert advice in text


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        (lambda x: x.double().float(), "float64"),
        (lambda x: x.half().float(), "float16"),
        (lambda x: x.bfloat16().float(), "bfloat16"),
        (lambda x: torch.complex(x, x).abs(), "complex64"),
    ],
    ids=["double", "half", "bfloat16", "complex"],
)
def test_unsupported_dtype_names_operator_module_line_and_dtype(
    function: object, dtype: str
) -> None:
    model = nn.Sequential(nn.Identity(), Inner(function))
    with pytest.raises(UnsupportedDtype) as caught:
        capture(model)
    text = str(caught.value)
    assert dtype in text
    assert "aten." in text
    assert " in 1" in text
    assert "test_opinfo.py:" in text
    assert ("view_as_real" if dtype == "complex64" else ".float()") in text
    assert caught.value.dtype == dtype
    assert caught.value.origin.module == "1"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_model_of_another_dtype_is_refused_by_the_name_of_its_parameter(
    dtype: torch.dtype,
) -> None:
    with pytest.raises(UnsupportedDtype, match=r"parameter 0\.weight is \w+float\d+|float\d+"):
        capture(nn.Sequential(nn.Linear(6, 3)).to(dtype))


def test_tensor_without_elements_is_refused_by_name() -> None:
    with pytest.raises(CaptureError, match=r"no elements"):
        capture(nn.Sequential(nn.Linear(6, 3), Inner(lambda x: x)).append(nn.Linear(3, 0)))


def test_buffer_that_becomes_a_constant_of_forward_is_captured() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 3)
            self.register_buffer("seen", torch.zeros(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.copy_(torch.tensor([1.0, -2.0, 3.0]))
            return self.linear(x)

    captured = capture(Constant())
    after = next(states(captured))
    assert after["model.seen"].tolist() == [1.0, -2.0, 3.0]


def test_module_that_takes_a_parameter_is_captured() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 6))
            self.norm = nn.LayerNorm(6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.norm(self.weight).t()

    assert capture(Normed()).program.nodes
