"""What a task takes: of a machine, of the people around it, and of a dispute. No I/O.

All of it follows from shapes and descriptors; nothing of the task is executed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from protocol.agents.appraisal import Rate, needs
from protocol.agents.dispute_gas import dispute_gas
from protocol.agents.requester import Offer, terms_of
from protocol.chain.presets import PRESETS
from protocol.chain.quote import Quote, TermsError, compute_quote
from protocol.chain.stake import NoDetectionError
from protocol.program.cost import CHUNK_BYTES, TreeSizes, judgement_gas
from protocol.program.estimate import estimate_step
from protocol.program.validate import Limits
from protocol.training.task import Task

FREE: Final = Offer(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
"""An offer of nothing, to ask what times a task needs."""


@dataclass(frozen=True)
class Figures:
    """Figures of one task; bytes and seconds, gas in units of gas.

    Attributes:
        nodes: of the program.
        state_bytes: of all state tensors, once.
        data_bytes: of all data tensors.
        trace_bytes: of all node outputs of one step.
        peak_bytes: memory of one step: live outputs, state before and after, data.
        work: scalar instructions of one step, two loads counted as one.
        float_work: those of them that subnormal numbers can slow down.
        step_seconds: of one step on a slow machine, all threads, on ordinary numbers.
        worst_step_seconds: the same if all numbers are subnormal.
        wanted_seconds: what to allow at least, by the offer's names, with the solvers' margin.
        worst_gas: most gas that a judgement of any node can take.
        gas_cap: above which a node is refused.
        worst_node: the node that it is.
        worst_origin: where that node comes from.
        dispute_gas: of both sides, if they serve each other; the judgement is the dearest.
        longest_dispute_gas: the same if they do not, and every level is bisected.
    """

    nodes: int
    state_bytes: int
    data_bytes: int
    trace_bytes: int
    peak_bytes: int
    work: int
    float_work: int
    step_seconds: float
    worst_step_seconds: float
    wanted_seconds: dict[str, int]
    worst_gas: int
    gas_cap: int
    worst_node: int
    worst_origin: str
    dispute_gas: int
    longest_dispute_gas: int

    @staticmethod
    def of(task: Task) -> Figures:
        """The figures of a validated task."""
        manifest, program, rate = task.manifest, task.program, Rate()
        step = estimate_step(program, manifest.data)
        sizes = TreeSizes.of(program, manifest.data)
        gas = [judgement_gas(node, sizes) for node in program.nodes]
        worst = max(range(len(gas)), key=gas.__getitem__)
        terms = terms_of(task, FREE)
        dispute = dispute_gas(
            checkpoints=manifest.segments + 1,
            steps=min(manifest.interval, manifest.steps),
            nodes=max(len(program.nodes), len(program.bindings)),
            chunks=max(-(-node.nbytes // CHUNK_BYTES) for node in program.nodes),
            terms=max(node.terms for node in program.nodes),
            judgement=gas[worst],
        )
        return Figures(
            nodes=len(program.nodes),
            state_bytes=sum(spec.nbytes for spec in manifest.state),
            data_bytes=sum(spec.nbytes for spec in manifest.data),
            **asdict(step),
            step_seconds=rate.step_seconds(program),
            worst_step_seconds=rate.worst_step_seconds(program),
            wanted_seconds={
                need.term: math.ceil(need.wanted)
                for need in needs(program, manifest.state, terms, rate)
            },
            worst_gas=gas[worst],
            gas_cap=Limits().judgement_gas,
            worst_node=worst,
            worst_origin=manifest.origins[worst],
            dispute_gas=dispute.served,
            longest_dispute_gas=dispute.longest,
        )


def quotes(segments: int, money: dict[str, int]) -> Iterator[tuple[str, Quote | str]]:
    """What each preset asks of everybody, or why it refuses.

    Args:
        segments: of the task.
        money: arguments of `compute_quote`, the same for all presets.
    """
    for preset in PRESETS.values():
        quote: Quote | str
        try:
            quote = compute_quote(preset.market, segments=segments, **money)
        except (NoDetectionError, TermsError) as error:
            quote = str(error)
        yield preset.name, quote
