"""The cases of the matrix: what is false, where, and how much of it can be shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from protocol.dispute.state import Level
from protocol.dispute.toy import ONE_LEAF, SMALL, ToyConfig, ToyExecution
from tests.adversaries.copied_checkpoint import CopiedCheckpoint
from tests.adversaries.copied_state import CopiedState
from tests.adversaries.long_tensor import LongTensor
from tests.adversaries.payload_nan import PayloadNan
from tests.adversaries.random_checkpoint import RandomCheckpoint
from tests.adversaries.random_chunk import RandomChunk
from tests.adversaries.random_output import RandomOutput
from tests.adversaries.random_segment_leaf import RandomSegmentLeaf
from tests.adversaries.random_state import RandomState
from tests.adversaries.random_state_tensor import RandomStateTensor
from tests.adversaries.random_term import RandomTerm
from tests.adversaries.silent import Silent
from tests.adversaries.swapped_outputs import SwappedOutputs
from tests.adversaries.swapped_states import SwappedStates
from tests.adversaries.wrong_arithmetic import WrongArithmetic
from tests.adversaries.wrong_element import WrongElement
from tests.adversaries.wrong_fold_end import WrongFoldEnd
from tests.adversaries.wrong_load import WrongLoad
from tests.adversaries.wrong_state import WrongState


@dataclass(frozen=True)
class Case:
    """One lie.

    Attributes:
        liar: the lying run, computed once.
        segment: the segment in which it lies.
        judged: the contract judges it; otherwise the liar runs out of answers.
        visible: it shows in the log; otherwise only to who is asked about the segment.
    """

    name: str
    liar: Callable[[], ToyExecution]
    segment: int
    config: ToyConfig = SMALL
    judged: bool = False
    visible: bool = True


TICK, MIX, ADVANCE, ROLL, PICK = range(5)
COUNTER, STEP, BYTES, PICKED, FROZEN, PREVIOUS = range(6)
SMALL_LAST_TERM = {TICK: 0, ADVANCE: 0, PICK: 4}
LAST_BYTE = 8 * SMALL.rows - 11


def _cases() -> list[Case]:
    cases = []

    def add(name: str, liar: Callable[[], ToyExecution], segment: int, **more: object) -> None:
        cases.append(Case(name, cache(liar), segment, **more))  # type: ignore[arg-type]

    # Level 1. The log has 4 leaves; leaf 0 is fixed. ONE_LEAF has the one segment.
    for place, m in (("first", 1), ("middle", 2), ("last", 3)):
        add(f"log {place} wrong word", lambda m=m: CopiedCheckpoint(m), m, judged=True)
        add(f"log {place} random hash", lambda m=m: RandomCheckpoint(m), m)
    only = ONE_LEAF
    add("log only wrong word", lambda: CopiedCheckpoint(1, only), 1, config=only, judged=True)
    add("log only random hash", lambda: RandomCheckpoint(1, only), 1, config=only)

    # Level 2. Segment 2 has steps 3, 4, 5; segment 3 has step 6 alone.
    for place, step, m in (("first", 3, 2), ("middle", 4, 2), ("last", 5, 2), ("only", 6, 3)):
        add(f"segment {place} wrong word", lambda s=step: CopiedState(s), m, judged=True)
        end = place in ("last", "only")
        add(f"segment {place} random hash", lambda s=step: RandomState(s), m, visible=end)
        add(f"segment {place} random leaf", lambda s=step: RandomSegmentLeaf(s), m, visible=False)
    add("segment withheld", lambda: Silent(Level.SEGMENT), 2)

    # Level 3, the trace: outputs of nodes in step 4 or 5.
    for place, node in (("first", TICK), ("middle", ADVANCE), ("last", PICK)):
        add(
            f"trace {place} wrong word",
            lambda j=node: WrongArithmetic(5, j, 0, SMALL_LAST_TERM[j]),
            2,
            judged=True,
        )
        add(f"trace {place} random hash", lambda j=node: RandomOutput(5, j), 2)
    add(
        "trace only wrong word",
        lambda: WrongArithmetic(0, 0, 0, 0, only),
        1,
        config=only,
        judged=True,
    )
    add("trace only random hash", lambda: RandomOutput(0, 0, only), 1, config=only)
    add("trace swapped outputs", lambda: SwappedOutputs(4, MIX, ADVANCE), 2)
    add("trace withheld", lambda: Silent(Level.TRACE), 2)

    # Level 3, the state after the step.
    for place, q in (("first", COUNTER), ("middle", BYTES), ("last", PREVIOUS)):
        add(f"state {place} wrong word", lambda q=q: WrongState(5, q), 2, judged=True)
        add(f"state {place} random hash", lambda q=q: RandomStateTensor(5, q), 2, judged=True)
        add(
            f"state {place} random leaf",
            lambda q=q: RandomStateTensor(5, q, hidden=True),
            2,
        )
    add("state only wrong word", lambda: WrongState(0, 0, only), 1, config=only, judged=True)
    add(
        "state only random hash",
        lambda: RandomStateTensor(0, 0, only),
        1,
        config=only,
        judged=True,
    )
    add("state frozen is changed", lambda: WrongState(4, FROZEN), 2, judged=True)
    add("state swapped", lambda: SwappedStates(4, COUNTER, PREVIOUS), 2, judged=True)

    # Level 4. The bytes have three chunks: elements 0..1023, 1024..2047, 2048...
    chunks = (("first", 0, 0), ("middle", 1030, 1), ("last", LAST_BYTE, 2))
    for place, element, chunk in chunks:
        add(
            f"tensor {place} wrong word",
            lambda e=element: WrongArithmetic(4, ROLL, e, 0),
            2,
            judged=True,
        )
        add(
            f"tensor {place} fold ends wrong",
            lambda e=element: WrongFoldEnd(4, ROLL, e),
            2,
            judged=True,
        )
        add(f"tensor {place} element without fold", lambda e=element: WrongElement(4, ROLL, e), 2)
        add(f"tensor {place} random hash", lambda c=chunk: RandomChunk(5, ROLL, c), 2)
    add("tensor only wrong word", lambda: WrongFoldEnd(4, TICK, 0), 2, judged=True)
    add("tensor only random hash", lambda: RandomChunk(5, TICK, 0), 2)
    add("tensor longer than its shape", lambda: LongTensor(4, ADVANCE), 2)
    add("tensor with a payload in a NaN", lambda: PayloadNan(4, ADVANCE, 7), 2)
    add("tensor withheld", lambda: Silent(Level.TENSOR), 2)

    # Level 5. A fold of the mix has 3 terms of 2 loads; that of the tick has one of one.
    for place, term in (("first", 0), ("middle", 1), ("last", 2)):
        add(
            f"fold {place} wrong arithmetic",
            lambda r=term: WrongArithmetic(4, MIX, 259, r, bit=1 << 20),
            2,
            judged=True,
        )
        for load in (0, 1):
            add(
                f"fold {place} wrong load {load}",
                lambda r=term, k=load: WrongLoad(4, MIX, 101, r, k),
                2,
                judged=True,
            )
        add(f"fold {place} random hash", lambda r=term: RandomTerm(4, MIX, 101, r), 2)
    add("fold only wrong load", lambda: WrongLoad(4, TICK, 0, 0, 0), 2, judged=True)
    add("fold only random hash", lambda: RandomTerm(4, TICK, 0, 0), 2)
    add(
        "fold out of bounds load",
        lambda: WrongLoad(4, MIX, 259, 2, 1, bits=0x3F000000),
        2,
        judged=True,
    )
    add("fold indirect load", lambda: WrongLoad(5, PICK, 2, 0, 1), 2, judged=True)
    add("fold index load", lambda: WrongLoad(5, PICK, 2, 0, 0), 2, judged=True)
    add("fold withheld", lambda: Silent(Level.FOLD), 2)
    return cases


CASES = _cases()


@cache
def honest(config: ToyConfig = SMALL) -> ToyExecution:
    """The honest run, computed once: executions hold nothing but caches."""
    return ToyExecution(config)
