"""A claim about one step of a program of any size, one move before its judgements.

Everything on chain is real: market, claims, vault, judge, dispute. The trees are sparse, so that a
program of 65,536 nodes with folds of 2^24 terms takes no time. The solver's words are made up, so
that a case ends as one wants. Its end is the dearest of its kind: whoever is paid holds no credit,
nothing was burned in this market before, and a drawn verifier has precedence over the opener.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocol.chain.deployment import Deployment, deploy_all
from protocol.chain.embedded import EmbeddedChain
from protocol.chain.market import Terms
from protocol.chain.presets import MINIMAL
from protocol.dispute.state import ARITHMETIC, commitment_of
from protocol.kernels.reference import evaluator
from protocol.merkle import CHUNK_BYTES, MerkleTree
from protocol.merkle.hashing import leaf_hash
from protocol.merkle.tensor import chunk_count, chunk_length
from protocol.program.canonical import encode_node
from protocol.program.cost import TreeSizes
from protocol.program.isa import DType
from protocol.program.node import Node, OperandKind, numel
from tests.sparse_tree import SparseTree

TOKEN = 10**18
ACCUMULATOR = 0x3F9E0652
"""What the solver claims of every accumulator but the judged one, and of every stored word."""

Tensor = tuple[OperandKind, int]


@dataclass(frozen=True)
class Case:
    """What is judged: one term of one element of node `index`, by `kind`.

    Attributes:
        kind: ARITHMETIC or the number of a load.
        words: The words of the term's loads, as the solver claims them.
        accumulator: What it claims of the accumulator after the term, and of the last one.
    """

    index: int
    node: Node
    element: int
    term: int
    kind: int
    words: tuple[int, ...]
    accumulator: int = ACCUMULATOR

    def leaf(self, term: int) -> bytes:
        """A leaf of the element's fold."""
        judged = term in (self.term, self.node.terms - 1)
        words = (self.accumulator if judged else ACCUMULATOR, *self.words)
        return b"".join(word.to_bytes(4, "big") for word in words)

    @property
    def acquitted(self) -> Case:
        """The same with the claim that is true."""
        if self.kind == ARITHMETIC:
            before = ACCUMULATOR if self.term else self.node.init
            after = evaluator.fold_term(self.node, self.element, self.term, before, self.words)
            return replace(self, accumulator=after)
        load = self.node.loads[self.kind]
        word = load.fill
        if self.source is not None:
            is_byte = self.node.operands[load.operand].dtype is DType.U8
            word = ACCUMULATOR & 0xFF if is_byte else ACCUMULATOR
        words = (*self.words[: self.kind], word, *self.words[self.kind + 1 :])
        return replace(self, words=words)

    @property
    def is_skipped(self) -> bool:
        """Whether the term leaves the accumulator as it is, so that no instruction runs."""
        output = evaluator.unravel(self.element, self.node.shape)
        where = output + evaluator.unravel(self.term, self.node.domain)
        return any(
            self.words[guard.load] != output[guard.coordinate] for guard in self.node.guards
        ) or any(
            load.skip and evaluator.locate(load, where, self.words) is None
            for load in self.node.loads
        )

    @property
    def source(self) -> tuple[Tensor, int] | None:
        """The tensor and the element that the judged load reads; None if out of bounds."""
        if self.kind == ARITHMETIC:
            return None
        where = evaluator.unravel(self.element, self.node.shape)
        where += evaluator.unravel(self.term, self.node.domain)
        load = self.node.loads[self.kind]
        address = evaluator.locate(load, where, self.words)
        if address is None:
            return None
        operand = self.node.operands[load.operand]
        return (operand.kind, operand.index), address


class JudgedClaim:
    """A dispute in which the opener may point at any of the cases' nodes.

    Args:
        chain: Gets a market of its own.
        sizes: Numbers of nodes, state tensors and data tensors of the program.
        cases: All that `gas` may be asked for.
    """

    def __init__(
        self, chain: EmbeddedChain, sizes: TreeSizes, cases: Sequence[Case], seed: int = 0
    ) -> None:
        self._chain = chain
        self._rng = random.Random(seed)
        self._requester, self._solver, self._opener, self._verifier = chain.accounts[1:5]
        self._tensors = self._plant_tensors(cases)
        self._trace = self._tree(sizes.nodes, OperandKind.NODE)
        self._state = self._tree(sizes.state, OperandKind.STATE)
        self._data = self._tree(sizes.data, OperandKind.DATA)
        nodes = {case.index: encode_node(case.node) for case in cases}
        self._program = SparseTree(sizes.nodes + sizes.state, nodes, self._rng)
        self._result = self._rng.randbytes(32)
        self._log = MerkleTree([self._state.root, self._result])
        self.deployment: Deployment = deploy_all(chain, MINIMAL)
        self._dispute = self.deployment.dispute.functions
        self._id = self._descend(self._claim(sizes))
        self._branch = chain.snapshot()

    def gas(self, case: Case) -> int:
        """Gas of the judgement, the whole transaction; the dispute is then as before."""
        self._chain.revert(self._branch)
        node, proof = encode_node(case.node), self._program.proof(case.index)
        self._move("pointElement", self._opener, case.index, case.element, node, proof)
        fold = self._fold(case)
        self._post_fold(case, fold)
        self._move("pointTerm", self._opener, case.term, case.kind)
        opening = (node, fold.leaf(case.term), fold.proof(case.term))
        if case.kind != ARITHMETIC:
            return self._move("judgeLoad", self._solver, *opening, *self._source(case))
        before = case.term - 1
        previous = (fold.leaf(before), fold.proof(before)) if case.term else (b"", [])
        return self._move("judgeArithmetic", self._solver, *opening, *previous)

    # ------------------------------------------------------------------ trees

    def _plant_tensors(self, cases: Sequence[Case]) -> dict[Tensor, SparseTree]:
        """The tensors that are opened, each with the chunks that are."""
        described: dict[Tensor, tuple[int, DType]] = {}
        chunks: dict[Tensor, dict[int, bytearray]] = defaultdict(dict)

        def open_at(
            tensor: Tensor, shape: tuple[int, ...], dtype: DType, element: int
        ) -> memoryview:
            described[tensor] = (numel(shape), dtype)
            chunk, start = divmod(element * dtype.width, CHUNK_BYTES)
            length = chunk_length(numel(shape), dtype.width, chunk)
            word = _stored(ACCUMULATOR, dtype)
            chunks[tensor].setdefault(chunk, bytearray(word * (length // dtype.width)))
            return memoryview(chunks[tensor][chunk])[start : start + dtype.width]

        for case in cases:
            node = case.node
            output = open_at((OperandKind.NODE, case.index), node.shape, node.dtype, case.element)
            output[:] = _stored(case.accumulator, node.dtype)
            if case.source is not None:
                tensor, address = case.source
                operand = node.operands[node.loads[case.kind].operand]
                open_at(tensor, operand.shape, operand.dtype, address)
        return {
            tensor: SparseTree(
                chunk_count(count, dtype.width),
                {index: bytes(chunk) for index, chunk in chunks[tensor].items()},
                self._rng,
            )
            for tensor, (count, dtype) in described.items()
        }

    def _tree(self, size: int, kind: OperandKind) -> SparseTree:
        roots = {i: tree.root for (of, i), tree in self._tensors.items() if of is kind}
        return SparseTree(size, roots, self._rng)

    def _fold(self, case: Case) -> SparseTree:
        terms = {case.term, max(case.term - 1, 0), case.node.terms - 1}
        return SparseTree(case.node.terms, {r: case.leaf(r) for r in terms}, self._rng)

    def _post_fold(self, case: Case, fold: SparseTree) -> None:
        tensor = self._tensors[OperandKind.NODE, case.index]
        chunk = case.element * case.node.dtype.width // CHUNK_BYTES
        last = case.node.terms - 1
        self._move(
            "postFold",
            self._solver,
            fold.root,
            tensor.root,
            self._trace.proof(case.index),
            tensor.leaf(chunk),
            tensor.proof(chunk),
            fold.leaf(last),
            fold.proof(last),
            b"",
        )

    def _source(self, case: Case) -> tuple[Any, ...]:
        """The last four arguments of `judgeLoad`."""
        if case.source is None:
            return bytes(32), [], b"", []
        (kind, index), address = case.source
        trees = {
            OperandKind.NODE: self._trace,
            OperandKind.STATE: self._state,
            OperandKind.DATA: self._data,
        }
        tensor = self._tensors[kind, index]
        width = case.node.operands[case.node.loads[case.kind].operand].dtype.width
        chunk = address * width // CHUNK_BYTES
        return tensor.root, trees[kind].proof(index), tensor.leaf(chunk), tensor.proof(chunk)

    # ------------------------------------------------------------------ the way to the branch

    def _claim(self, sizes: TreeSizes) -> bytes:
        """Post a task, win and submit it; a verifier is drawn."""
        market = self.deployment.market.functions
        for account in (self._requester, self._solver, self._opener, self._verifier):
            self.deployment.fund(account, 100_000 * TOKEN)
        self._send(self.deployment.registry.functions.stake(1_000 * TOKEN), self._verifier)
        terms = self._terms(sizes)
        receipt = self._send(market.post(terms.to_tuple(), ""), self._requester)
        task = self._event("market", receipt, "TaskPosted")["taskId"]
        bid = self._chain.call(market.bidCommitment(task, 0, self._solver, TOKEN, bytes(32)))
        self._send(market.commitBid(task, bid), self._solver)
        self._chain.advance(terms.bid_seconds)
        self._send(market.revealBid(task, TOKEN, bytes(32)), self._solver)
        self._chain.advance(terms.reveal_seconds)
        self._send(market.assign(task), self._solver)
        proofs = ([], self._log.inclusion_proof(0), self._log.inclusion_proof(1))
        submit = market.submit(task, self._log.root, self._result, *proofs)
        claim = self._event("claims", self._send(submit, self._solver), "ClaimSubmitted")["claimId"]
        self._chain.mine(MINIMAL.market.draw_delay_blocks + 1)
        self._send(self.deployment.claims.functions.draw(claim), self._solver)
        return bytes(claim)

    def _terms(self, sizes: TreeSizes) -> Terms:
        return Terms(
            self._program.root,
            self._data.root,
            self._state.root,
            manifest_root=b"\1" * 32,
            steps=1,
            interval=1,
            node_count=sizes.nodes,
            state_count=sizes.state,
            data_count=sizes.data,
            max_reward=1_000 * TOKEN,
            value_at_risk=0,
            verifier_fee=TOKEN,
            verifiers=1,
            segments_per_verifier=1,
            bid_seconds=100,
            reveal_seconds=100,
            run_seconds=1_000,
            window_seconds=2_000,
            segment_seconds=60,
            trace_seconds=30,
        )

    def _descend(self, claim: bytes) -> bytes:
        """Open a dispute and bring it to the branch; its id.

        The drawn verifier has opened before and can still win: the reward goes to an account that
        is not the opener.
        """
        for account in (self._verifier, self._opener):
            self._id = commitment_of(claim, account, 1, bytes(32))
            self._send(self._dispute.commitOpen(claim, self._id), account)
            self._send(self._dispute.open(claim, 1, bytes(32)), account)
        self._withdraw_all()
        one_leaf = leaf_hash(self._result)
        ends = (self._state.root, self._result)
        proofs = (self._log.inclusion_proof(0), self._log.inclusion_proof(1), [])
        self._move("postSegment", self._solver, one_leaf, *ends, *proofs, b"")
        self._move("postTrace", self._solver, self._trace.root, *ends, [], [], b"")
        return self._id

    def _withdraw_all(self) -> None:
        vault = self.deployment.vault.functions
        for account in (self._requester, self._solver, self._opener, self._verifier):
            credit = self._chain.call(vault.credits(account))
            self._send(vault.withdraw(account, credit), account)

    def _move(self, function: str, sender: str, *arguments: Any) -> int:
        expected = self._chain.call(self._dispute.positionHash(self._id))
        call = self._dispute[function](self._id, expected, *arguments)
        return int(self._send(call, sender)["gasUsed"])

    def _send(self, call: Any, sender: str) -> Any:
        return self._chain.send(call, sender)

    def _event(self, role: str, receipt: Any, name: str) -> dict[str, Any]:
        contract = getattr(self.deployment, role)
        decoded = (self.deployment.decode_event(contract, log) for log in receipt["logs"])
        return next(dict(event["args"]) for event in decoded if event and event["event"] == name)


def _stored(word: int, dtype: DType) -> bytes:
    return word.to_bytes(4, "little")[: dtype.width]
