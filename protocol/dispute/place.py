"""The place where two runs differ, in the words of the model: for people and for JSON.

`dispute show`, the demo's report and `train diff` all tell a place with these functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocol.dispute import ulp
from protocol.dispute.fault import Fault
from protocol.dispute.state import ARITHMETIC
from protocol.kernels.reference.evaluator import unravel
from protocol.program.isa import DType
from protocol.program.manifest import Manifest
from protocol.program.node import Node, OperandKind, Program

LEVELS: Final = (
    ("log", "segment", "segment {segment}"),
    ("segment", "step", "step {step}"),
    ("trace", "node", "node {node} ({origin})"),
    ("state", "binding", "state tensor {binding} ({tensor})"),
    ("tensor", "element", "element {element}"),
    ("fold", "term", "{term}, {kind}"),
)
"""Level of the game, what it narrows down, and how a reader is told."""


@dataclass(frozen=True)
class Word:
    """A word as a reader wants it: hexadecimal and decimal."""

    hex: str
    decimal: str


@dataclass(frozen=True)
class Place:
    """Where runs differ first. What is not narrowed down is None.

    Attributes:
        segment: from 1.
        step: global, from 0.
        node: number of the node in the program.
        origin: what the node comes from: module, operator and pass.
        shape: of the node's output, or of the state tensor.
        dtype: of the node's output, or of the state tensor: ``f32``, ``i32`` or ``u8``.
        binding: number of the state tensor, if the step's nodes agree and the state does not.
        tensor: its name.
        element: coordinates in the output or state tensor.
        term: of the element's fold.
        kind: what is wrong with the term: ``arithmetic``, or a load and what it reads.
        words: the two words; of the stored element unless ``term`` is known.
        ulp: floats from one word to the other; None if they are not both numbers of type f32.
        apart: the same for a reader, of any type.
    """

    segment: int
    step: int | None = None
    node: int | None = None
    origin: str | None = None
    shape: list[int] | None = None
    dtype: str | None = None
    binding: int | None = None
    tensor: str | None = None
    element: list[int] | None = None
    term: str | None = None
    kind: str | None = None
    words: tuple[Word, Word] | None = None
    ulp: int | None = None
    apart: str | None = None


def place_of(fault: Fault, manifest: Manifest, program: Program) -> Place:
    """A fault in the words of its task's model; ``words`` are ``expected`` and ``got``."""
    found: dict[str, Any] = {"segment": fault.segment, "step": fault.step}
    spec: Node | None = None
    if fault.node is not None:
        spec = program.nodes[fault.node]
        found |= {"node": fault.node, "origin": manifest.origins[fault.node]}
        found |= {"shape": list(spec.shape), "dtype": spec.dtype.label}
    elif fault.binding is not None:
        tensor = manifest.state[fault.binding]
        found |= {"binding": fault.binding, "tensor": tensor.name}
        found |= {"shape": list(tensor.shape), "dtype": tensor.dtype.label}
    if fault.element is not None:
        found["element"] = unravel(fault.element, found["shape"])
    if fault.term is not None and fault.kind is not None and spec is not None:
        found |= {
            "term": term_text(fault.term, spec),
            "kind": kind_text(fault.kind, spec, manifest),
        }
    if fault.expected is not None and fault.got is not None and fault.dtype is not None:
        is_f32 = fault.dtype is DType.F32
        found["words"] = (word_of(fault.expected, fault.dtype), word_of(fault.got, fault.dtype))
        # Different words that are no ulp apart are two NaNs.
        found["ulp"] = (ulp.distance(fault.expected, fault.got) or None) if is_f32 else None
        found["apart"] = ulp.how_far(fault.expected, fault.got, fault.dtype)
    return Place(**found)


def word_of(word: int, dtype: DType) -> Word:
    """A word, read as its type says."""
    return Word(ulp.hexadecimal(word, dtype), ulp.value_of(word, dtype))


def term_text(term: int, node: Node) -> str:
    """Coordinates of a term of the node's folds."""
    at = unravel(term, node.domain)
    return f"term {at}" if at else "its only term"


def kind_text(kind: int, node: Node, manifest: Manifest) -> str:
    """What is wrong with a term: ``arithmetic``, or the load and the tensor that it reads."""
    if kind == ARITHMETIC:
        return "arithmetic"
    operand = node.operands[node.loads[kind].operand]
    if operand.kind is OperandKind.NODE:
        source = f"node {operand.index} ({manifest.origins[operand.index]})"
    elif operand.kind is OperandKind.STATE:
        source = f"state tensor {manifest.state[operand.index].name}"
    else:
        source = f"data tensor {manifest.data[operand.index].name}"
    return f"load {kind} from {source}"


def where(place: Mapping[str, Any]) -> str:
    """The place in one line, from the segment down to the term."""
    return ", ".join(
        text.format(**place)
        for _, key, text in LEVELS
        if place.get(key) is not None and not (key == "node" and place.get("binding") is not None)
    )


def whose(first: str, second: str, words: tuple[Word, Word], apart: str | None = None) -> str:
    """Whose word is which, and how far they are apart."""
    told = (f"{name} {w.hex} ({w.decimal})" for name, w in zip((first, second), words, strict=True))
    return ", ".join((*told, *([apart] if apart else [])))
