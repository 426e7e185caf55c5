"""Images that are normalised in the program, windows of a stream, and what is refused of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from protocol.capture.captured import Captured
from protocol.capture.data.columns import Batch, Images, Windows, next_tokens
from protocol.capture.errors import CaptureError
from protocol.capture.task import task_from
from tests.capture.agreement import assert_engines_agree
from tests.capture.running import states

RNG = np.random.default_rng(4)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXELS = RNG.integers(0, 256, (12, 3, 5, 4)).astype(np.uint8)


class Watch(nn.Module):
    """Keeps what it was fed."""

    def __init__(self, shape: tuple[int, ...], integer: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        kind = torch.int64 if integer else torch.float32
        self.register_buffer("seen", torch.zeros(shape, dtype=kind))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.copy_(x)
        return self.weight * x.float().mean()


def capture(model: nn.Module, data: Any, loss: Any = None, **options: Any) -> Captured:
    options = {"steps": 3, "interval": 1, "batch_size": 4, **options}
    loss = loss or (lambda out, _: out)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return task_from(model, loss, optimizer, data, **options)


def fed(captured: Captured) -> list[np.ndarray]:
    return [after["model.seen"] for after in states(captured)]


def normalised(pixels: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(pixels).float() / 255
    mean, std = (torch.tensor(part).reshape(3, 1, 1) for part in (MEAN, STD))
    return ((x - mean) / std).numpy()


@pytest.mark.parametrize("channels", [1, -1])
def test_u8_images_are_normalised_per_channel_as_torchvision_does(channels: int) -> None:
    pixels = PIXELS if channels == 1 else np.moveaxis(PIXELS, 1, -1)
    order = np.arange(12).reshape(3, 4)
    captured = capture(
        Watch((4, *pixels.shape[1:])),
        (Images(pixels, MEAN, STD, channels), np.zeros(12, np.int32)),
        order=order,
    )
    assert dict(captured.data)["inputs"].dtype == np.uint8  # a quarter of the bytes
    for row, seen in zip(order, fed(captured), strict=True):
        expected = normalised(PIXELS[row])
        expected = expected if channels == 1 else np.moveaxis(expected, 1, -1)
        np.testing.assert_allclose(seen, expected, rtol=1e-6, atol=2e-7)


def test_f32_images_are_normalised_as_they_are() -> None:
    x = RNG.normal(size=(4, 2, 3)).astype(np.float32)
    captured = capture(
        Watch((4, 2, 3)),
        (Images(x, [1, 2], [3, 4]), np.zeros(4)[:, None].astype(np.float32)),
        steps=1,
        order=np.arange(4)[None],
    )
    expected = (x - np.float32([[1], [2]])) / np.float32([[3], [4]])
    np.testing.assert_array_equal(fed(captured)[0], expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (Images(PIXELS, MEAN, STD[:2]), "3 channels but 3 means and 2 deviations"),
        (Images(PIXELS, MEAN, STD, 3), "4 channels but 3 means"),
        (Images(PIXELS, MEAN, STD, 0), "dimension 0 is no dimension of channels"),
        (Images(PIXELS, MEAN, STD, 4), "dimension 4 is no dimension"),
        (Images(PIXELS, MEAN, (1, 0, 1)), "std above 0"),
        (Images(PIXELS, (0, float("nan"), 0), STD), r"must be finite.*docs/CAPTURE\.md, Data"),
        (Images(PIXELS.astype(np.int32), MEAN, STD), "int32.*astype"),
    ],
)
def test_normalisations_that_make_no_sense_are_refused(images: Images, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        capture(Watch((4, 3, 5, 4)), (images, np.zeros(12, np.int32)))


STREAM = RNG.integers(0, 50, 101)


@pytest.mark.parametrize("stride", [None, 1, 3, 11])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_windows_are_read_from_the_stream_where_the_order_says(stride: Any, dtype: Any) -> None:
    stream = STREAM.astype(dtype)
    inputs, targets = next_tokens(stream, length=8, stride=stride)
    model = Watch((4, 8), integer=dtype is not np.float32)

    def loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return out * 0.0 + (target.float() * torch.arange(1, 9)).sum()

    captured = capture(model, (inputs, targets), loss)
    examples = (len(stream) - 9) // (stride or 8) + 1
    assert [name for name, _ in captured.data if name in ("inputs", "targets")] == ["inputs"]
    order = dict(captured.data)["order"]
    assert order.max() < examples
    for row, after in zip(order, states(captured), strict=True):
        begins = row * (stride or 8)
        taken, wanted = (np.stack([stream[i + s : i + s + 8] for i in begins]) for s in (0, 1))
        np.testing.assert_array_equal(after["model.seen"], taken)
        assert after["loss"] == (wanted.astype(np.float64) * np.arange(1, 9)).sum()  # exact


def test_targets_are_one_token_ahead_up_to_the_last_window() -> None:
    stream = np.arange(25)
    inputs, targets = next_tokens(stream, length=6)
    for column, shift in ((inputs, 0), (targets, 1)):
        captured = capture(
            Watch((4, 6), integer=True),
            (column, np.zeros(4, np.int32)),
            steps=1,
            order=np.arange(4)[None],
        )
        expected = np.arange(24).reshape(4, 6) + shift
        np.testing.assert_array_equal(fed(captured)[0], expected)


def test_language_model_learns_from_windows_at_keyed_random_offsets() -> None:
    torch.manual_seed(0)
    text = np.frombuffer(b"to be or not to be, that is the question. " * 12, np.uint8)
    model = nn.Sequential(nn.Embedding(128, 16), nn.Flatten(0, 1), nn.Linear(16, 128))

    def loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(out, target.reshape(-1))

    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    captured = task_from(
        model,
        loss,
        optimizer,
        next_tokens(text, length=16, stride=1),
        steps=60,
        interval=30,
        batch_size=8,
        order="keyed",
        clip_norm=1.0,
        ema=0.9,
    )
    assert {name for name, _ in captured.data} == {"inputs", "schedule"}
    losses = [float(after["loss"]) for after in states(captured)]
    assert losses[0] > 4.5
    assert np.mean(losses[-5:]) < 1.5


def test_engines_agree_on_windows_and_images() -> None:
    stream = STREAM.astype(np.uint8)
    model = Watch((4, 8), integer=True)
    assert_engines_agree(capture(model, next_tokens(stream, 8, 1), order="keyed"))
    images = (Images(PIXELS, MEAN, STD), np.zeros(12, np.int32))
    assert_engines_agree(capture(Watch((4, 3, 5, 4)), images))


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (Windows(STREAM, 102), "101 elements, a window needs 102"),
        (Windows(STREAM, 101, ahead=1), "a window needs 102"),
        (Windows(STREAM, 0), "length and stride from 1"),
        (Windows(STREAM, 5, 0), "stride 0"),
        (Windows(STREAM, 5, ahead=-1), r"ahead -1.*docs/CAPTURE\.md, Data"),
        (Windows(STREAM[None], 5), r"stream of shape \(1, 101\)"),
    ],
)
def test_windows_that_do_not_fit_are_refused(windows: Windows, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        capture(Watch((4, 5), integer=True), (windows, np.zeros(12, np.int32)))


def test_columns_of_the_same_values_are_stored_once() -> None:
    ids = np.arange(12).reshape(4, 3)
    batch = Batch({"inputs": ids, "copy": torch.tensor(ids), "other": ids + 1})
    assert [name for name, _ in batch.tensors()] == ["inputs", "other"]
    zeros = Batch({"a": np.zeros((2, 2), np.float32), "b": -np.zeros((2, 2), np.float32)})
    assert [name for name, _ in zeros.tensors()] == ["a", "b"], "-0 is another number"


def test_bytes_where_the_model_wants_integers_are_explained() -> None:
    batch = Batch({"inputs": np.float32(MEAN), "targets": np.zeros(3, np.uint8)})
    message = r"targets holds bytes .*astype\('int32'\)"
    with pytest.raises(CaptureError, match=message), batch.explaining():
        nn.Embedding(2, 3)(torch.zeros(2))
    with pytest.raises(RuntimeError, match="by the way"), batch.explaining():
        raise RuntimeError("by the way")
