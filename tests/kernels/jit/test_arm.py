"""NEON code, run under qemu, gives the reference's bits."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.kernels.jit.compile import compile_object
from protocol.kernels.region import Region, single
from tests.arm import cross
from tests.kernels.jit import regions
from tests.kernels.jit.calling import Tensor, empty_buffers, expected
from tests.kernels.jit.test_compile import inputs_of, without_guards

DRIVER = Path(__file__).with_name("arm_driver.cpp")
RANDOM_NODES = 50


def cases() -> Iterator[tuple[Region, dict[int, Tensor]]]:
    """Regions with their inputs: random nodes, then the hand-made ones."""
    for seed in range(RANDOM_NODES):
        case = without_guards(20_000 + seed, outputs=90)
        yield single(case.node), dict(enumerate(case.operands))
    made = [
        regions.softmax(17, 33),
        regions.layer_norm(5, 70),
        regions.layer_norm_backward(6, 40),
        regions.batch_norm(3, 4, 9),
        regions.gelu_chain(39),
        regions.adamw(22),
        *(regions.random_chain(seed) for seed in range(300, 320)),
    ]
    for seed, region in enumerate(made):
        yield region, inputs_of(region, seed)


def table(count: int) -> str:
    """C++ text with the functions in order."""
    declared = "\n".join(
        f'extern "C" void fold{i}(void* const*, void*, int64_t, int64_t);' for i in range(count)
    )
    names = ", ".join(f"fold{i}" for i in range(count))
    return (
        "#include <cstdint>\nusing Function = void (*)(void* const*, void*, int64_t, int64_t);\n"
        f"extern const Function kFunctions[];\nextern const int kCount;\n{declared}\n"
        f"const Function kFunctions[] = {{{names}}};\nconst int kCount = {count};\n"
    )


@pytest.mark.slow
def test_neon_code_under_emulation_equals_the_reference(tmp_path: Path) -> None:
    chosen = list(cases())
    objects = []
    rng = random.Random(1)
    with (tmp_path / "cases.bin").open("wb") as file:
        for i, (region, inputs) in enumerate(chosen):
            code, scratch = compile_object(region, "neon", f"fold{i}")
            objects.append(tmp_path / f"fold{i}.o")
            objects[-1].write_bytes(code)
            buffers = empty_buffers(region, inputs)
            cut = rng.randint(0, region.units)
            file.write(struct.pack("<qqqq", len(buffers), scratch, region.units, cut))
            for buffer in buffers:
                file.write(struct.pack("<q", buffer.nbytes) + buffer.tobytes())
    source = tmp_path / "table.cpp"
    source.write_text(table(len(chosen)), encoding="utf-8")
    program = cross.build(tmp_path / "driver", [DRIVER, source], objects)
    cross.run(program, tmp_path / "cases.bin", tmp_path / "outputs.bin")
    raw = (tmp_path / "outputs.bin").read_bytes()
    at = 0
    for i, (region, inputs) in enumerate(chosen):
        want = expected(region, inputs)
        for number, buffer in enumerate(empty_buffers(region, inputs)):
            got = raw[at : at + buffer.nbytes]
            at += buffer.nbytes
            if number in want:
                width = buffer.itemsize
                words = struct.unpack(f"<{len(got) // width}{'B' if width == 1 else 'I'}", got)
                assert list(words) == want[number], f"case {i}, buffer {number}"
    assert at == len(raw)
