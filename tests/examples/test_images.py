"""The example's own code on images of the same form: the real ones are fetched by the harness."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from protocol.capture.task import task_from
from protocol.program.validate import Limits, validate_program
from scripts.real.example import EXAMPLES, load
from scripts.real.stock import stock_losses
from tests.capture.running import states

STEPS = 2
FOLDER = EXAMPLES / "images"


@pytest.fixture(scope="module")
def example():
    return load("images")


@pytest.fixture(scope="module")
def data(example):
    """The module beside the entry."""
    return sys.modules[example.arguments.__globals__["load_digits"].__module__]


@pytest.fixture(scope="module")
def standin(data):
    """(to train on, held out): noise with the label's row lit."""
    random = np.random.default_rng(0)
    by_digit = []
    for digit in range(10):
        images = random.integers(0, 60, (10, data.SIDE, data.SIDE), dtype=np.uint8)
        images[:, 2 * digit : 2 * digit + 2] += 180
        by_digit.append(images)
    return data.split(by_digit, held_out=20)


def test_read_images_gives_the_bytes_that_the_package_rounded(data) -> None:
    pixels = np.arange(2 * data.SIDE**2) % 256
    file = json.dumps({"data": [round(value, 3) for value in (pixels / 255).tolist()]})
    images = data.read_images(file.encode())
    assert (images.shape, images.dtype) == ((2, data.SIDE, data.SIDE), np.uint8)
    np.testing.assert_array_equal(images.reshape(-1), pixels)


def test_split_keeps_labels_with_their_images_and_holds_some_out(standin, data) -> None:
    train, held_out = standin
    assert (len(train.labels), len(held_out.labels)) == (80, 20)
    for digits in standin:
        assert digits.images.shape[1:] == (1, data.SIDE, data.SIDE)
        lit = digits.images[:, 0].astype(int).sum(axis=2)
        np.testing.assert_array_equal(lit.argmax(axis=1) // 2, digits.labels)


def test_task_of_stand_in_images_is_valid_and_trains_as_pytorch_does(example, standin) -> None:
    module = example.arguments.__globals__
    arguments = module["arguments"](STEPS, standin[0])
    captured = task_from(**arguments)
    validate_program(captured.program, captured.data_specs(), captured.origins, Limits())
    after = list(states(captured))
    stock = stock_losses(module["arguments"](STEPS, standin[0]), STEPS)
    np.testing.assert_allclose([float(s["loss"]) for s in after], stock, rtol=1e-4)
    told = module["evaluate"](after[-1], standin[1])
    assert told["accuracy"].endswith("% of 20 held-out images")
