"""What a misbehaving requester publishes: each changes one thing of a good task."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from protocol.agents.bundle import publish_tensors
from protocol.agents.requester import Offer, terms_of
from protocol.chain.market import Terms
from protocol.merkle import root_of_leaves
from protocol.program.builder import FoldBuilder
from protocol.program.canonical import encode_program
from protocol.program.isa import DType, Op, Type
from protocol.program.manifest import Manifest
from protocol.program.node import (
    Axis,
    Constant,
    Instruction,
    Load,
    Node,
    Operand,
    OperandKind,
    Program,
    TensorSpec,
    Term,
)
from protocol.storage import ContentStore
from protocol.storage.objects import TENSOR
from protocol.training import Task
from protocol.training.task import data_root
from protocol.training.tensors import Tensor, roots_of


@dataclass(frozen=True)
class Bad:
    """A bad task: how it is published, and what the refusal says."""

    publish: Callable[[ContentStore, Task, Offer], Terms]
    reason: str
    returns: bool = False  # whether a later try may succeed


def rebuilt(task: Task, **parts) -> Task:
    """The task with other parts and the roots that belong to them, unchecked."""
    changed = replace(task, **parts)
    manifest = replace(
        task.manifest,
        program_root=root_of_leaves(encode_program(changed.program)),
        data_root=data_root(roots_of(changed.data)),
        initial_state_root=root_of_leaves(roots_of(changed.state)),
        origins=tuple(f"node {index}" for index in range(len(changed.program.nodes))),
    )
    return replace(changed, manifest=manifest)


def publish(store: ContentStore, task: Task, manifest: Manifest | None = None) -> None:
    """Put it into the store as it is."""
    store.put((manifest or task.manifest).to_bytes())
    store.put_leaves(encode_program(task.program))
    publish_tensors(store, roots_of(task.state), task.state)
    publish_tensors(store, roots_of(task.data), task.data)


def with_node(task: Task, index: int, node: Node) -> Task:
    """The task with another node."""
    nodes = list(task.program.nodes)
    nodes[index] = node
    return rebuilt(task, program=Program(tuple(nodes), task.program.bindings))


def too_dear(task: Task) -> Task:
    """The step counter divides so often, and looks so long for itself, that no judge can follow."""
    counter = task.program.nodes[7]
    axes = tuple(Axis(1, 0, (Term(0),)) for _ in range(8))
    loads = tuple(Load(0, axes, fill=fill) for fill in range(8))
    one, ratio, first = 1 + len(loads), 2 + len(loads), 4 + len(loads)
    # Values: acc, loads, two constants, one coordinate, then the results of instructions.
    chain = [Instruction(Op.IADD, 1, one)]
    chain += [Instruction(Op.IADD, first + i, 2 + i) for i in range(len(loads) - 1)]
    chain += [Instruction(Op.I2F, first + len(chain) - 1)]
    chain += [Instruction(Op.DIV, first + i, ratio) for i in range(len(chain) - 1, 126)]
    chain += [Instruction(Op.F2I, first + len(chain) - 1)]
    dear = replace(
        counter,
        domain=(1,),
        loads=loads,
        constants=(Constant(Type.I, 1), Constant(Type.F, 0x3F800001)),
        instructions=tuple(chain),
        result=first + len(chain) - 1,
    )
    return with_node(task, 7, dear)


def dead_node(task: Task) -> Task:
    """A node that nothing reads."""
    nodes = (*task.program.nodes, task.program.nodes[7])
    return rebuilt(task, program=Program(nodes, task.program.bindings))


def payload_nan(task: Task) -> Task:
    """A NaN in the data that kernels would copy and the judge would not."""
    inputs = task.data[0].copy()
    inputs.reshape(-1).view("<u4")[7] = 0x7FC00001
    return rebuilt(task, data=(inputs, *task.data[1:]))


def _good(store: ContentStore, task: Task, offer: Offer) -> Terms:
    publish(store, task)
    return terms_of(task, offer)


def _changed(change: Callable[[Task], Task]) -> Callable[[ContentStore, Task, Offer], Terms]:
    return lambda store, task, offer: _good(store, change(task), offer)


def _stated(**fields) -> Callable[[ContentStore, Task, Offer], Terms]:
    """Terms that differ from the manifest."""
    return lambda store, task, offer: replace(_good(store, task, offer), **fields)


def _manifest(**fields) -> Callable[[ContentStore, Task, Offer], Terms]:
    """A manifest that its files contradict, and terms that agree with it."""

    def build(store: ContentStore, task: Task, offer: Offer) -> Terms:
        manifest = replace(task.manifest, **fields)
        publish(store, task, manifest)
        return terms_of(replace(task, manifest=manifest), offer)

    return build


def _not_json(store: ContentStore, task: Task, offer: Offer) -> Terms:
    return replace(_good(store, task, offer), manifest_root=store.put(b"import os"))


def _raw_manifest(text: bytes) -> Callable[[ContentStore, Task, Offer], Terms]:
    return lambda store, task, offer: replace(
        _good(store, task, offer), manifest_root=store.put(text)
    )


def _leaves(change: Callable[[list[bytes]], list[bytes]]) -> Callable[..., Terms]:
    """A program of other leaves, under the root that is theirs."""

    def build(store: ContentStore, task: Task, offer: Offer) -> Terms:
        root = store.put_leaves(change(encode_program(task.program)))
        return _manifest(program_root=root)(store, task, offer)

    return build


def _needs_later(task: Task) -> Task:
    """The first node reads the last one: a cycle."""
    nodes = list(task.program.nodes)
    later = replace(nodes[0].operands[0], kind=OperandKind.NODE, index=len(nodes) - 1)
    nodes[0] = replace(nodes[0], operands=(later, *nodes[0].operands[1:]))
    return rebuilt(task, program=Program(tuple(nodes), task.program.bindings))


def _needs_itself(task: Task) -> Task:
    """A sum reads its own output."""
    node = task.program.nodes[2]
    own = replace(node.operands[0], index=2)
    return with_node(task, 2, replace(node, operands=(own, *node.operands[1:])))


def _huge_node(task: Task) -> Task:
    """An output of 2^31 - 1 elements from those of a small tensor."""
    return with_node(task, 0, replace(task.program.nodes[0], shape=((1 << 31) - 1,)))


def _fills_a_terabyte(task: Task) -> Task:
    """A hundred outputs of 8 GiB each, that later nodes look into; each of them is valid."""
    *nodes, counter = task.program.nodes
    large = FoldBuilder(DType.I32, ((1 << 31) - 1,))
    zeros = large.finish(large.i32(0))
    first, groups, each = len(nodes), 8, 15
    nodes += [zeros] * (groups * each)
    sums = len(nodes)

    def total(sources: Iterable[int], shape: tuple[int, ...], start: Operand | None) -> Node:
        b = FoldBuilder(DType.I32, ())
        value = b.i32(1) if start is None else b.iadd(b.load(start), b.i32(1))
        for source in sources:
            operand = Operand(OperandKind.NODE, source, DType.I32, shape)
            value = b.iadd(value, b.load(operand))
        return b.finish(value)

    for group in range(groups):
        begin = first + group * each
        nodes.append(total(range(begin, begin + each), zeros.shape, None))
    nodes.append(total(range(sums, sums + groups), (), counter.operands[0]))
    bindings = tuple(
        replace(binding, index=len(nodes) - 1)
        if (binding.kind, binding.index) == (OperandKind.NODE, first)
        else binding
        for binding in task.program.bindings
    )
    return rebuilt(task, program=Program(tuple(nodes), bindings))


def _files_gone(store: ContentStore, task: Task, offer: Offer) -> Terms:
    other = rebuilt(task, state=(task.state[0] + 1, *task.state[1:]))
    store.put(other.manifest.to_bytes())
    return terms_of(other, offer)


def _tensor_on_disk(what: int, change: Callable[[bytes], bytes]) -> Callable[..., Terms]:
    """A tensor of the initial state is not what its root names; ``what`` makes it another one."""

    def build(store: ContentStore, task: Task, offer: Offer) -> Terms:
        other = rebuilt(task, state=(_other_last(task.state[0], what), *task.state[1:]))
        terms = _good(store, other, offer)
        store.write(TENSOR, other.state_leaves[0], change(other.state[0].tobytes()))
        return terms

    return build


def _other_last(tensor: Tensor, added: int) -> Tensor:
    """A tensor that no other task has stored."""
    changed = tensor.copy()
    changed.reshape(-1)[-1] += added
    return changed


def _spec_named(name: str) -> Callable[[ContentStore, Task, Offer], Terms]:
    def build(store: ContentStore, task: Task, offer: Offer) -> Terms:
        first, *others = task.manifest.state
        return _manifest(state=(replace(first, name=name), *others))(store, task, offer)

    return build


def _zip_bomb() -> bytes:
    """An archive of 16 MiB of zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../manifest.json", bytes(1 << 24))
    return out.getvalue()


def _oversized(store: ContentStore, task: Task, offer: Offer) -> Terms:
    """State tensors of 8 GiB each, as far as the manifest goes."""
    huge = tuple(
        TensorSpec(spec.name, spec.dtype, ((1 << 31) - 1,)) for spec in task.manifest.data * 4
    )
    named = tuple(replace(spec, name=f"{spec.name}{i}") for i, spec in enumerate(huge))
    return _manifest(data=named)(store, task, offer)


def _seconds(**fields) -> Callable[[ContentStore, Task, Offer], Terms]:
    def build(store: ContentStore, task: Task, offer: Offer) -> Terms:
        long = replace(task, manifest=replace(task.manifest, steps=10**7, interval=10**6))
        publish(store, long)
        return terms_of(long, replace(offer, **{"segments_per_verifier": 1, **fields}))

    return build


ROOT = bytes([9]) * 32

BAD: dict[str, Bad] = {
    "program root of another task": Bad(_stated(program_root=ROOT), "program root is 0x0909"),
    "data root of another task": Bad(_stated(data_root=ROOT), "data root is 0x0909"),
    "initial state of another task": Bad(
        _stated(initial_state_root=ROOT), "initial state root is 0x0909"
    ),
    "fewer steps on chain": Bad(_stated(steps=10), "steps is 10 on chain and 11"),
    "another interval": Bad(_stated(interval=5), "interval is 5 on chain and 4"),
    "another node count": Bad(_stated(node_count=9), "node count is 9 on chain and 8"),
    "another state count": Bad(_stated(state_count=6), "state count is 6 on chain and 5"),
    "another data count": Bad(_stated(data_count=2), "data count is 2 on chain and 3"),
    "manifest that is no manifest": Bad(_not_json, "not JSON"),
    "manifest of brackets": Bad(_raw_manifest(b"[" * 1_000_000), "nested deeper than 64"),
    "manifest of quotes without end": Bad(
        _raw_manifest(b"[" * 60 + b"[],{}" * 60 + b'"' + b'\\"' * 1_000_000), "not JSON"
    ),
    "manifest in UTF-16": Bad(
        _raw_manifest(("[" * 100_000 + "]" * 100_000).encode("utf-16")), "zero byte"
    ),
    "manifest that is a gzip bomb": Bad(_raw_manifest(gzip.compress(bytes(1 << 24))), "not JSON"),
    "manifest that is a zip bomb": Bad(_raw_manifest(_zip_bomb()), "not JSON"),
    "manifest of a number without end": Bad(
        _raw_manifest(b'{"version":' + b"9" * 1_000_000 + b"}"), "more than 4300 digits"
    ),
    "task whose name is a path": Bad(
        _manifest(name="../../.ssh/authorized_keys"), "no part of it between slashes"
    ),
    "tensor whose name is a path": Bad(
        _spec_named("../../etc/passwd"), "no part of it between slashes"
    ),
    "tensor that is cut off": Bad(
        _tensor_on_disk(2, lambda stored: stored[:-1]), "not to be had", returns=True
    ),
    "tensor that is longer than its shape": Bad(
        _tensor_on_disk(3, lambda stored: stored + bytes(1 << 24)), "not to be had", returns=True
    ),
    "tensor of other bytes": Bad(
        _tensor_on_disk(4, lambda stored: bytes(len(stored))), "not to be had", returns=True
    ),
    "manifest that is a pickle": Bad(_raw_manifest(b"cposix\nsystem\n(S'id'\ntR."), "not JSON"),
    "program of leaves without bytes": Bad(
        _leaves(lambda leaves: [b""] * len(leaves)), "bytes end at 0"
    ),
    "program of far too many leaves": Bad(
        _leaves(lambda _leaves: [b""] * 100_000), "not to be had", returns=True
    ),
    "program of a leaf that is too long": Bad(
        _leaves(lambda leaves: [bytes(5000), *leaves[1:]]), "cap is 4096"
    ),
    "program whose first node needs the last": Bad(_changed(_needs_later), "topological order"),
    "node that needs itself": Bad(_changed(_needs_itself), "topological order"),
    "output of huge shape": Bad(_changed(_huge_node), r"rule: "),
    "outputs of a terabyte": Bad(_changed(_fills_a_terabyte), "[rule: trace bytes]"),
    "manifest that nobody has": Bad(_stated(manifest_root=ROOT), "not to be had", returns=True),
    "files that nobody has": Bad(_files_gone, "not to be had", returns=True),
    "data larger than anybody fetches": Bad(_oversized, "state and data have"),
    "judgement above the gas cap": Bad(_changed(too_dear), "judgement gas"),
    "dead node": Bad(_changed(dead_node), "dead"),
    "payload NaN in the data": Bad(_changed(payload_nan), "0x7fc00001"),
    "too little time for the run": Bad(
        _seconds(run_seconds=60, segment_seconds=10**6, trace_seconds=10**6), "to run the task"
    ),
    "too little time for a segment": Bad(
        _seconds(run_seconds=10**6, trace_seconds=10**6), "to run one segment again"
    ),
    "too little time for a trace": Bad(
        _seconds(run_seconds=10**6, segment_seconds=10**6), "to trace one step"
    ),
}

__all__ = ["BAD", "Bad", "payload_nan", "publish", "rebuilt"]
