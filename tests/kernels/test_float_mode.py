"""Kernels set the floating-point control word that the specification needs, and put it back.

In each test a thread is in another mode before it calls: flushing subnormals, rounding elsewhere,
trapping. Results have the right bits; afterwards the thread is in its own mode again.
"""

from __future__ import annotations

import multiprocessing
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import numpy as np
import pytest
import torch

from protocol.kernels import Executor, instruction_sets
from protocol.kernels.jit.machine import compile_text
from protocol.kernels.reference.evaluator import evaluate_node
from protocol.merkle import _hash
from protocol.training.step import StepRunner
from tests.kernels import programs
from tests.kernels.control_word import FLUSHING, MODES, UPWARD, changed, control_word
from tests.kernels.equality.cases import make_case
from tests.kernels.equality.executors import executors
from tests.kernels.nodes import Case, words_of

FAMILIES = ("product", "convolution", "functions", "arithmetic", "everything", "row_lanes",
            "columns", "scatter", "first_index", "mixed")  # fmt: skip
SEEDS = range(3)
RUNS = executors()


def subnormal_product() -> Case:
    """A product whose terms are subnormal and need rounding."""
    named = make_case("product", 3, most=17)
    rng = np.random.default_rng(3)
    operands = [
        (rng.integers(0, 2**32, o.shape, np.uint32) & 0x807FFFFF | 63 << 23).view("<f4")
        for o in named.case.operands
    ]
    return Case(named.case.node, operands)


CASES = [
    subnormal_product(),
    *(make_case(family, seed, most=17).case for family in FAMILIES for seed in SEEDS),
]
EXPECTED = [evaluate_node(case.node, case.elements()) for case in CASES]


def assert_right_bits(mode: int) -> None:
    """In this thread, with the mode on: every executor, and the control word after each call."""
    for case, expected in zip(CASES, EXPECTED, strict=True):
        for name, run in RUNS.items():
            with changed(mode) as word:
                out = run(case.node, case.operands)
                after = control_word()
            assert after == word, name
            assert words_of(out) == expected, name


@pytest.mark.parametrize("mode", MODES)
def test_kernels_in_a_thread_of_another_mode_give_the_right_bits(mode) -> None:
    assert_right_bits(MODES[mode])


def test_modes_do_change_what_numpy_computes() -> None:
    # Otherwise these tests would prove nothing.
    tiny, thirds = np.full(4, 2.0**-140, "<f4"), np.arange(64, dtype="<f4") / np.float32(3)
    kept, rounded = tiny * np.float32(0.5), thirds * thirds
    with changed(FLUSHING):
        flushed = tiny * np.float32(0.5)
    with changed(UPWARD):
        upward = thirds * thirds
    assert (kept != 0).all()
    assert (flushed == 0).all()
    assert (upward >= rounded).all()
    assert (upward > rounded).any()


@pytest.mark.parametrize("mode", MODES)
def test_fold_in_a_thread_of_another_mode_gives_the_right_rows(mode) -> None:
    for case, expected in zip(CASES, EXPECTED, strict=True):
        for isa in instruction_sets():
            element = case.node.numel // 2
            with changed(MODES[mode]) as word:
                rows = Executor(1, isa).fold(case.node, case.operands, element)
                after = control_word()
            assert after == word
            last = int(rows[-1, 0])
            assert last & (0xFF if case.node.dtype.width == 1 else 2**32 - 1) == expected[element]


def test_kernels_after_torch_flushes_denormals_give_the_right_bits() -> None:
    if not torch.set_flush_denormal(True):
        pytest.fail("torch cannot flush denormals here: use the modes above alone")
    try:
        word = control_word()
        outs = [RUNS[name](CASES[0].node, CASES[0].operands) for name in RUNS]
        assert control_word() == word
    finally:
        torch.set_flush_denormal(False)
    assert control_word() != word
    for out in outs:
        assert words_of(out) == EXPECTED[0]


def test_threads_that_started_in_another_mode_give_the_right_bits_at_once() -> None:
    # A new thread inherits its maker's control word, pool threads of the kernels too.
    failures = []

    def work(mode: int) -> None:
        try:
            for _ in range(3):
                assert_right_bits(mode)
        except AssertionError as error:
            failures.append(error)

    with changed(FLUSHING + UPWARD):
        threads = [threading.Thread(target=work, args=(0,)) for _ in range(2)]
        threads += [threading.Thread(target=work, args=(-FLUSHING,))]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_pool_threads_hired_in_another_mode_serve_other_callers_right() -> None:
    case, expected = CASES[0], EXPECTED[0]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_hire_then_run, (case,)) == [expected] * 4


def _hire_then_run(case: Case) -> list[list[int]]:
    executor = Executor(3, grain=0)
    with changed(FLUSHING + UPWARD):
        outs = [executor.run(case.node, case.operands)]  # hires the pool's threads
    outs.append(executor.run(case.node, case.operands))
    with ThreadPoolExecutor(2) as pool:
        outs += pool.map(lambda _: executor.run(case.node, case.operands), range(2))
    return [words_of(out) for out in outs]


@pytest.mark.parametrize("mode", MODES)
def test_whole_steps_in_a_thread_of_another_mode_give_the_right_states(mode) -> None:
    for seed in range(4):
        program = programs.random_program(seed)
        words = programs.random_state(program, seed)
        expected = [state.tolist() for state in programs.run_plainly(program, words)]
        state = [
            w.view(b.dtype.numpy).reshape(b.shape)
            for w, b in zip(words, program.bindings, strict=True)
        ]
        for isa in instruction_sets():
            runner = StepRunner(program, Executor(2, isa, grain=0))
            runner.run(0, state, [])  # compiled before: LLVM is not asked to work in these modes
            with changed(MODES[mode]) as word:
                after = runner.run(0, state, [])
                own = control_word()
            assert own == word
            assert [words_of(tensor) for tensor in after] == expected, (seed, isa)


@pytest.mark.parametrize("isa", instruction_sets()[:-1])
def test_compilation_in_another_mode_makes_the_same_code(isa) -> None:
    # LLVM folds constants: their bits must not come from this thread's mode.
    lines = ["define float @fold(float %x) {"]
    for i, (op, left, right) in enumerate(
        [("fmul", 2.0**-100, 2.0**-45), ("fdiv", 1.0, 3.0), ("fadd", 1.0, 2.0**-30)]
    ):
        left_word, right_word = (f"0x{struct.pack('>d', v).hex().upper()}" for v in (left, right))
        lines.append(f"  %c{i} = {op} float {left_word}, {right_word}")
        lines.append(f"  %y{i} = fadd float %c{i}, {f'%y{i - 1}' if i else '%x'}")
    text = "\n".join([*lines, "  ret float %y2", "}"])
    plain = compile_text(text, isa)
    for mode in (FLUSHING, UPWARD):
        with changed(mode) as word:
            code = compile_text(text, isa)
            assert control_word() == word
        assert code == plain


@pytest.mark.parametrize("mode", ["flushing", "upward"])
def test_child_of_a_fork_in_another_mode_gives_the_right_bits(mode) -> None:
    for run in RUNS.values():  # the parent's pool has threads, which the child does not
        run(CASES[0].node, CASES[0].operands)
    with changed(MODES[mode]):
        pool = multiprocessing.get_context("fork").Pool(1)
    with pool:
        word, outs = pool.apply(_run_all)
    assert word == control_word() + MODES[mode]  # the child was in the mode, before and after
    assert outs == [EXPECTED] * len(RUNS)


def _run_all() -> tuple[int, list[list[list[int]]]]:
    word = control_word()
    outs = [[words_of(run(c.node, c.operands)) for c in CASES] for run in RUNS.values()]
    assert control_word() == word
    return word, outs


def test_refused_call_leaves_the_control_word() -> None:
    case = CASES[0]
    executor = Executor(2, grain=0)
    with changed(FLUSHING + UPWARD) as word:
        with pytest.raises(ValueError, match="elements"):
            executor.run(case.node, [case.operands[0], np.ones(1, "<f4")])
        with pytest.raises(ValueError, match="malformed"):
            executor.run(case.node, case.operands, encoded=b"\1")
        with pytest.raises(ValueError, match="element"):
            executor.fold(case.node, case.operands, case.node.numel)
        assert control_word() == word


@pytest.mark.parametrize("mode", MODES)
def test_reference_and_hashes_do_not_depend_on_the_control_word(mode) -> None:
    case, data = CASES[0], np.arange(5000, dtype=np.uint8)
    with changed(MODES[mode]) as word:
        got = evaluate_node(case.node, case.elements())
        leaves = _hash.leaf_hashes(data, 1000, 2)
        after = control_word()
    assert after == word
    assert got == EXPECTED[0]
    leaf = sha256(b"\0" + data[:1000].tobytes()).digest()
    assert leaves[0].tobytes() == leaf
