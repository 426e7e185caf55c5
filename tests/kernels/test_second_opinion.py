import pytest

from protocol.kernels import executor, instruction_sets, second_opinion
from protocol.kernels.executor import Compiled, Executor


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        (["avx512", "avx2", "baseline"], "avx2"),
        (["avx2", "baseline"], "avx2"),
        (["neon", "baseline"], "neon"),
        (["baseline"], "baseline"),
    ],
)
def test_second_opinion_of_a_machine_is_other_code_with_a_fused_multiply_add(
    known, chosen, monkeypatch
):
    asked = []
    monkeypatch.setattr(executor, "instruction_sets", lambda: known)
    monkeypatch.setattr(executor, "choose_instruction_set", lambda isa: asked.append(isa) or isa)
    other = second_opinion()
    assert asked == [chosen]
    assert other.compiled is Compiled.NOTHING


def test_second_opinion_here_differs_from_the_default():
    first, other = Executor(), second_opinion()
    assert (first.isa, first.compiled) != (other.isa, other.compiled)
    assert other.isa in instruction_sets()
    assert other.threads >= 1
