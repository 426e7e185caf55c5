"""Loss curves as a picture: of the honest solver, the cheating one, and stock PyTorch.

Below them how far each is from the honest solver's: PyTorch adds in another order, so its losses
part from ours by rounding; the cheat's are the same bits up to its lie, and then are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

Losses = Mapping[int, float]
"""Step, from 1 -> loss."""

SMALLEST: Final = 1e-9
"""What a difference of nothing is drawn as."""


def draw(
    path: Path, title: str, honest: Losses, cheat: Losses, stock: Losses, lie_step: int | None
) -> None:
    """Write a PNG.

    Args:
        path: of the file; its folder is made.
        title: above.
        honest: losses of the honest solver's run.
        cheat: of the cheating solver's.
        stock: of stock PyTorch, as far as it was run.
        lie_step: the first false step, from 0; None: not told.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(
        2, 1, figsize=(7, 5.2), sharex=True, height_ratios=(2, 1), layout="constrained"
    )
    _plot(above, honest, "honest solver", color="tab:blue", linewidth=1.2)
    _plot(above, cheat, "cheating solver", color="tab:red", linewidth=1.0, linestyle="--")
    _plot(above, stock, "stock PyTorch", color="black", linewidth=0.8, linestyle=":")
    above.set_ylabel("loss")
    above.set_title(title, fontsize=10)
    _plot(below, differences(cheat, honest), "cheating solver", color="tab:red", linewidth=1.0)
    _plot(below, differences(stock, honest), "stock PyTorch", color="black", linewidth=0.8)
    below.set_yscale("log")
    below.set_ylabel("relative difference\nfrom the honest run", fontsize=8)
    below.set_xlabel("step")
    for axes in (above, below):
        if lie_step is not None:
            axes.axvline(lie_step + 1, color="tab:red", linewidth=0.6, alpha=0.6)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, loc="upper right" if axes is above else "lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)


def differences(losses: Losses, honest: Losses) -> dict[int, float]:
    """Relative difference at each step that both have; at least `SMALLEST`, to be drawn."""
    return {
        step: max(abs(loss / honest[step] - 1.0), SMALLEST)
        for step, loss in losses.items()
        if honest.get(step)
    }


def _plot(axes: Any, losses: Losses, label: str, **style: Any) -> None:
    steps = sorted(losses)
    axes.plot(steps, np.array([losses[step] for step in steps]), label=label, **style)
