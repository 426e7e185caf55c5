"""What inference refuses: outputs without a row for each example, data, counts, models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture import load_into, outputs_of
from protocol.capture.errors import CaptureError, UnsupportedDtype, UnsupportedOperator
from tests.capture.scoring import Calls, X, mlp, scored


def _wrong(name: str) -> Callable[[Any, Any], Any]:
    return {
        "double": lambda said, _: said.double(),
        "half": lambda said, _: said.half(),
        "complex": lambda said, _: said.to(torch.complex64),
        "one number": lambda said, _: said.mean(),
        "over the batch": lambda said, _: said[:, :3].mean(0).repeat(4)[: len(said)][:4],
        "nothing": lambda _, __: None,
        "no names": lambda _, __: {},
        "a number as a name": lambda said, _: {1: said},
        "a path as a name": lambda said, _: {"../x y": said},
        "an object": lambda said, _: {"a": said, "b": object()},
        "no elements": lambda said, _: said[:, :0],
        "too much": lambda said, _: said[:, :1].expand(-1, 300_000_000),
    }[name]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("double", UnsupportedDtype, "output output is float64.*convert it in output="),
        ("half", UnsupportedDtype, "output output is float16"),
        ("complex", UnsupportedDtype, "output output is complex64"),
        ("one number", CaptureError, r"of a batch of 4 examples is \(\), expected"),
        ("over the batch", CaptureError, r"of a batch of 5 examples is \(4,\), expected"),
        ("nothing", CaptureError, "output is NoneType, expected a tensor.*pass output="),
        ("no names", CaptureError, "output is an empty dict"),
        ("a number as a name", CaptureError, "the name '1', expected"),
        ("a path as a name", CaptureError, r"the name '\.\./x y', expected"),
        ("an object", CaptureError, "output b of a batch of 4 examples is object"),
        ("no elements", CaptureError, r"shape \(11, 0\), 0 elements, expected 1\.\.2147483647"),
        ("too much", CaptureError, "3300000000 elements, expected.*keep less"),
    ],
)
def test_output_without_a_row_for_each_example_is_refused(
    name: str, kind: type[CaptureError], message: str
) -> None:
    with pytest.raises(kind, match=message) as error:
        scored(Calls(lambda x: x), output=_wrong(name))
    assert "(docs/CAPTURE.md, Inference)" in str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, X[:, 0]), "a tuple of 2, expected the inputs alone.*leave out the targets"),
        ([X], "a list of 1, expected the inputs alone"),
        (np.float32(3), r"a single number, expected examples.*array\[None\]"),
        (X[:0], "has no elements"),
        ({}, "data holds no arrays"),
        ({"a": X, "b": X[:3]}, "11 inputs.a but 3 inputs.b"),
        (X.astype(np.float64), "data inputs is float64"),
    ],
)
def test_data_that_are_not_inputs_by_example_are_refused(data: Any, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        scored(Calls(lambda *_, **__: torch.zeros(4)), data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"interval": 4}, r"interval 4 must lie in 1\.\.3"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_counts_that_no_task_can_have_are_refused(options: Any, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        scored(mlp(), **options)


def test_model_that_writes_into_a_parameter_is_refused() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.inner.weight.mul_(0.5)
            return self.inner(x)

    with pytest.raises(CaptureError, match=r"writes into the parameter inner\.weight.*buffer"):
        scored(Writes())


def test_branch_on_values_and_unknown_operators_are_refused_with_their_place() -> None:
    with pytest.raises(UnsupportedOperator, match="depend on the values of data") as error:
        scored(Calls(lambda x: x if x.sum() > 0 else -x))
    assert "test_inference_refusals.py" in error.value.origin.source
    with pytest.raises(UnsupportedOperator, match=r"test_inference_refusals\.py"):
        scored(Calls(lambda x: torch.linalg.svdvals(x[:, :4].reshape(-1, 2, 2))))


def test_outputs_are_no_weights_to_load() -> None:
    with pytest.raises(CaptureError, match=r"holds no weights.*outputs_of.*Inference\)"):
        load_into(mlp(), [("outputs.output", X), ("step", np.int32(3))])


def test_outputs_of_a_trained_state_are_refused_with_what_it_has() -> None:
    with pytest.raises(CaptureError, match=r"found model\.w, loss, expected outputs\.<name>"):
        outputs_of([("model.w", X), ("loss", X)])
