"""Every kind of fold that people's models are made of is judged on chain, when it is wrong.

Of each architecture one node of every kind is taken. A solver is off by one unit in the last place
of one element: it is convicted, by its arithmetic and by a load that it blames. An accuser who is
wrong about the same element loses.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from protocol.dispute.state import DisputeState
from protocol.kernels import Executor
from protocol.kernels.executor import Compiled
from protocol.program.cost import TreeSizes, judgement_gas
from protocol.program.isa import DType
from protocol.training import StepRunner, Task
from protocol.training.replay import Replay
from tests.adversaries.wrong_kernel import Lie, WrongKernel, WrongReplay
from tests.capture.architectures.catalogue import ARCHITECTURES
from tests.capture.architectures.training import capture
from tests.dispute.games import CHALLENGER, CLAIM, Game, facts_of
from tests.dispute.twin import Twin

STEPS, STEP = 2, 1
GAS_CAP = 400_000
TRIES = 60
QUICK = (("llama", "aten.rsqrt (fwd)"), ("diffusion", "aten.convolution_backward (bwd)"))


class Metered(Twin):
    """A twin that keeps the gas of the last move that the contracts accepted."""

    gas = 0

    def compare(self, dispute_id: bytes, now: int) -> None:
        """Read the meter before anything else is called."""
        self.gas = self.chain.evm.result.gas_used
        super().compare(dispute_id, now)


@dataclass(frozen=True)
class Case:
    """An honest run, and the lies about its nodes."""

    task: Task
    honest: Replay

    def kinds(self) -> dict[str, list[int]]:
        """The nodes of each operator and direction."""
        found: dict[str, list[int]] = {}
        for node, origin in enumerate(self.task.manifest.origins):
            found.setdefault(origin.rpartition(": ")[2], []).append(node)
        return found

    def lie_about(self, kind: str) -> Lie | None:
        """One that changes the state after the step; None if no bit that was tried does."""
        rng = random.Random(kind)
        program = self.task.program
        nodes = self.kinds()[kind]
        before = self.honest.state(STEP)
        after = [tensor.tobytes() for tensor in self.honest.state(STEP + 1)]
        for _ in range(TRIES):
            node = rng.choice(nodes)
            lie = Lie(STEP, node, self._telling_element(node, rng))
            lying = StepRunner(program, executor(), WrongKernel(lie))
            try:
                if [t.tobytes() for t in lying.run(STEP, before, self.task.data)] != after:
                    return lie
            except IndexError:  # an index that points outside; such a claim cannot be made
                continue
        return None

    def _telling_element(self, node: int, rng: random.Random) -> int:
        """One that a unit makes another number of, if there is one.

        Next to zero there are only subnormal numbers, next to infinity none; bytes are true or
        false, and nothing reads how true.
        """
        dtype = self.task.program.nodes[node].dtype
        stored = self.honest.node_output(STEP, node)
        if dtype is DType.U8:
            telling = np.frombuffer(stored, np.uint8) == 0
        elif dtype is DType.F32:
            values = np.frombuffer(stored, np.float32)
            telling = np.isfinite(values) & (values != 0)
        else:
            telling = np.frombuffer(stored, np.int32) != 0
        found = np.flatnonzero(telling)
        return int(rng.choice(found)) if found.size else rng.randrange(telling.size)


def executor() -> Executor:
    return Executor(1, compiled=Compiled.NOTHING)


@cache
def case_of(name: str) -> Case:
    task = Task.create(**capture(ARCHITECTURES[name](), STEPS).parts())
    return Case(task, Replay(task, executor=executor()))


def judged(case: Case, lie: Lie) -> Iterator[int]:
    """Gas of the judgements of a lie: its solver is convicted, its accuser is not believed."""
    state_count = len(case.task.state)
    for load in (None, 0) if case.task.program.nodes[lie.node].loads else (None,):
        liar = WrongReplay(case.task, Lie(lie.step, lie.node, lie.element, load), executor())
        last = "judgeArithmetic" if load is None else "judgeLoad"
        twin = Metered({CLAIM: facts_of(liar, state_count)})
        game = Game(liar, case.honest, model=twin).open()
        assert game.play() is DisputeState.CHALLENGER_WON, (lie, load)
        assert not game.refusals
        assert game.moves[-1] == last
        assert twin.claims.fallen == {CLAIM: CHALLENGER}
        yield twin.gas
        twin = Metered({CLAIM: facts_of(case.honest, state_count)})
        game = Game(case.honest, liar, model=twin).open()
        assert game.play() is DisputeState.SOLVER_WON, (lie, load)
        assert not game.refusals
        assert game.moves[-1] == last
        assert not twin.claims.fallen
        yield twin.gas


def bound(case: Case, lie: Lie) -> int:
    """What a judgement of the node may cost."""
    sizes = TreeSizes.of(case.task.program, case.task.manifest.data)
    return judgement_gas(case.task.program.nodes[lie.node], sizes)


@pytest.mark.parametrize(("name", "kind"), QUICK)
def test_wrong_bit_of_an_architectures_fold_is_judged(name: str, kind: str) -> None:
    case = case_of(name)
    lie = case.lie_about(kind)
    assert lie is not None
    assert max(judged(case, lie)) <= bound(case, lie) <= GAS_CAP


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_wrong_bits_of_every_kind_of_fold_are_judged(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    case = case_of(name)
    lies = {kind: case.lie_about(kind) for kind in case.kinds()}
    worst = 0
    for lie in lies.values():
        if lie is not None:
            gas = max(judged(case, lie))
            assert gas <= bound(case, lie) <= GAS_CAP
            worst = max(worst, gas)
    silent = sorted(kind for kind, lie in lies.items() if lie is None)
    record_property("worst gas", worst)
    record_property("kinds", len(lies))
    record_property("kinds without a last bit that matters", ", ".join(silent))
    assert len(silent) <= len(lies) // 4
