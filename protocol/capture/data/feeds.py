"""What a step is fed: one array or arrays by name, and how the model and its loss take them.

A model that takes one tensor gets its batch as it is, one that takes several gets them as keywords
of ``forward``. Nothing here depends on the arrays being whole data sets or one batch of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from protocol.capture.errors import CaptureError

Loss = Callable[[Any, Any], torch.Tensor]

SIDES = ("inputs", "targets")


def split_data(data: Any) -> tuple[Any, Any]:
    """(inputs, targets) of ``task_from``'s data; a mapping alone is inputs without targets."""
    if isinstance(data, Mapping):
        return dict(data), None
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise CaptureError(
            f"data is {_described(data)}; pass (inputs, targets), or the arrays by the names that "
            "forward gives them, as in {'input_ids': ..., 'labels': ...} (docs/CAPTURE.md)"
        )
    inputs, targets = (dict(part) if isinstance(part, Mapping) else part for part in data)
    return inputs, targets


def by_name(inputs: Any, targets: Any) -> dict[str, Any]:
    """The arrays of both sides: ``inputs`` itself or ``inputs.<keyword>``, targets likewise."""
    named: dict[str, Any] = {}
    for side, part in zip(SIDES, (inputs, targets), strict=True):
        if isinstance(part, Mapping):
            named.update({f"{side}.{keyword}": array for keyword, array in part.items()})
        elif part is not None:
            named[side] = part
    if not named:
        raise CaptureError("data holds no arrays; pass at least the model's inputs")
    return named


def examples_of(counts: Mapping[str, int]) -> int:
    """How many examples all the arrays hold. CaptureError if they hold different numbers."""
    first, *_ = counts.values()
    if set(counts.values()) != {first}:
        listed = " but ".join(f"{count} {name}" for name, count in counts.items())
        raise CaptureError(f"the arrays hold different numbers of examples: {listed}")
    return first


def like(inputs: Any, targets: Any, values: Mapping[str, Any]) -> tuple[Any, Any]:
    """Both sides again, with the ``values`` of their names in the place of the arrays."""

    def rebuilt(side: str, part: Any) -> Any:
        if isinstance(part, Mapping):
            return {keyword: values[f"{side}.{keyword}"] for keyword in part}
        return None if part is None else values[side]

    first, second = (rebuilt(s, p) for s, p in zip(SIDES, (inputs, targets), strict=True))
    return first, second


def loss_of(
    forward: Callable[..., Any], loss: Loss | None, inputs: Any, targets: Any
) -> torch.Tensor:
    """The loss of one batch.

    Without a ``loss`` it is what the model computes itself: ``output.loss``, ``output["loss"]``,
    or the output if that is one number. A ``loss`` gets (output, targets), or (output, inputs)
    where the data has no targets. Raises CaptureError where the model computes none.
    """
    output = forward(**inputs) if isinstance(inputs, Mapping) else forward(inputs)
    if loss is not None:
        return loss(output, inputs if targets is None else targets)
    if targets is not None:
        raise CaptureError(
            "data has targets but there is no loss to give them to; pass a loss, or pass the "
            "targets among the inputs under the name that forward gives them (often labels)"
        )
    own = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", output)
    if not isinstance(own, torch.Tensor):
        raise CaptureError(
            f"loss is None, and the model's output ({type(output).__name__}) holds no loss; pass "
            "a loss, or the labels from which the model computes its own"
        )
    return own


def _described(data: Any) -> str:
    length = f" of {len(data)}" if isinstance(data, tuple | list) else ""
    return type(data).__name__ + length
