"""A solver's run of a task: what it submits, and what it stands for in disputes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from protocol.agents.pace import Pace
from protocol.agents.served import Publisher
from protocol.chain.market import TaskView
from protocol.dispute.moves import PositionMove, PostFold, PostSegment, PostTrace
from protocol.dispute.proofs import Prover
from protocol.dispute.state import Position, fold_path, segment_path, trace_path
from protocol.merkle import MerkleTree
from protocol.training.checkpoints import CheckpointFolder
from protocol.training.task import Task


@dataclass
class Run:
    """A task that a solver trains or has trained."""

    task: Task
    folder: Path
    prover: Prover
    publisher: Publisher
    checkpoints: CheckpointFolder
    pace: Pace


@dataclass(frozen=True)
class NewRoot:
    """A root that a move commits to, and what puts its leaves where others find them."""

    path: bytes
    root: bytes
    publish: Callable[[], None]


def submission(task_id: bytes, run: Run, view: TaskView) -> tuple[bytes, tuple[Any, ...]]:
    """The log root, and the arguments of ``submit``, of a run that is done."""
    leaves = run.prover.execution.log_leaves()
    tree = MerkleTree(leaves)
    size, old = len(leaves), view.reported_size
    arguments = (
        task_id,
        tree.root,
        leaves[-1],
        tree.consistency_proof(old) if 0 < old < size else [],
        tree.inclusion_proof(0),
        tree.inclusion_proof(size - 1),
    )
    return tree.root, arguments


def new_root(run: Run, position: Position, move: PositionMove) -> NewRoot | None:
    """What a move commits to; None if to nothing new."""
    p, publisher = position, run.publisher
    if isinstance(move, PostSegment):
        publish = partial(publisher.publish_segment, p.segment)
        return NewRoot(segment_path(p.segment), move.segment_root, publish)
    if isinstance(move, PostTrace):
        publish = partial(publisher.publish_trace, p.step)
        return NewRoot(trace_path(p.step), move.trace_root, publish)
    if isinstance(move, PostFold):
        publish = partial(publisher.publish_fold, p.step, p.node, p.element)
        return NewRoot(fold_path(p.step, p.node, p.element), move.fold_root, publish)
    return None
