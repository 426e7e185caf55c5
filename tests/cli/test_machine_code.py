"""What the doctor says of machine code: made or not, right or wrong, kept or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.cli.checks import Grade
from protocol.cli.machine_code import machine_code
from protocol.kernels import Executor, instruction_sets
from protocol.kernels.executor import Compiled
from protocol.kernels.jit import cache

BEST = instruction_sets()[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PINPOINT_CACHE", str(tmp_path))
    monkeypatch.delenv("PINPOINT_JIT", raising=False)
    return tmp_path / "jit"


def test_machine_code_is_made_and_kept_and_the_probe_is_gone(folder: Path) -> None:
    found = machine_code()
    assert found.grade is Grade.OK
    assert BEST in found.why
    assert str(folder) in found.why
    assert not (folder / cache.key_of("doctor")).exists()


def test_machine_code_that_is_switched_off_is_told(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("PINPOINT_JIT", "0")
    found = machine_code()
    assert found.grade is Grade.WARN
    assert "PINPOINT_JIT is 0" in found.why
    assert "unset PINPOINT_JIT" in found.todo
    assert not folder.exists()


@pytest.mark.skipif(BEST == "baseline", reason="no machine code is made for this machine")
@pytest.mark.usefixtures("folder")
def test_machine_code_of_other_bits_fails(monkeypatch) -> None:
    run = Executor.run

    def one_bit_off(self: Executor, *arguments: Any, **named: Any) -> Any:
        out = run(self, *arguments, **named)
        if self.compiled is Compiled.NODES and self.isa == BEST:
            out.reshape(-1).view(np.uint32)[-1] ^= 1
        return out

    monkeypatch.setattr(Executor, "run", one_bit_off)
    found = machine_code()
    assert found.grade is Grade.FAIL
    assert f"that for {BEST} computes other bits" in found.why
    assert "set PINPOINT_JIT to 0" in found.todo


def test_machine_code_in_a_folder_that_others_may_write_is_told(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    found = machine_code()
    assert found.grade is Grade.WARN
    assert str(folder) in found.why
    assert "PINPOINT_CACHE" in found.todo


@pytest.mark.usefixtures("folder")
def test_machine_code_of_a_user_without_home_is_told(monkeypatch) -> None:
    monkeypatch.setattr(cache, "cache_directory", lambda: None)
    found = machine_code()
    assert found.grade is Grade.WARN
    assert "no home folder" in found.why
