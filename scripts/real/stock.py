"""The same training by stock PyTorch: the same weights and batches, PyTorch's own order of sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch

from protocol.capture.captured import MODEL_PREFIX
from protocol.capture.data.batches import stored_order
from protocol.capture.data.columns import U8_SCALE, Images, Windows, column_of
from protocol.capture.data.feeds import by_name, examples_of, like, loss_of, split_data
from protocol.capture.data.shuffling import keyed_order

KNOWN: Final = frozenset(
    ("model", "loss", "optimizer", "data", "steps", "interval", "batch_size", "schedule", "seed")
) | {"name", "order", "clip_norm", "clip_value"}


def stock_losses(arguments: dict[str, Any], steps: int) -> list[float]:
    """Losses of the first steps.

    The model is trained in place. Dropout draws other masks than the program's: then the curves
    agree only in the large.

    Args:
        arguments: of ``task_from``, for the whole run.
        steps: do so many.

    Raises:
        ValueError: ``task_from`` is asked for what this loop does not do.
    """
    unknown = sorted(arguments.keys() - KNOWN)
    if unknown:
        raise ValueError(
            f"plain training here knows no {', '.join(unknown)}: give the example a stock_losses "
            "of its own"
        )
    model, optimizer = arguments["model"], arguments["optimizer"]
    schedule = _schedule(optimizer, arguments.get("schedule"))
    losses = []
    for batch in batches(arguments, steps):
        value = loss_of(model, arguments["loss"], *batch)
        optimizer.zero_grad()
        value.backward()
        _clip(model, arguments)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        losses.append(value.item())
    return losses


def state_of(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The model's tensors as a task's state names them."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {MODEL_PREFIX + name: tensor.detach().numpy() for name, tensor in tensors}


def batches(arguments: dict[str, Any], steps: int) -> Iterator[tuple[Any, Any]]:
    """(inputs, targets) of each step, in the task's order."""
    sides = split_data(arguments["data"])
    columns = by_name(*sides)
    for rows in _order(arguments, columns)[:steps]:
        yield like(*sides, {name: gather(each, rows) for name, each in columns.items()})


def gather(column: Any, rows: np.ndarray) -> torch.Tensor:
    """The examples ``rows`` of a column as the model sees them."""
    if isinstance(column, Windows):
        stride = column.length if column.stride is None else column.stride
        at = rows[:, None] * stride + np.arange(column.length) + column.ahead
        picked = torch.as_tensor(np.asarray(column.stream)[at])
        return picked if picked.is_floating_point() else picked.long()
    array = np.asarray(column.array if isinstance(column, Images) else column)
    picked = torch.as_tensor(array[rows])
    if picked.dtype is torch.uint8:
        picked = picked.float() * U8_SCALE
    if isinstance(column, Images):
        shape = [1] * picked.ndim
        shape[column.channels] = -1
        mean, deviation = (torch.tensor(part).reshape(shape) for part in (column.mean, column.std))
        return (picked - mean) / deviation
    return picked.long() if picked.dtype is torch.int32 else picked


def _order(arguments: dict[str, Any], columns: dict[str, Any]) -> np.ndarray:
    """The examples of each step, [steps, batch]."""
    counts = {name: column_of(each, name).examples for name, each in columns.items()}
    examples, steps = examples_of(counts), arguments["steps"]
    size, seed = arguments["batch_size"], arguments.get("seed", 0)
    order = stored_order(arguments.get("order"), steps, size, examples, seed)
    return keyed_order(examples, steps, size, seed) if order is None else order


def _schedule(
    optimizer: torch.optim.Optimizer, schedule: Any
) -> torch.optim.lr_scheduler.LRScheduler | None:
    if schedule is None or isinstance(schedule, torch.optim.lr_scheduler.LRScheduler):
        return schedule
    factors: Callable[[int], float] = schedule
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factors)


def _clip(model: torch.nn.Module, arguments: dict[str, Any]) -> None:
    if arguments.get("clip_norm") is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), arguments["clip_norm"])
    if arguments.get("clip_value") is not None:
        torch.nn.utils.clip_grad_value_(model.parameters(), arguments["clip_value"])
