from __future__ import annotations

import pytest

from protocol.capture import outputs_of
from protocol.capture.examples import digits
from protocol.kernels import Executor
from protocol.training.checkpoints import InitialState
from protocol.training.replay import Replay
from protocol.training.task import Task
from scripts.real.lie import LAZY, LIES, ONE_ULP, Lie, choose
from tests.training.scores import scores_task


@pytest.fixture(scope="module")
def task() -> Task:
    return Task.create(**digits.make_task(steps=9, interval=3).parts())


@pytest.mark.parametrize("name", LIES)
def test_choose_gives_a_lie_that_changes_what_is_sold(name: str, task: Task) -> None:
    lie = choose(name, task, InitialState(task), segment=2)
    honest = Replay(task, None, Executor(1))
    lying = Replay(task, None, Executor(1), lie.conduct().hooks)
    assert lying.state_leaves(3) == honest.state_leaves(3), "the first segment is honest"
    assert lying.state_leaves(6) != honest.state_leaves(6)
    assert lying.state_leaves(9) != honest.state_leaves(9)


def test_choose_of_one_ulp_takes_the_last_step_and_the_largest_gradient(task: Task) -> None:
    step, node, element = choose(ONE_ULP, task, InitialState(task), segment=1).numbers
    assert step == 2
    assert "(bwd)" in task.manifest.origins[node]
    assert 0 <= element < task.program.nodes[node].numel


@pytest.mark.parametrize("name", LIES)
def test_choose_where_nothing_is_trained_changes_the_outputs(name: str) -> None:
    scores = scores_task()
    lie = choose(name, scores, InitialState(scores), segment=2)
    honest, lying = (
        outputs_of(zip(["outputs.output", "step"], replay.state(5), strict=True))["output"]
        for replay in (Replay(scores), Replay(scores, hooks=lie.conduct().hooks))
    )
    assert lying[:8].tobytes() == honest[:8].tobytes(), "the first segment is honest"
    assert lying[8:16].tobytes() != honest[8:16].tobytes()
    assert "compute" in lie.describe(scores) or "(fwd)" in lie.describe(scores)


def test_lie_survives_a_command_line(task: Task) -> None:
    for lie in (Lie(ONE_ULP, (2, 7, 31)), Lie(LAZY, (3, 6))):
        assert Lie.parse(lie.words()) == lie
        assert str(lie.numbers[0]) in lie.describe(task)


@pytest.mark.parametrize("words", [[], ["theft"], [ONE_ULP, "1"], [LAZY, "1", "2", "3"]])
def test_lie_of_other_words_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match="is no lie"):
        Lie.parse(words)
