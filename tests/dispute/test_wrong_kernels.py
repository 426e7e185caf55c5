"""Fast kernels changed nothing in the game: one wrong word of any of them is judged on chain.

Both sides train by fused kernels. In one element of one kernel's output the solver's is off by one
unit in the last place; the step is found, the dispute descends, and the contracts decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest

from protocol.dispute.fault import find_fault
from protocol.dispute.state import ARITHMETIC, DisputeState
from protocol.kernels import Executor, schedule
from protocol.kernels.executor import Compiled
from protocol.kernels.schedule import Schedule
from protocol.training import Task
from protocol.training.replay import Replay
from tests.adversaries.wrong_kernel import Lie, WrongReplay, first_that_matters, schedule_with
from tests.dispute.games import CHALLENGER, CLAIM, Game, facts_of
from tests.dispute.twin import Twin
from tests.kernels.small_tasks import TASKS

STEP = 3  # the second step of the second segment


@dataclass(frozen=True)
class Kernel:
    """One node of a task, and how it has to be computed for the case to mean what it says.

    Attributes:
        task: name of the task.
        origin: of the node, which it begins with.
        turn: which of the nodes of that origin, from 0.
        name: the kernel: matmul, guarded, or code for a region.
        stored: whether its output is in memory at all in the honest schedule.
        in_place: whether that is the memory of the state tensor before the step.
        load: the load that the solver blames, or None if it stands by its arithmetic.
    """

    task: str
    origin: str
    turn: int = 0
    name: str = "code"
    stored: bool = True
    in_place: bool = False
    load: int | None = None


KERNELS = {
    "matrix product": Kernel("transformer", "up: aten.mm (fwd)", name="matmul"),
    "gradient of a product": Kernel("mlp", "0: aten.mm (bwd)", name="matmul"),
    "convolution": Kernel("convnet", "4: aten.convolution (fwd)", name="matmul"),
    "input gradient of a convolution": Kernel(
        "convnet", "4: aten.convolution_backward", name="matmul"
    ),
    "weight gradient of a convolution": Kernel(
        "convnet", "4: aten.convolution_backward", turn=1, name="matmul"
    ),
    "guarded scatter": Kernel("transformer", "tokens: aten.embedding_dense", name="guarded"),
    "row sum in a register": Kernel("transformer", "model: aten.sum (fwd)", stored=False),
    "column sum": Kernel("transformer", "down: aten.sum (bwd)"),
    "maximum in a register": Kernel("transformer", "model: aten.amax (fwd)", stored=False),
    "maximum of a window": Kernel("convnet", "3: aten.max_pool2d"),
    "elementwise in a register": Kernel("transformer", "model: aten.mul (bwd)", 1, stored=False),
    "exponential in a register": Kernel("transformer", "model: aten.exp (fwd)", stored=False),
    "update in place": Kernel("mlp", "0.weight: adamw.param", in_place=True),
    "momentum in place": Kernel("mlp", "0.weight: adamw.exp_avg (opt)", in_place=True),
    "gather": Kernel("transformer", "tokens: aten.embedding (fwd)"),
    "load of a gather": Kernel("transformer", "tokens: aten.embedding (fwd)", load=1),
    "bytes of random bits": Kernel("mlp", "2: aten.bernoulli"),
    "integers of indices": Kernel("convnet", "3: aten.max_pool2d_with_indices (fwd)", 1),
}
QUICK = ("matrix product", "elementwise in a register", "update in place", "load of a gather")


def executor() -> Executor:
    return Executor(2, grain=0, compiled=Compiled.STEPS)


@pytest.fixture(autouse=True)
def _small_regions_are_compiled(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "WORTH_COMPILING", 0)
    monkeypatch.setenv("PINPOINT_CACHE", str(tmp_path_factory.getbasetemp() / "code of kernels"))


def node_of(kernel: Kernel, task: Task) -> int:
    """The number of the kernel's node."""
    origins = enumerate(task.manifest.origins)
    return [node for node, origin in origins if origin.startswith(kernel.origin)][kernel.turn]


@cache
def lie_of(kernel: Kernel) -> Lie:
    task = TASKS[kernel.task]()
    return first_that_matters(task, STEP, node_of(kernel, task), kernel.load)


@cache
def honest(name: str) -> Replay:
    return Replay(TASKS[name](), executor=executor())


def cases() -> list[object]:
    """The quick ones by default."""
    return [
        pytest.param(kernel, id=name, marks=[] if name in QUICK else pytest.mark.slow)
        for name, kernel in KERNELS.items()
    ]


@pytest.mark.parametrize("kernel", cases())
def test_wrong_word_of_a_kernel_is_convicted_on_chain(kernel: Kernel) -> None:
    task, lie = TASKS[kernel.task](), lie_of(kernel)
    verifier, solver = honest(kernel.task), WrongReplay(task, lie, executor())
    assert solver.log_leaves()[:-1] == verifier.log_leaves()[:-1]
    assert solver.log_leaves()[-1] != verifier.log_leaves()[-1]
    fault = find_fault(verifier, solver)
    assert fault is not None
    assert (fault.step, fault.node, fault.element) == (lie.step, lie.node, lie.element)
    assert fault.term == task.program.nodes[lie.node].terms - 1
    assert fault.kind == (ARITHMETIC if kernel.load is None else kernel.load)
    assert fault.expected is not None
    assert fault.got == fault.expected + 1
    twin = Twin({CLAIM: facts_of(solver, len(task.state))})
    game = Game(solver, verifier, model=twin)
    assert game.choose() == task.manifest.segments
    assert game.open().play() is DisputeState.CHALLENGER_WON
    assert not game.refusals
    assert game.moves[-1] == ("judgeArithmetic" if kernel.load is None else "judgeLoad")
    assert twin.claims.fallen == {CLAIM: CHALLENGER}


@pytest.mark.parametrize("kernel", cases())
def test_same_word_in_an_accusers_kernel_convicts_nobody(kernel: Kernel) -> None:
    task, lie = TASKS[kernel.task](), lie_of(kernel)
    solver, accuser = honest(kernel.task), WrongReplay(task, lie, executor())
    twin = Twin({CLAIM: facts_of(solver, len(task.state))})
    game = Game(solver, accuser, model=twin).open()
    assert game.play() is DisputeState.SOLVER_WON
    assert not game.refusals
    assert not twin.claims.fallen


@pytest.mark.parametrize("kernel", cases())
def test_wrong_kernel_is_the_kernel_that_its_case_names(kernel: Kernel) -> None:
    task, lie = TASKS[kernel.task](), lie_of(kernel)
    right = Schedule(task.program, executor())
    wrong, node = schedule_with(task, lie, executor())
    (stage,) = (stage for stage in right.stages if node in stage.nodes)
    (same,) = (stage for stage in wrong.stages if node in stage.nodes)
    if executor().isa != "baseline":
        assert (stage.region is not None) == (same.region is not None) == (kernel.name == "code")
        assert (node in stage.writes) == kernel.stored
        assert node in same.writes or node + 1 in same.nodes, "the lie is fused with the kernel"
        assert kernel.stored or not {node, node + 1} & set(same.writes)
    if kernel.name != "code":
        assert executor().kernel(task.program.nodes[node]).name == kernel.name
    assert (node in right.plan.in_place) == (node + 1 in wrong.plan.in_place) == kernel.in_place


def test_runs_without_a_lie_agree() -> None:
    for name in sorted({kernel.task for kernel in KERNELS.values()}):
        plain = Replay(TASKS[name](), executor=Executor(1, "baseline", compiled=Compiled.NOTHING))
        assert honest(name).log_leaves() == plain.log_leaves()
        assert find_fault(honest(name), plain) is None
