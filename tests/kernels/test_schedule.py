"""Whole steps by one native call give the states of the same steps run node by node."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.kernels import Executor, compiled, instruction_sets, schedule
from protocol.kernels.cpu import _cpu
from protocol.kernels.executor import JIT_VARIABLE, Compiled
from protocol.kernels.isa import PAGE, MachineSettingError
from protocol.kernels.jit import compile as jit
from protocol.kernels.jit.cache import CacheWarning
from protocol.kernels.jit.errors import Unsupported
from protocol.kernels.schedule import Schedule
from protocol.program.builder import FoldBuilder
from protocol.program.isa import DType
from protocol.program.node import Binding, Operand, OperandKind, Program
from protocol.training import StepRunner, Task
from tests.kernels.programs import random_program, random_state
from tests.kernels.small_tasks import TASKS, mlp

Tensor = NDArray[Any]
BEST = instruction_sets()[0]
WAYS = [(Compiled.NOTHING, 1), (Compiled.STEPS, 1), (Compiled.STEPS, 3), (Compiled.NODES, 2)]


@pytest.fixture(autouse=True)
def _all_code_is_worth_it(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small regions are compiled too, and cut into jobs for all threads."""
    monkeypatch.setattr(schedule, "WORTH_COMPILING", 0)
    monkeypatch.setattr(compiled, "WORTH_A_THREAD", 1)
    monkeypatch.setenv("PINPOINT_CACHE", str(tmp_path_factory.getbasetemp() / "code of schedules"))


def words(state: Sequence[Tensor]) -> list[bytes]:
    return [tensor.tobytes() for tensor in state]


def node_by_node(
    program: Program, state: Sequence[Tensor], data: Sequence[Tensor], steps: int
) -> list[list[bytes]]:
    """The states after each step, by the interpreter alone; the first is the one given."""
    runner = StepRunner(program, Executor(1, "baseline", compiled=Compiled.NOTHING))
    states = [words(state)]
    for step in range(steps):
        state = runner.run(step, state, data, observe=lambda _node, _output: None)
        states.append(words(state))
    return states


def expected(task: Task) -> list[list[bytes]]:
    if task.manifest.name not in _EXPECTED:
        found = node_by_node(task.program, task.state, task.data, task.manifest.steps)
        _EXPECTED[task.manifest.name] = found
    return _EXPECTED[task.manifest.name]


_EXPECTED: dict[str, list[list[bytes]]] = {}


def run(task: Task, executor: Executor, *, consume: bool) -> list[list[bytes]]:
    """The states before and after each whole step."""
    runner = StepRunner(task.program, executor)
    state: Sequence[Tensor] = task.state
    states = [words(state)]
    for step in range(task.manifest.steps):
        state = runner.run(step, state, task.data, consume=consume)
        states.append(words(state))
    return states


# ---------------------------------------------------------------------------- the same states


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("name", TASKS)
def test_schedule_of_a_captured_step_gives_the_states_of_its_nodes(name: str, isa: str) -> None:
    task = TASKS[name]()
    for how, threads in WAYS:
        for consume in (False, True):
            executor = Executor(threads, isa, grain=0, compiled=how)
            assert run(task, executor, consume=consume) == expected(task), (how, threads, consume)


@pytest.mark.parametrize("name", TASKS)
def test_small_tasks_run_machine_code_and_kernels_in_regions(name: str) -> None:
    """What the equality above would be worth nothing without."""
    task = TASKS[name]()
    steps = Schedule(task.program, Executor(1, compiled=Compiled.STEPS))
    nodes = Schedule(task.program, Executor(1, compiled=Compiled.NODES))
    assert len(steps.stages) == len(nodes.stages) < len(task.program.nodes) / 2
    assert steps.plan.in_place
    assert any(stage.region is None for stage in steps.stages)
    plain = Schedule(task.program, Executor(1, compiled=Compiled.NOTHING))
    assert len(plain.stages) == len(task.program.nodes)


def check_random_programs(seeds: Iterable[int], how: Compiled) -> None:
    for seed in seeds:
        program = random_program(seed)
        state = [
            array.view("<f4" if array.dtype == np.uint32 else "u1").reshape(binding.shape)
            for array, binding in zip(random_state(program, seed), program.bindings, strict=True)
        ]
        states = node_by_node(program, state, [], 3)
        runner = StepRunner(program, Executor(1 + seed % 3, grain=0, compiled=how))
        now: Sequence[Tensor] = state
        for step in range(3):
            now = runner.run(step, now, [], consume=seed % 5 > 0)
            assert words(now) == states[step + 1], (seed, how, step)


def test_schedule_of_a_random_program_gives_the_states_of_its_nodes() -> None:
    check_random_programs(range(120), Compiled.NOTHING)  # 10 of them find wrong memory plans
    check_random_programs((18, 43, 53, *range(6)), Compiled.STEPS)


@pytest.mark.slow
def test_schedule_of_many_random_programs_gives_the_states_of_their_nodes() -> None:
    check_random_programs(range(120, 1000), Compiled.NOTHING)
    check_random_programs(range(6, 200), Compiled.STEPS)


# ---------------------------------------------------------------------------- whose memory


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", TASKS)
def test_state_that_the_caller_keeps_is_not_changed_whatever_is_consumed(
    name: str, seed: int
) -> None:
    """Consuming, keeping, going back and watching, in any order."""
    task = TASKS[name]()
    rng = random.Random(seed)
    steps = task.manifest.steps
    runner = StepRunner(task.program, Executor(2))
    kept: dict[int, Sequence[Tensor]] = {0: task.state}
    for _ in range(14):
        at = rng.choice([step for step in kept if step < steps])
        consume = at > 0 and rng.random() < 0.5
        watch = (lambda _node, _output: None) if rng.random() < 0.2 else None
        after = runner.run(at, kept[at], task.data, watch, consume=consume)
        assert words(after) == expected(task)[at + 1]
        if consume:
            del kept[at]
        if at + 1 not in kept:
            kept[at + 1] = after
        for step, state in kept.items():
            assert words(state) == expected(task)[step], f"state {step} was written to"


@pytest.mark.parametrize("given", ["read-only", "mapped", "of columns", "every second"])
def test_initial_state_and_data_are_never_written(given: str, tmp_path: Path) -> None:
    task = mlp()
    if given == "mapped":
        arrays = []
        for index, tensor in enumerate([*task.state, *task.data]):
            np.save(tmp_path / f"{index}.npy", tensor)
            arrays.append(np.load(tmp_path / f"{index}.npy", mmap_mode="r"))
    else:
        arrays = [_as(given, tensor) for tensor in [*task.state, *task.data]]
    before = words(arrays)
    state, data = arrays[: len(task.state)], arrays[len(task.state) :]
    runner = StepRunner(task.program, Executor(1))
    now: Sequence[Tensor] = state
    for step in range(task.manifest.steps):
        now = runner.run(step, now, data, consume=True)
        assert words(now) == expected(task)[step + 1]
    assert words(arrays) == before


def _as(given: str, tensor: Tensor) -> Tensor:
    if given == "of columns":
        return np.asfortranarray(tensor)
    if given == "every second" and tensor.ndim:
        wide = np.repeat(tensor, 2, axis=-1)
        wide[..., 1::2] += 1
        return wide[..., ::2]
    copy = tensor.copy()
    copy.flags.writeable = False
    return copy


def test_data_of_columns_that_change_are_read_anew() -> None:
    task = mlp()
    data = [np.asfortranarray(tensor) for tensor in task.data]
    runner = StepRunner(task.program, Executor(1))
    runner.run(0, task.state, data)
    changed = data[0]
    assert changed.ndim == 2
    assert not changed.flags.c_contiguous
    changed += np.float32(1)
    anew = StepRunner(task.program, Executor(1)).run(0, task.state, data)
    assert words(runner.run(0, task.state, data)) == words(anew) != expected(task)[1]


def test_arrays_that_do_not_fit_are_refused_and_nothing_is_written() -> None:
    task = mlp()
    program = task.program
    plan = Schedule(program, Executor(1))
    bound = sorted({b.index for b in program.bindings if b.kind is OperandKind.NODE})
    made = {node: program.nodes[node] for node in bound}
    outputs = {node: np.zeros(found.shape, found.dtype.numpy) for node, found in made.items()}
    with pytest.raises(ValueError, match="no array for node tensor"):
        plan.run(task.state, task.data, {})
    floats = next(i for i, tensor in enumerate(task.data) if tensor.dtype == "<f4")
    tensor = task.data[floats]
    shifted = np.empty(tensor.nbytes + 1, "u1")[1:].view("<f4").reshape(tensor.shape)
    for wrong, message in [
        (tensor.view("<i4"), "of type int32, the program has <f4"),
        (tensor.astype(">f4"), "of type >f4"),
        (tensor[:-1], "bytes, got"),
        (shifted, "not aligned"),
    ]:
        data = [*task.data[:floats], wrong, *task.data[floats + 1 :]]
        with pytest.raises(ValueError, match=message):
            plan.run(task.state, data, outputs)
    with pytest.raises(ValueError, match="no array for data tensor"):
        plan.run(task.state, task.data[:floats], outputs)
    with pytest.raises(ValueError, match="no array for state tensor"):
        plan.run(task.state[:1], task.data, outputs)
    matrix = next(node for node in bound if len(made[node].shape) == 2)
    crossed = {**outputs, matrix: np.asfortranarray(outputs[matrix])}
    with pytest.raises(ValueError, match="not contiguous"):
        plan.run(task.state, task.data, crossed)
    assert not any(output.any() for output in [*outputs.values(), crossed[matrix]])
    plan.run(task.state, task.data, outputs)
    assert all(outputs[b.index].tobytes() == raw for b, raw in _bound(task))
    with pytest.raises(ValueError, match="no array for node tensor"):  # not those of the last run
        plan.run(task.state, task.data, {})


def _bound(task: Task) -> list[tuple[Binding, bytes]]:
    """The bindings to nodes, with the state after the first step."""
    pairs = zip(task.program.bindings, expected(task)[1], strict=True)
    return [(b, raw) for b, raw in pairs if b.kind is OperandKind.NODE]


def test_native_schedule_binds_no_copy_of_an_array() -> None:
    """The copy would be gone before the run."""
    native = _cpu.Schedule([24])
    native.bind(0, np.zeros((2, 3), "<f4"))
    with pytest.raises(TypeError, match="incompatible"):
        native.bind(0, np.zeros((3, 2), "<f4").T)


# ---------------------------------------------------------------------------- who runs it


def test_two_runners_of_one_program_in_two_threads_do_not_disturb_each_other() -> None:
    task = TASKS["transformer"]()
    executor = Executor(2)
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(run, task, executor, consume=k % 2 == 0) for k in range(12)]
        assert all(each.result() == expected(task) for each in runs)


def test_fork_after_use_runs_again_in_parent_and_child() -> None:
    task = mlp()
    assert run(task, Executor(2), consume=True) == expected(task)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_run_in_child) == expected(task)
    assert run(task, Executor(2), consume=True) == expected(task)


def _run_in_child() -> list[list[bytes]]:
    return run(mlp(), Executor(2), consume=True)


# ---------------------------------------------------------------------------- without the compiler


def test_region_that_the_compiler_declines_is_run_by_its_nodes(monkeypatch) -> None:
    rng = random.Random(0)

    def declines_some(region: Any, isa: str) -> Any:
        if rng.random() < 0.5:
            raise Unsupported("as a test wants it")
        return jit.compile_region(region, isa)

    monkeypatch.setattr(compiled, "compile_region", declines_some)
    task = TASKS["convnet"]()
    for _ in range(4):
        assert run(task, Executor(2), consume=True) == expected(task)


def test_program_that_would_compile_for_too_long_is_run_by_its_nodes(monkeypatch) -> None:
    monkeypatch.setattr(schedule, "MOST_COMPILING", 1e-9)
    task = TASKS["transformer"]()
    executor = Executor(2, compiled=Compiled.STEPS)
    stages = Schedule(task.program, executor).stages
    assert sum(stage.region is not None for stage in stages) <= 1, "the first takes all the time"
    assert run(task, executor, consume=True) == expected(task)


def test_damaged_cache_is_compiled_again(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PINPOINT_CACHE", str(tmp_path))
    task = TASKS["mlp"]()
    _forget_code()
    assert run(task, Executor(1, compiled=Compiled.STEPS), consume=True) == expected(task)
    files = sorted((tmp_path / "jit").iterdir())
    assert files or BEST == "baseline"
    for number, file in enumerate(files):
        raw = bytearray(file.read_bytes())
        raw[-1 - 7 * number] ^= 1
        file.write_bytes(raw[: len(raw) // 2] if number % 3 == 0 else raw)
    _forget_code()
    with pytest.warns(CacheWarning, match="is not used"):
        assert run(task, Executor(1, compiled=Compiled.STEPS), consume=True) == expected(task)


def _forget_code() -> None:
    """As a new process: what is compiled is found in the cache only."""
    jit._compiled.cache_clear()
    jit._linked.cache_clear()


@pytest.mark.parametrize(
    ("value", "how"),
    [(None, Compiled.STEPS), ("", Compiled.STEPS), ("1", Compiled.STEPS), ("0", Compiled.NOTHING)],
)
def test_variable_says_whether_machine_code_is_made(monkeypatch, value, how) -> None:
    if value is None:
        monkeypatch.delenv(JIT_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(JIT_VARIABLE, value)
    assert Executor(1).compiled is how
    task = mlp()
    assert run(task, Executor(1), consume=True) == expected(task)


@pytest.mark.parametrize("value", ["yes", "2", " 1", "false"])
def test_variable_of_another_value_is_refused_in_four_parts(monkeypatch, value) -> None:
    monkeypatch.setenv(JIT_VARIABLE, value)
    assert Executor(1, compiled=Compiled.NOTHING).compiled is Compiled.NOTHING
    with pytest.raises(MachineSettingError) as raised:
        Executor(1)
    error = raised.value
    assert repr(value) in error.what
    assert repr(value) in error.why
    assert JIT_VARIABLE in error.todo
    assert error.read == PAGE


def test_step_whose_outputs_are_all_state_runs_without_an_arena() -> None:
    state = Operand(OperandKind.STATE, 0, DType.F32, (5,))
    b = FoldBuilder(DType.F32, (5,), ())
    node = b.finish(b.add(b.load(state, [b.out(0).axis(5, 1)]), b.f32(1.0)))
    program = Program((node,), (Binding(OperandKind.NODE, 0, DType.F32, (5,)),))
    runner = StepRunner(program, Executor(1))
    before = np.arange(5, dtype="<f4")
    first = runner.run(0, [before], [])
    (second,) = runner.run(1, first, [], consume=True)
    assert np.shares_memory(first[0], second)
    assert second.tolist() == [2, 3, 4, 5, 6]
    assert before.tolist() == [0, 1, 2, 3, 4]


def test_step_without_nodes_gives_its_state_back() -> None:
    program = Program((), (Binding(OperandKind.STATE, 0, DType.F32, (2,)),))
    runner = StepRunner(program, Executor(1))
    state = [np.ones(2, "<f4")]
    assert words(runner.run(0, state, [], consume=True)) == words(state)


def test_memory_touched_since_a_barrier_is_found_as_by_comparing_every_pair() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        touched, places = schedule._Touched(), []
        for _ in range(40):
            memory, first = rng.choice(["arena", "arena", "state"]), rng.randrange(60)
            place = (memory, first, first + (1 if memory == "state" else rng.randint(1, 8)))
            meets = any(m == memory and f < place[2] and first < last for m, f, last in places)
            assert touched.meets([place]) == meets
            if rng.random() < 0.6:
                touched.add([place])
                places.append(place)
