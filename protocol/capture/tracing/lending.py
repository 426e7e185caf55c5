"""A module that runs with the tensors of a trace in the place of its own, and is left as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.nn.utils.stateless import _reparametrize_module

from protocol.capture.errors import CaptureError

Numbers = dict[tuple[str, str], Any]
"""(path of a module, attribute) -> its number, truth value or text."""

_READ = "(docs/CAPTURE.md, What happens)"


class Lender:
    """Lends one module the tensors of a trace, as often as it is traced.

    Raises CaptureError for a module whose tensors cannot be replaced.

    Attributes:
        changed: numbers among the module's attributes that the last run changed; the next one
            begins with these, and must not change them again.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        _check_lendable(model)
        self._model = model
        self.changed: Numbers = {}

    @contextlib.contextmanager
    def lend(self, tensors: dict[str, torch.Tensor]) -> Iterator[None]:
        """While it lasts, parameters and buffers of the module are ``tensors``, by their names.

        Whoever takes a parameter from the module gets the lent one: forward, the loss, and what
        runs on the way back. Afterwards ``tensors`` holds what became of them (a buffer may have
        been assigned anew), and the module has its own tensors and attributes again.
        """
        model = self._model
        kept = [(module, dict(vars(module)), _contents(vars(module))) for module in model.modules()]
        try:
            for (path, name), value in self.changed.items():
                vars(model.get_submodule(path))[name] = value
            before = _numbers_of(model)
            with _reparametrize_module(model, tensors, tie_weights=True):
                yield
            after = _numbers_of(model)
        finally:
            for module, attributes, contents in kept:
                vars(module).clear()
                vars(module).update(attributes)
                for container, content in contents:
                    _refill(container, content)
        if self.changed:
            _refuse_counting(before, after)
        self.changed = _changes(before, after)


def _check_lendable(model: torch.nn.Module) -> None:
    """CaptureError for wrappers and scripts, whose tensors cannot be replaced."""
    parallel = torch.nn.parallel
    for path, module in model.named_modules():
        where = path or "the model"
        kind = type(module).__name__
        if isinstance(module, torch.jit.ScriptModule):
            raise CaptureError(
                f"{where} is a TorchScript module ({kind}), a capture runs modules of Python; pass "
                f"the module that it was made of {_READ}"
            )
        if isinstance(module, parallel.DataParallel | parallel.DistributedDataParallel):
            raise CaptureError(
                f"{where} is {kind}, which spreads a batch over devices; a program is one "
                f"computation: pass the module inside, model.module, and make the optimiser of its "
                f"parameters {_READ}"
            )


def lend_hooks(own: torch.nn.Parameter, twin: torch.Tensor, name: str) -> None:
    """Let the hooks of a parameter's gradient work on its lent twin."""
    if getattr(own, "_post_accumulate_grad_hooks", None):
        raise CaptureError(
            f"parameter {name} has a hook of register_post_accumulate_grad_hook, which works on "
            ".grad; a program has none: use register_hook, which gives the gradient "
            f"{_READ}"
        )
    for hook in (getattr(own, "_backward_hooks", None) or {}).values():
        twin.register_hook(hook)  # type: ignore[no-untyped-call]


def _numbers_of(model: torch.nn.Module) -> Numbers:
    """The attributes of the modules that are numbers, truth values or text."""
    return {
        (path, name): value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, bool | int | float | str) and name != "training"
    }


def _changes(before: Numbers, after: Numbers) -> Numbers:
    """What of ``before`` has another value afterwards."""
    return {
        key: value for key, value in after.items() if key in before and _differ(before[key], value)
    }


def _refuse_counting(before: Numbers, after: Numbers) -> None:
    """CaptureError for the first attribute that changes once more."""
    for (path, name), value in _changes(before, after).items():
        raise CaptureError(
            f"each call of {path or 'the model'} changes its attribute {name} "
            f"(from {before[path, name]!r} to {value!r}), and a program is the same at every step; "
            f"keep it as a buffer: self.register_buffer({name!r}, torch.zeros(())), and "
            f"self.{name} += 1 in forward {_READ}"
        )


def _differ(one: Any, other: Any) -> bool:
    same_number = one == other or (one != one and other != other)
    return type(one) is not type(other) or not same_number


def _contents(attributes: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Lists, dicts and sets among the attributes, with copies of them."""
    return [(value, value.copy()) for value in attributes.values() if type(value) in _CONTAINERS]


def _refill(container: Any, before: Any) -> None:
    container.clear()
    container.extend(before) if isinstance(container, list) else container.update(before)


_CONTAINERS = (list, dict, set)
