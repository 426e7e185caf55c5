"""The machine, in the terms that explain the figures."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

FLAGS = ("fma", "avx2", "avx512f", "avx512vl", "sha_ni", "vaes", "asimd", "sha2")
"""Instructions that kernels choose by."""

LIBRARIES = (r"BLAS_INFO=\w+", r"Math Kernel Library Version \S+", r"MKL-DNN v\S+", r"OpenMP \d+")


def describe() -> dict[str, Any]:
    """CPU, caches, memory, PyTorch and its libraries, our instruction set."""
    import numpy as np
    import torch

    from protocol.kernels import Executor

    info = _cpu_info()
    flags = (info.get("flags") or info.get("Features") or "").split()
    return {
        "cpu": info.get("model name", platform.processor() or platform.machine()),
        "model": " ".join(f"{k} {info[k]}" for k in ("cpu family", "model") if k in info),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in flags],
        "caches": _caches(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "torch_libraries": _libraries(torch.__config__.show()),
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "instruction_set": Executor().isa,
    }


class OtherPrograms:
    """How much of the CPUs' time other programs take from now on."""

    def __init__(self) -> None:
        self._start = self._now()

    def share(self) -> str:
        """Percent of all CPUs since the beginning, our processes (those that ended) left out."""
        busy, own, whole = (b - a for a, b in zip(self._start, self._now(), strict=True))
        return f"{max(0.0, 100 * (busy - own) / whole):.0f} % of all CPUs"

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds: of all programs, of this one and its children that ended, of all CPUs."""
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        user, nice, system, idle, waiting, irq, soft, steal = (
            int(field) / os.sysconf("SC_CLK_TCK") for field in fields
        )
        busy = user + nice + system + irq + soft + steal
        return busy, sum(os.times()[:4]), busy + idle + waiting


def _cpu_info() -> dict[str, str]:
    """The first processor of /proc/cpuinfo."""
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _caches() -> list[str]:
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / n).read_text().strip() for n in ("level", "type", "size"))
        found.append(f"L{level} {kind.lower()} {size}")
    return found


def _libraries(configuration: str) -> list[str]:
    """BLAS and convolutions."""
    found = [re.search(pattern, configuration) for pattern in LIBRARIES]
    return [match.group() for match in found if match]
