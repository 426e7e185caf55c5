"""SHA-256 on 64-bit Arm, under qemu: plain C++ and the SHA-2 instructions equal hashlib."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from tests.arm.cross import HERE, build, hash_sources, run

pytestmark = pytest.mark.slow

BYTES = np.random.default_rng(11).integers(0, 256, 520 * 1024, dtype=np.uint8).tobytes()
DATA = BYTES[1:]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The words of every line of the driver."""
    folder = tmp_path_factory.mktemp("sha256")
    program = build(folder / "driver", [HERE / "sha256_driver.cpp", *hash_sources()])
    data = folder / "data"
    data.write_bytes(BYTES)
    return [line.split() for line in run(program, data).splitlines()]


def pick(printed: list[list[str]], kind: str, words: int) -> list[tuple[list[str], list[str]]]:
    """Lines of one kind: `words` words that say the case, and the digests after them."""
    found = [(line[1 : 1 + words], line[1 + words :]) for line in printed if line[0] == kind]
    assert {case[0] for case, _ in found} == {"armv8", "portable"}
    return found


def leaf(value: bytes) -> bytes:
    return sha256(b"\0" + value).digest()


def above(nodes: list[bytes]) -> list[bytes]:
    pairs = [nodes[i : i + 2] for i in range(0, len(nodes), 2)]
    return [sha256(b"\1" + b"".join(p)).digest() if len(p) == 2 else p[0] for p in pairs]


def test_implementations_on_arm_are_the_sha2_instructions_first(printed: list[list[str]]) -> None:
    assert [line[1] for line in printed if line[0] == "have"] == ["armv8", "portable"]


def test_leaves_on_arm_equal_hashlib(printed: list[list[str]]) -> None:
    cases = pick(printed, "leaves", 3)
    assert len(cases) == 2 * 15 * 7
    for (name, size_word, count_word), digests in cases:
        size, count = int(size_word), int(count_word)
        expected = [leaf(DATA[i * size : (i + 1) * size]).hex() for i in range(count)]
        assert digests == expected, (name, size, count)


def test_levels_on_arm_equal_hashlib(printed: list[list[str]]) -> None:
    cases = pick(printed, "nodes", 2)
    assert len(cases) == 2 * 18
    for (name, count), digests in cases:
        nodes = [DATA[32 * i : 32 * i + 32] for i in range(int(count))]
        assert digests == [node.hex() for node in above(nodes)], (name, count)


def test_roots_on_arm_equal_hashlib_on_any_threads(printed: list[list[str]]) -> None:
    cases = pick(printed, "root", 3)
    assert len(cases) == 2 * 6 * 5
    for (name, size, threads), digests in cases:
        data = DATA[: int(size)]
        nodes = [leaf(data[i : i + 1024]) for i in range(0, len(data), 1024)]
        while len(nodes) > 1:
            nodes = above(nodes)
        assert digests == [nodes[0].hex()], (name, size, threads)
