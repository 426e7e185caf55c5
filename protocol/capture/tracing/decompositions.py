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
    aten._weight_norm_interface,
    aten.multi_margin_loss,
    aten.exponential,
)


@cache
def decomposition_table() -> dict[Any, Callable[..., Any]]:
    """The decompositions of the second pass."""
    table = dict(core_aten_decompositions())
    for operator in KEPT:
        table.pop(operator, None)
    table.update(get_decompositions(ADDED))
    table[aten._safe_softmax.default] = _safe_softmax
    table[aten._weight_norm_interface_backward.default] = _weight_norm_backward
    table[aten.multi_margin_loss_backward.default] = _multi_margin_loss_backward
    table[aten._cdist_forward.default] = _cdist
    table[aten._cdist_backward.default] = _cdist_backward
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


def _weight_norm_backward(
    gradient: torch.Tensor, v: torch.Tensor, g: torch.Tensor, norms: torch.Tensor, dim: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of v and g of w = g v / norm(v), the norm over all dimensions but ``dim``."""
    others = [d for d in range(v.ndim) if d != dim % v.ndim]
    along = (gradient * v).sum(others, keepdim=True)
    return g / norms * (gradient - v * (along / (norms * norms))), along / norms


def _multi_margin_loss_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    target: torch.Tensor,
    p: float,
    margin: float,
    weight: torch.Tensor | None = None,
    reduction: int = 1,
) -> torch.Tensor:
    """Each wrong class nearer than the margin is pushed down, and the right one up by their sum."""
    scores, label = x.reshape(-1, x.shape[-1] if x.ndim else 1), target.reshape(-1, 1)
    examples, classes = scores.shape
    gap = margin - scores.gather(1, label) + scores
    is_right = torch.arange(classes, device=x.device) == label
    slope = torch.where((gap > 0) & ~is_right, 2.0 * gap if p == 2 else 1.0, 0.0) / classes
    if weight is not None:
        slope = slope * weight[label]
    slope = torch.where(is_right, -slope.sum(1, keepdim=True), slope)
    share = gradient.reshape(-1, 1) / (examples if reduction == 1 else 1)
    return (slope * share).reshape(x.shape)


def _cdist(x: torch.Tensor, y: torch.Tensor, p: float, _: int | None = None) -> Any:
    """Distances of the rows of ``x`` [.., n, k] and ``y`` [.., m, k], for p 1 and 2."""
    apart = x.unsqueeze(-2) - y.unsqueeze(-3)
    if p == 1:
        return apart.abs().sum(-1)
    return (apart * apart).sum(-1).sqrt() if p == 2 else NotImplemented


def _cdist_backward(
    gradient: torch.Tensor, x: torch.Tensor, y: torch.Tensor, p: float, distance: torch.Tensor
) -> Any:
    """The gradient of ``x``; 0 where two rows are equal."""
    apart = x.unsqueeze(-2) - y.unsqueeze(-3)
    if p == 1:
        return (gradient.unsqueeze(-1) * apart.sign()).sum(-2)
    if p != 2:
        return NotImplemented
    share = torch.where(distance == 0, 0.0, gradient / distance)
    return (share.unsqueeze(-1) * apart).sum(-2)
