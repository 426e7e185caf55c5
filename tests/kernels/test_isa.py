"""The choice of an instruction set: the caller's, else the environment's, else the best."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.kernels import Executor, instruction_sets
from protocol.kernels.isa import PAGE, VARIABLE, InstructionSetError, choose_instruction_set

ROOT = Path(__file__).resolve().parents[2]
BEST_FIRST = {
    "x86_64": ["avx512", "avx2", "baseline"],
    "aarch64": ["neon", "baseline"],
}


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_instruction_sets_of_this_machine_stand_in_order_with_the_baseline_last() -> None:
    order = BEST_FIRST[platform.machine()]
    assert instruction_sets() == [name for name in order if name in instruction_sets()]
    assert instruction_sets()[-1] == "baseline"


def test_executor_without_a_wish_takes_the_best() -> None:
    assert Executor(1).isa == instruction_sets()[0]


@pytest.mark.parametrize("isa", instruction_sets())
def test_executor_by_default_takes_what_the_environment_names(monkeypatch, isa) -> None:
    monkeypatch.setenv(VARIABLE, isa)
    assert Executor(1).isa == isa
    done = subprocess.run(
        [sys.executable, "-c", "from protocol.kernels import Executor; print(Executor(1).isa)"],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == isa


def test_executor_with_an_isa_of_its_own_ignores_the_environment(monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, "abacus")
    for isa in instruction_sets():
        assert Executor(1, isa).isa == isa


def test_executor_with_an_empty_variable_takes_the_best(monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert Executor(1).isa == instruction_sets()[0]


@pytest.mark.parametrize("name", ["abacus", "AVX2", " baseline", "neon,baseline"])
@pytest.mark.parametrize("by_variable", [True, False])
def test_choice_of_what_the_machine_lacks_is_refused_with_what_it_has(
    monkeypatch, name, by_variable
) -> None:
    if by_variable:
        monkeypatch.setenv(VARIABLE, name)
    with pytest.raises(InstructionSetError) as raised:
        choose_instruction_set(None if by_variable else name)
    error = raised.value
    assert name in error.what
    assert (VARIABLE in error.why) == (VARIABLE in error.todo) == by_variable
    for isa in instruction_sets():
        assert isa in error.why
        assert isa in error.todo
    page, _, heading = error.read.partition("#")
    headings = re.findall(r"^## (.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert heading in [title.lower().replace(" ", "-") for title in headings]
    assert error.read == PAGE


def test_choice_of_another_architecture_is_refused() -> None:
    others = {isa for names in BEST_FIRST.values() for isa in names} - set(instruction_sets())
    assert others
    for isa in others:
        with pytest.raises(InstructionSetError):
            Executor(1, isa)
