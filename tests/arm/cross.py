"""Compiles C++ of this tree for 64-bit Arm with the project's flags and runs it under qemu.

A driver is one C++ file with a `main`; it is linked statically, so that the emulator needs no Arm
system. Objects that something else compiled (LLVM, say) are linked in like sources:

    program = build(folder / "driver", [HERE / "fold_driver.cpp", *kernel_sources()], jit_objects)
    run(program, "cases.bin", "outputs.bin")
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KERNELS = ROOT / "protocol" / "kernels" / "cpu"
HASHES = ROOT / "protocol" / "merkle" / "native"

COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
X86_COMPILER = "g++" if platform.machine() == "x86_64" else "x86_64-linux-gnu-g++"
X86_EMULATOR = "qemu-x86_64"
PACKAGES = "g++-aarch64-linux-gnu qemu-user"
BUILD_JOBS = 2


class MissingCrossToolsError(RuntimeError):
    """A cross compiler or an emulator is not installed."""


def find_tool(name: str) -> str:
    """The path of a compiler or an emulator.

    Raises:
        MissingCrossToolsError: it is not installed: tests fail then, they are not skipped, because
            the same bits on Arm are part of what they promise.
    """
    path = shutil.which(name)
    if path is None:
        raise MissingCrossToolsError(
            f"code for other processors cannot be tested on this machine\n"
            f"  why:  {name} is not on PATH, which has to hold {COMPILER} and {EMULATOR}\n"
            f"  do:   apt-get install {PACKAGES}\n"
            f"  read: README.md, 'Try it'"
        )
    return path


def project_flags() -> list[str]:
    """Language standard and compile options of the native modules, read from CMakeLists.txt."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    options = re.search(r"set\(PINPOINT_COMPILE_OPTIONS\s+([^)]*)\)", text)
    standard = re.search(r"set\(CMAKE_CXX_STANDARD (\d+)\)", text)
    assert options is not None
    assert standard is not None
    return [f"-std=c++{standard[1]}", *options[1].split()]


def kernel_sources() -> list[Path]:
    """The sources of the fold kernels, without the Python module."""
    return _sources(KERNELS)


def hash_sources() -> list[Path]:
    """The sources of the hashes, without the Python module."""
    return _sources(HASHES)


def build(
    program: Path,
    sources: Sequence[Path],
    objects: Sequence[Path] = (),
    flags: Sequence[str] = (),
    compiler: str = COMPILER,
) -> Path:
    """Compile ``sources`` and link them with ``objects`` into the static ``program``.

    Args:
        program: where to write it; its folder takes the object files too.
        sources: C++ files; the folders of the kernels and of the hashes are on the include path.
        objects: compiled for the same architecture.
        flags: further compiler flags, after the project's.
        compiler: the name of the compiler; default: the one for Arm.

    Raises:
        MissingCrossToolsError: no compiler.
        AssertionError: the compiler refused a file; the message is its output.
    """
    path = find_tool(compiler)

    def compile_one(source: Path) -> Path:
        target = program.parent / f"{program.name}.{source.parent.name}.{source.stem}.o"
        return compile_object(source, target, flags, compiler)

    with ThreadPoolExecutor(BUILD_JOBS) as pool:
        compiled = list(pool.map(compile_one, sources))
    linked = [str(file) for file in (*compiled, *objects)]
    _checked([path, "-static", "-pthread", *flags, *linked, "-o", str(program)])
    return program


def compile_object(
    source: Path, target: Path, flags: Sequence[str] = (), compiler: str = COMPILER
) -> Path:
    """Compile one file; arguments and errors as for `build`."""
    options = [*project_flags(), f"-I{KERNELS}", f"-I{HASHES}", *flags]
    _checked([find_tool(compiler), *options, "-c", str(source), "-o", str(target)])
    return target


def run(
    program: Path,
    *arguments: str | Path,
    emulator: Sequence[str] = (EMULATOR,),
    timeout_s: float = 250,
) -> str:
    """What a program prints, run under an emulator.

    Args:
        program: a static program.
        arguments: its arguments.
        emulator: the emulator and its options; default: the one for Arm; nothing: this machine.
        timeout_s: seconds after which it is stopped.

    Raises:
        MissingCrossToolsError: no emulator.
        AssertionError: the program failed; the message is what it wrote to stderr.
    """
    command = [find_tool(emulator[0]), *emulator[1:]] if emulator else []
    return _checked([*command, str(program), *map(str, arguments)], timeout_s)


def _sources(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.cpp") if file.name != "module.cpp")


def _checked(command: Sequence[str], timeout_s: float = 250) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout
