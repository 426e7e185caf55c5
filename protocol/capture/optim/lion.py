"""Lion for ordinary PyTorch training (Chen et al., 2023, algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """Moves each parameter by the sign of a blend of its gradient and their mean.

    Args:
        params: parameters or groups of them.
        lr: learning rate; a tenth to a third of AdamW's is usual.
        betas: weight of the mean in the blend, and in the mean that is kept.
        weight_decay: decoupled, as AdamW's.
        maximize: go up the gradient.

    Raises:
        ValueError: a negative rate or decay, or a beta outside 0 <= beta < 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        if lr < 0.0 or weight_decay < 0.0:
            raise ValueError(f"lr={lr} and weight_decay={weight_decay} must not be negative")
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"betas={betas} must lie in 0 <= beta < 1")
        options = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; returns what ``closure`` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)
        return loss

    def _move(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None
        gradient = -gradient if group["maximize"] else gradient
        state = self.state[parameter]
        if not state:
            state["exp_avg"] = torch.zeros_like(parameter)
        mean, (first, second) = state["exp_avg"], group["betas"]
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        blend = mean.mul(first).add_(gradient, alpha=1.0 - first)
        parameter.add_(blend.sign_(), alpha=-group["lr"])
        mean.mul_(second).add_(gradient, alpha=1.0 - second)
