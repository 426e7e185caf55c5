"""Claims in bulk, by a solver that never trained: their logs are made up and served by nobody."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from protocol.merkle import MerkleTree
from protocol.training.task import Task
from scripts.load.crowd import OFFER, Crowd

PRICE = 10**18


def submit_claims(crowd: Crowd, task: Task, tasks: Sequence[bytes]) -> None:
    """Bid on tasks, win them, and submit; blocks and time pass as the market wants them."""
    market = crowd.deployment.market
    solver, to = crowd.people["solver"].account, str(market.address)
    reader = crowd.people["solver"].reader()
    commitments = [reader.bid_commitment(t, 0, solver, PRICE, _salt(t)) for t in tasks]
    commits = zip(tasks, commitments, strict=True)
    crowd.bulk("solver", to, [market.encode_abi("commitBid", list(pair)) for pair in commits])
    crowd.mine(OFFER.bid_seconds)
    reveals = [market.encode_abi("revealBid", [t, PRICE, _salt(t)]) for t in tasks]
    crowd.bulk("solver", to, reveals)
    crowd.mine(OFFER.reveal_seconds)
    crowd.bulk("solver", to, [market.encode_abi("assign", [t]) for t in tasks])
    crowd.bulk("solver", to, [market.encode_abi("submit", _submission(task, t)) for t in tasks])


def _salt(task_id: bytes) -> bytes:
    return hashlib.sha256(b"salt" + task_id).digest()


def _submission(task: Task, task_id: bytes) -> list[object]:
    made_up = [hashlib.sha256(bytes([m]) + task_id).digest() for m in range(task.manifest.segments)]
    leaves = [task.manifest.initial_state_root, *made_up]
    tree = MerkleTree(leaves)
    last = len(leaves) - 1
    return [task_id, tree.root, leaves[-1], [], tree.inclusion_proof(0), tree.inclusion_proof(last)]
