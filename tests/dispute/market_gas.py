"""What judgements of real nodes cost in a whole market, at the dearest end that a dispute has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from protocol.chain.compiler import CompiledArtifacts
from protocol.chain.embedded import EmbeddedChain
from protocol.dispute.state import ARITHMETIC
from protocol.program.node import OperandKind
from tests.contracts.dispute import judged_claim
from tests.contracts.dispute.judged_claim import ACCUMULATOR, JudgedClaim, Tensor
from tests.dispute.charges import Case, Charge

Word = tuple[Tensor, int]
"""A tensor and an element of it."""


@dataclass
class Claimed:
    """Judgements that one claim can be asked for: no word of a tensor has two values in them."""

    cases: dict[int, judged_claim.Case] = field(default_factory=dict)
    words: dict[Word, int] = field(default_factory=dict)

    def takes(self, number: int, case: judged_claim.Case) -> bool:
        """Whether the case goes with the others, to which it is then added."""
        words: dict[Word, int] = {((OperandKind.NODE, case.index), case.element): case.accumulator}
        if case.source is not None and words.setdefault(case.source, ACCUMULATOR) != ACCUMULATOR:
            raise ValueError(f"{case} reads what it writes")
        if any(self.words.get(at, word) != word for at, word in words.items()):
            return False
        self.words |= words
        self.cases[number] = case
        return True


def market_gas(case: Case, charges: Sequence[Charge]) -> list[int]:
    """Gas of each charge's judgement, the whole transaction: its solver is right and is paid.

    The nodes, places and words are those of the run; what a load reads stands for itself, since the
    chain sees roots only.
    """
    claims: list[Claimed] = []
    for number, charge in enumerate(charges):
        judged = _judged(case, charge)
        if not any(claim.takes(number, judged) for claim in claims):
            claims.append(Claimed())
            assert claims[-1].takes(number, judged)
    gas: dict[int, int] = {}
    for claim in claims:
        on_chain = JudgedClaim(
            EmbeddedChain(CompiledArtifacts()), case.sizes, list(claim.cases.values())
        )
        gas |= {number: on_chain.gas(judged) for number, judged in claim.cases.items()}
    return [gas[number] for number in range(len(charges))]


def _judged(case: Case, charge: Charge) -> judged_claim.Case:
    lie = charge.lie
    leaf = case.honest.fold_leaves(lie.step, lie.node, lie.element)[lie.term]
    return judged_claim.Case(
        lie.node,
        case.task.program.nodes[lie.node],
        lie.element,
        lie.term,
        ARITHMETIC if lie.load is None else lie.load,
        tuple(int(word) for word in np.frombuffer(leaf, ">u4")[1:]),
    ).acquitted
