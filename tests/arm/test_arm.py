"""The kernels on processors that this machine is not, under qemu: the bits are this machine's.

64-bit Arm with NEON and without special loops; x86-64 without FMA (the soft path, and nothing else
on offer) and with AVX2. What this machine computes is held to the reference by test_equality.py;
here some elements are too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from protocol.kernels import Executor
from protocol.program.canonical import encode_node
from tests.arm import cross
from tests.arm.cross import (
    COMPILER,
    EMULATOR,
    HERE,
    X86_COMPILER,
    X86_EMULATOR,
    MissingCrossToolsError,
    build,
    find_tool,
    kernel_sources,
    run,
)  # fmt: skip
from tests.kernels.equality.cases import FAMILIES, SHAPELESS, Named, check, make_case

THREADS = (1, 2, 3)
SEEDS, LARGE_SEEDS = range(24), range(100, 103)


@dataclass(frozen=True)
class Processor:
    """A processor and the instruction sets that the kernels must find on it."""

    compiler: str
    emulator: tuple[str, ...]
    sets: tuple[str, ...]


PROCESSORS = {
    "arm": Processor(COMPILER, (EMULATOR,), ("neon", "baseline")),
    "x86 without FMA": Processor(X86_COMPILER, (X86_EMULATOR, "-cpu", "core2duo"), ("baseline",)),
    "x86 with AVX2": Processor(
        X86_COMPILER, (X86_EMULATOR, "-cpu", "Haswell"), ("avx2", "baseline")
    ),
}


@pytest.fixture(scope="module", params=PROCESSORS)
def processor(request: pytest.FixtureRequest) -> Processor:
    return PROCESSORS[request.param]


@pytest.fixture(scope="module")
def driver(processor: Processor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that computes cases, for the processor."""
    folder = tmp_path_factory.mktemp("fold")
    sources = [HERE / "fold_driver.cpp", *kernel_sources()]
    return build(folder / "driver", sources, compiler=processor.compiler)


def cases_of(family: str) -> list[Named]:
    small = [make_case(family, seed, most=40) for seed in SEEDS]
    return small + [make_case(family, seed, most=130) for seed in LARGE_SEEDS]


def element_of(named: Named) -> int:
    """The element whose fold is looked at."""
    return named.seed % named.case.node.numel


def write_cases(path: Path, cases: Sequence[Named]) -> None:
    """The file that fold_driver.cpp describes."""
    parts = [struct.pack("<I", len(cases))]
    for named in cases:
        encoded = encode_node(named.case.node)
        parts += [struct.pack("<I", len(encoded)), encoded]
        parts.append(struct.pack("<I", len(named.case.operands)))
        for operand in named.case.operands:
            parts += [struct.pack("<Q", operand.nbytes), operand.tobytes()]
        parts.append(struct.pack("<q", element_of(named)))
    path.write_bytes(b"".join(parts))


def expected_parts(cases: Sequence[Named], sets: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """In the order of the driver: what is compared, and this machine's bytes for it."""
    executor = Executor(1)
    for named in cases:
        node, operands = named.case.node, named.case.operands
        check(named, terms=200, runs={"this machine": executor.run})
        out = executor.run(node, operands).tobytes()
        rows = executor.fold(node, operands, element_of(named)).astype("<u4").tobytes()
        for isa in sets:
            for threads in THREADS:
                yield f"{named}, {isa}, threads {threads}", out
            yield f"{named}, {isa}, fold of element {element_of(named)}", rows


@pytest.mark.slow
@pytest.mark.parametrize("family", [*FAMILIES, *SHAPELESS])
def test_folds_on_another_processor_equal_this_machine(
    family: str, processor: Processor, driver: Path, tmp_path: Path
) -> None:
    cases = cases_of(family)
    write_cases(tmp_path / "cases", cases)
    printed = run(driver, tmp_path / "cases", tmp_path / "out", emulator=processor.emulator)
    assert printed.split() == list(processor.sets)
    got, at = (tmp_path / "out").read_bytes(), 0
    for what, expected in expected_parts(cases, processor.sets):
        part = got[at : at + len(expected)]
        if part != expected:
            pairs = zip(np.frombuffer(part, "u1"), np.frombuffer(expected, "u1"), strict=True)
            byte = next(i for i, (a, b) in enumerate(pairs) if a != b)
            pytest.fail(f"{what}: byte {byte} of {len(expected)} differs")
        at += len(expected)
    assert at == len(got)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PROCESSORS, "this machine"])
def test_control_word_is_set_for_jobs_and_put_back(name: str, tmp_path: Path) -> None:
    here = Processor(X86_COMPILER, (), ()) if name == "this machine" else PROCESSORS[name]
    sources = [HERE / "control_word_driver.cpp", cross.KERNELS / "thread_pool.cpp"]
    program = build(tmp_path / "driver", sources, compiler=here.compiler)
    lines = [line.split() for line in run(program, emulator=here.emulator).splitlines()]
    modes = {line[0] for line in lines}
    assert modes >= {"plain", "flushing", "upward", "both,throwing"}
    assert len(lines) == 24
    for mode, threads, wrong, after in lines:
        assert (wrong, after) == ("0", "kept"), (mode, threads)


@pytest.mark.slow
def test_python_module_compiles_for_arm(tmp_path: Path) -> None:
    import sysconfig

    import nanobind

    include = [sysconfig.get_paths()["include"], nanobind.include_dir()]
    flags = [f"-isystem{folder}" for folder in include]
    flags += ['-DPINPOINT_FLAGS=""', "-fsyntax-only"]
    cross.compile_object(cross.KERNELS / "module.cpp", tmp_path / "module.o", flags)
    cross.compile_object(cross.HASHES / "module.cpp", tmp_path / "module.o", flags)


def test_missing_tool_fails_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for tool in (COMPILER, EMULATOR):
        with pytest.raises(MissingCrossToolsError) as raised:
            find_tool(tool)
        assert tool in str(raised.value)
        assert "apt-get install g++-aarch64-linux-gnu qemu-user" in str(raised.value)


def test_flags_of_other_processors_are_the_projects() -> None:
    flags = cross.project_flags()
    assert {"-std=c++17", "-O3", "-ffp-contract=off", "-Werror"} <= set(flags)
    assert not [flag for flag in flags if "fast" in flag or flag.startswith("-m")]
