"""Where a dispute stands or ended, in the words of the model as far as its files are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from protocol.dispute.place import Word, kind_text, term_text, word_of
from protocol.dispute.state import ARITHMETIC, DisputeState
from protocol.dispute.ulp import distance
from protocol.kernels.reference.evaluator import unravel
from protocol.program.isa import DType

if TYPE_CHECKING:
    from protocol.agents.watch.reader import DisputeRecord, Reader
    from protocol.chain.market import Terms
    from protocol.dispute.state import Position
    from protocol.program.manifest import Manifest
    from protocol.program.node import Program
    from protocol.storage import Store

UNNAMED: Final = "name not known"


@dataclass(frozen=True)
class Model:
    """What names and shapes of a task come from."""

    manifest: Manifest
    program: Program


@dataclass(frozen=True)
class Place:
    """Where a dispute ended. What it did not narrow down is None."""

    decided_by: str
    segment: int | None = None
    step: int | None = None
    node: int | None = None
    origin: str | None = None
    binding: int | None = None
    tensor: str | None = None
    element: list[int] | None = None
    term: str | None = None
    kind: str | None = None
    solver_word: Word | None = None
    chain_word: Word | None = None
    ulp: int | None = None


def fetch_model(store: Store, terms: Terms) -> Model:
    """A task's names and program, without its tensors.

    Raises:
        ContentMissing, ContentWrong: the store does not serve them.
        ManifestError, MalformedBytes: they are not valid: only the requester can have put them.
    """
    from protocol.program.canonical import decode_program
    from protocol.program.manifest import MAX_MANIFEST_BYTES, Manifest

    manifest = Manifest.from_bytes(store.get(terms.manifest_root, MAX_MANIFEST_BYTES))
    leaves = store.get_leaves(terms.program_root)
    return Model(manifest, decode_program(leaves, terms.node_count))


def find_place(reader: Reader, model: Model | None, record: DisputeRecord) -> Place:
    """Where the dispute stands or ended. Without a model: by numbers instead of names."""
    position = reader.position(record.dispute_id)
    pointed = _pointed(position, model, record.seen)
    if record.judged:
        dtype = reader.shape(record.dispute_id).dtype
        return Place(**pointed, **_judged(record.judged, model, position.node, dtype))
    if record.closed in (DisputeState.CHALLENGER_WON, DisputeState.SOLVER_WON):
        return Place(decided_by=f"the clock, in {record.last_state.name}", **pointed)
    if record.closed is DisputeState.REFUNDED:
        return Place(decided_by="nothing: the claim had fallen", **pointed)
    return Place(decided_by="nothing yet", **pointed)


def _pointed(position: Position, model: Model | None, seen: frozenset[str]) -> dict[str, Any]:
    pointed: dict[str, Any] = {"segment": position.segment or None}
    if seen & {"StepPointed", "TracePosted"} or position.trace_root != bytes(32):
        pointed["step"] = position.step
    if "BindingPointed" in seen:
        pointed["binding"] = position.binding
        pointed["tensor"] = UNNAMED
        if model is not None:
            pointed["tensor"] = model.manifest.state[position.binding].name
    if seen & {"NodePointed", "ElementPointed"}:
        pointed["node"] = position.node
        pointed["origin"] = UNNAMED if model is None else model.manifest.origins[position.node]
        if "ElementPointed" in seen:
            pointed["element"] = _element(position, model)
        if "TermPointed" in seen:
            pointed |= _term(position, model)
    return pointed


def _element(position: Position, model: Model | None) -> list[int]:
    if model is None:
        return [position.element]  # row-major: the shape is not known
    return unravel(position.element, model.program.nodes[position.node].shape)


def _term(position: Position, model: Model | None) -> dict[str, str]:
    if model is None:
        arithmetic = position.kind == ARITHMETIC
        kind = "arithmetic" if arithmetic else f"load {position.kind}"
        return {"term": f"term {position.term}", "kind": kind}
    node = model.program.nodes[position.node]
    return {
        "term": term_text(position.term, node),
        "kind": kind_text(position.kind, node, model.manifest),
    }


def _judged(
    judged: dict[str, Any], model: Model | None, index: int, dtype_code: int
) -> dict[str, Any]:
    """The solver's word and the chain's."""
    if judged["judged"] == "BindingJudged":
        return {
            "decided_by": "opening both sides of the binding",
            "solver_word": Word(f"0x{judged['postLeaf'].hex()}", "tensor root"),
            "chain_word": Word(f"0x{judged['sourceLeaf'].hex()}", "tensor root"),
        }
    dtype: DType | None = DType(dtype_code)
    if judged["judged"] == "ArithmeticJudged":
        chain = judged["computed"]
        how = "executing one term on chain"
    else:
        chain = judged["stored"]
        dtype = None
        if model is not None:
            node = model.program.nodes[index]
            dtype = node.operands[node.loads[judged["load"]].operand].dtype
        how = "opening one loaded element on chain"
    claimed = judged["claimed"]
    return {
        "decided_by": how,
        "solver_word": _word(claimed, dtype),
        "chain_word": _word(chain, dtype),
        "ulp": distance(claimed, chain) if dtype is DType.F32 else None,
    }


def _word(word: int, dtype: DType | None) -> Word:
    return Word(f"0x{word:08x}", "of unknown type") if dtype is None else word_of(word, dtype)
