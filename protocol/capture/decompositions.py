"""Which operators are decomposed before lowering, and which are lowered as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch._decomp import core_aten_decompositions, get_decompositions

aten = torch.ops.aten

# Kept whole although the core table would break them up: split becomes as_strided there, and the
# embedding gradient has a fold of its own (a guard: one pass over the tokens).
KEPT = (
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.embedding_dense_backward.default,
    aten.unfold_backward.default,
    aten.reflection_pad1d_backward.default,
    aten.reflection_pad2d_backward.default,
    aten.reflection_pad3d_backward.default,
)

# Decomposed although they count as core: their parts are elementwise folds and sums.
ADDED = (
    aten.native_layer_norm,
    aten.native_layer_norm_backward,
    aten.native_group_norm,
    aten.native_group_norm_backward,
    aten._native_batch_norm_legit,
    aten._native_batch_norm_legit_functional,
    aten._native_batch_norm_legit_no_training,
    aten.native_batch_norm,
    aten.native_batch_norm_backward,
    aten._softmax,
    aten._log_softmax,
    aten._softmax_backward_data,
    aten._log_softmax_backward_data,
    aten.gelu,
    aten.gelu_backward,
    aten.addmm,
    aten.baddbmm,
    aten.sigmoid_backward,
    aten.tanh_backward,
    aten.nll_loss_forward,
    aten.nll_loss_backward,
    aten.nll_loss2d_forward,
    aten.nll_loss2d_backward,
    aten.select_backward,
    aten.slice_backward,
    aten.silu,
    aten.silu_backward,
    aten.elu,
    aten.elu_backward,
    aten.leaky_relu,
    aten.leaky_relu_backward,
    aten.hardtanh,
    aten.hardtanh_backward,
    aten.threshold_backward,
    aten.masked_fill,
    aten.lift_fresh_copy,
    aten.native_dropout_backward,
    aten.mse_loss,
    aten.mse_loss_backward,
    aten.addmv,
    aten.dist,
    aten.narrow_copy,
    aten.permute_copy,
)


@cache
def decomposition_table() -> dict[Any, Callable[..., Any]]:
    """The decompositions of the second pass."""
    table = dict(core_aten_decompositions())
    for operator in KEPT:
        table.pop(operator, None)
    table.update(get_decompositions(ADDED))
    table[aten._safe_softmax.default] = _safe_softmax
    return table


def _safe_softmax(x: torch.Tensor, dim: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Softmax that is 0 in rows of -inf alone: what attention is made of, in all its forms.

    A row is masked out if its maximum is -inf, which the softmax needs anyway. PyTorch's own
    decomposition looks at every element again; the results are the same.
    """
    x = x if dtype is None else x.to(dtype)
    highest = torch.amax(x, dim, keepdim=True)
    powers = torch.exp(x - highest)
    masked = highest.expand_as(x) == float("-inf")
    return torch.where(masked, 0.0, powers / powers.sum(dim, keepdim=True))
