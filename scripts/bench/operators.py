"""The rows of single operators: those of the issue's table, with the shapes that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from scripts.bench.work import Operator, Row, Update

aten = torch.ops.aten

PRODUCTS = ((512, 512, 512), (1024, 768, 3072), (2048, 2048, 2048), (256, 768, 768))
"""(rows, inner, columns) of the matrix products."""


def normal(*shape: int) -> np.ndarray:
    """Standard normal numbers, the same each time."""
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def product_rows() -> list[Row]:
    """A product a b = c, and the gradients dc b^T and a^T dc, for each shape."""
    rows = []
    for m, k, n in PRODUCTS:
        name = f"{m}x{k}x{n}" if (m, k) != (k, n) else f"{m}^3"
        rows += [
            Row(f"mm {name}", "matrix product", _product(torch.mm, (m, k), (k, n))),
            Row(f"mm {name} grad a", "matrix product", _product(_grad_a, (m, n), (k, n))),
            Row(f"mm {name} grad b", "matrix product", _product(_grad_b, (m, k), (m, n))),
        ]
    return rows


def _product(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Callable[[bool], Operator]:
    def make(tiny: bool) -> Operator:
        divisor = 32 if tiny else 1
        inputs = (normal(*shape[:-2], *(d // divisor for d in shape[-2:])) for shape in shapes)
        return Operator(function, tuple(inputs))

    return make


def _grad_a(gradient: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return gradient @ b.t()


def _grad_b(a: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return a.t() @ gradient


def attention_rows() -> list[Row]:
    """The two products of attention, 8 heads of 128 tokens and 64 channels."""
    scores, mixed = _product(_scores, (8, 128, 64), (8, 128, 64)), (8, 128, 128)
    return [
        Row("attention q k^T", "attention", scores),
        Row("attention p v", "attention", _product(torch.bmm, mixed, (8, 128, 64))),
    ]


def _scores(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return torch.bmm(q, k.transpose(1, 2))


def convolution_rows() -> list[Row]:
    """3x3, 64 channels, 32x32, batch 32: forward and both gradients."""

    def make(tiny: bool) -> Operator:
        batch, channels, size = (2, 4, 8) if tiny else (32, 64, 32)
        images = batch, channels, size, size
        weights = normal(channels, channels, 3, 3)
        return Operator(_convolution, (normal(*images), weights, 0.5 * normal(*images)))

    return [Row("conv 3x3 fwd + bwd", "convolution", make)]


def _convolution(x: torch.Tensor, w: torch.Tensor, gradient: torch.Tensor) -> tuple[Any, ...]:
    y = F.conv2d(x, w, padding=1)
    wanted = [True, True, False]
    options = (None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)
    dx, dw, _ = aten.convolution_backward(gradient, x, w, *options)
    return y, dx, dw


def elementwise_rows() -> list[Row]:
    """Elementwise functions, softmax and layer norm on 2048 x 1024."""
    group = "elementwise"
    return [
        Row("exp", group, _on_matrix(torch.exp)),
        Row("tanh", group, _on_matrix(torch.tanh)),
        Row("GELU fwd", group, _on_matrix(F.gelu)),
        Row("GELU bwd", group, _on_matrix(_gelu_backward, extra=1)),
        Row("softmax fwd", group, _on_matrix(_softmax)),
        Row("layer norm fwd", group, _layer_norm_work),
        Row("softmax bwd", "elementwise, more", _softmax_backward_work),
        Row("layer norm bwd", "elementwise, more", _layer_norm_backward_work),
    ]


def _shape(tiny: bool) -> tuple[int, int]:
    return (6, 70) if tiny else (2048, 1024)


def _on_matrix(function: Callable[..., Any], extra: int = 0) -> Callable[[bool], Operator]:
    def make(tiny: bool) -> Operator:
        x = normal(*_shape(tiny))
        return Operator(function, (x, *(x[::-1].copy() for _ in range(extra))))

    return make


def _gelu_backward(x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return aten.gelu_backward(gradient, x)


def _softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, -1)


def _softmax_backward_work(tiny: bool) -> Operator:
    x = normal(*_shape(tiny))
    y = torch.softmax(torch.from_numpy(x), -1).numpy()
    return Operator(_softmax_backward, (x, y))


def _softmax_backward(gradient: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return aten._softmax_backward_data(gradient, y, -1, torch.float32)


def _layer_norm_work(tiny: bool) -> Operator:
    rows, width = _shape(tiny)
    return Operator(_layer_norm, (normal(rows, width), 1 + normal(width), normal(width)[::-1]))


def _layer_norm(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> tuple[Any, ...]:
    # What F.layer_norm calls: output, mean and 1 / deviation, which backward needs.
    return aten.native_layer_norm(x, [x.shape[-1]], w, b, 1e-5)


def _layer_norm_backward_work(tiny: bool) -> Operator:
    x, w, b = _layer_norm_work(tiny).inputs
    parts = (torch.from_numpy(np.ascontiguousarray(a)) for a in (x, w, b))
    _, mean, scale = (t.numpy() for t in _layer_norm(*parts))
    return Operator(_layer_norm_backward, (x[::-1].copy(), x, mean, scale, w, b))


def _layer_norm_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    mean: torch.Tensor,
    scale: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor,
) -> tuple[Any, ...]:
    wanted = [True, True, True]
    width = [x.shape[-1]]
    return aten.native_layer_norm_backward(gradient, x, width, mean, scale, w, b, wanted)


def optimizer_rows() -> list[Row]:
    """AdamW on 10 million parameters in 40 tensors, against both of PyTorch's ways."""

    def make(fused: bool) -> Callable[[bool], Update]:
        def of_size(tiny: bool) -> Update:
            return Update(((5, 7),) * 3 if tiny else ((500, 500),) * 40, fused)

        return of_size

    return [
        Row("AdamW 10 M", "optimizer", make(False)),
        Row("AdamW 10 M, stock fused=True", "optimizer, fused", make(True)),
    ]


def subnormal_rows() -> list[Row]:
    """One matrix product twice: of ordinary numbers, and with all products subnormal."""

    def make(factor: float) -> Callable[[bool], Operator]:
        def of_size(tiny: bool) -> Operator:
            size = 16 if tiny else 256
            a, b = normal(size, size), normal(size, size).T.copy()
            return Operator(torch.mm, (a * np.float32(factor), b * np.float32(factor)))

        return of_size

    return [
        Row("mm 256^3, ordinary", "subnormal", make(1.0)),
        Row("mm 256^3, subnormal products", "subnormal", make(1e-20)),
    ]
