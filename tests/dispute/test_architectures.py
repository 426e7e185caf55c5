"""Every kind of node that people's models are made of is judged on chain, when it is wrong.

Of each architecture, of every optimiser, of inference and of decoding, nodes of every kind are
taken, and every way in which a node of this kind can be judged. A solver is off by one unit in the
last place of one element: it is convicted. An accuser who is wrong about the same element loses.
The dearest places are judged in a whole market on the embedded chain as well, in the dearest way
for a dispute to end.
"""

from __future__ import annotations

from functools import cache

import pytest

from tests.dispute.charges import Case
from tests.dispute.judgements import judge, judge_all, ways_of
from tests.dispute.market_gas import market_gas
from tests.dispute.models import MODELS, task_of

GAS_CAP = 400_000
QUICK = (
    ("llama", "aten.rsqrt (fwd)"),
    ("diffusion", "aten.convolution_backward (bwd)"),
    ("adafactor, all", "adafactor.param (opt)"),
)


@cache
def case_of(name: str) -> Case:
    return Case(task_of(name))


@pytest.mark.parametrize(("name", "kind"), QUICK)
def test_wrong_bit_of_an_architectures_node_is_judged(name: str, kind: str) -> None:
    case = case_of(name)
    charges = list(case.charges(kind))
    assert {charge.way for charge in charges} >= ways_of(case, kind)
    for charge in charges:
        assert judge(case, charge) <= charge.bound <= GAS_CAP


def test_dearest_node_of_an_architecture_is_judged_in_a_whole_market() -> None:
    case = case_of("diffusion")
    charge = max(case.charges("aten.mul (bwd)"), key=lambda each: each.bound)
    (gas,) = market_gas(case, [charge])
    assert 200_000 < gas <= charge.bound


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", MODELS)
def test_wrong_bits_of_every_kind_of_node_are_judged(name: str) -> None:
    judged = judge_all(case_of(name))
    assert judged.charges >= 2 * judged.kinds
    assert judged.in_market <= judged.bound <= GAS_CAP
