"""Removes the nodes that only move elements, where their readers can read the source themselves.

A copy is a node without instructions whose one load is never out of bounds: elements of another
tensor in another order. Three passes, none of which changes a value that is kept:

1. A matrix product or an elementwise node that only copies read stores its output in their order
   (attention's q, k and v: by head, as the products read them).
2. The readers of a copy read its source, each through its own view. Where one coordinate of a
   reader walks several dimensions of the source, the coordinate is split: the output is stored as
   before, and a reduction's terms keep their order.
3. A matrix product that only one elementwise node reads stores its output in the order of that.

A copy stays where it pays: where others than matrix products (which pack what they read) would
read a tensor several times, at a longer stride than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocol.capture.writing.coordinates import permute_outputs, split_coordinate, without_ones
from protocol.capture.writing.reading import is_farther, is_inside, read_through
from protocol.capture.writing.rewriting import Rewriting, with_operands
from protocol.capture.writing.values import View, contiguous_strides
from protocol.capture.writing.writer import check_affordable
from protocol.program.builder import BodyTooLarge
from protocol.program.isa import Op
from protocol.program.node import LOADED_WORD, Axis, Load, Node, Operand, OperandKind


def without_copies(nodes: Sequence[Node], roots: set[int]) -> list[Node]:
    """The nodes at the same numbers, rewritten so that ``roots`` need as few as possible.

    ``roots`` are the nodes bound to state tensors: these keep their shapes. What is no longer
    needed stays in the list for the caller to drop.
    """
    rewriting = Rewriting(nodes, roots)
    _store_in_copied_order(rewriting)
    _read_sources(rewriting)
    _store_in_read_order(rewriting)
    rewriting.share()
    return rewriting.nodes


def _store_in_copied_order(program: Rewriting) -> None:
    """What only copies read is stored in the order of the copy that steps least at its end."""
    for index, node in enumerate(program.nodes):
        views = [copied_view(program.nodes[reader]) for reader in program.readers[index]]
        shown = [view for view in views if view is not None]
        if not shown or len(shown) < len(views):
            continue
        view = min(shown, key=_last_stride)
        elementwise = not (node.domain or copied_view(node))
        near = len(node.loads) == 1 or _last_stride(view) == 1  # several would be read at a stride
        if is_product(node) or (elementwise and near):
            _store_as(program, index, view)


def _read_sources(program: Rewriting) -> None:
    """Readers of copies read what was copied, if all readers of the copy may."""
    for index, node in enumerate(program.nodes):
        view = copied_view(node)
        if view is None or index in program.roots:
            continue
        composed: dict[int, Node] = {}
        for reader in program.readers[index]:
            old = program.nodes[reader]
            new = _reading(old, index, view, keeps_shape=reader in program.roots)
            if new is None:
                break
            once = len(program.readers[index]) == 1 and old.numel * old.terms <= node.numel
            if not (once or is_product(old) or copied_view(old) or not is_farther(old, new)):
                break
            composed[reader] = new
        if len(composed) == len(program.readers[index]):
            for reader, new in composed.items():
                program.replace(reader, new)


def _store_in_read_order(program: Rewriting) -> None:
    """Products that one elementwise node reads, by one load, take the order in which it reads."""
    for index, node in enumerate(program.nodes):
        if not is_product(node) or len(program.readers[index]) != 1:
            continue
        reader = program.nodes[next(iter(program.readers[index]))]
        loads = [load for load in reader.loads if _reads(reader.operands[load.operand], index)]
        if reader.domain or len(loads) != 1:
            continue
        order = sorted(loads[0].axes, key=_fastest)
        sizes, strides = (tuple(axis.size for axis in order), tuple(axis.stride for axis in order))
        _store_as(program, index, View(reader.operands[loads[0].operand], sizes, strides))


def _store_as(program: Rewriting, index: int, view: View) -> None:
    """Store the node's output in the order of ``view``, whatever it does not show outermost.

    The readers are told where the elements are now. If one cannot read them so, nothing is done.
    """
    if index in program.roots:
        return
    shown = [(n, s) for n, s in zip(view.shape, view.strides, strict=True) if n > 1]
    node = _cut(without_ones(program.nodes[index]), {c for n, s in shown for c in (s, s * n)})
    if node is None:
        return
    at = contiguous_strides(node.shape)
    inner = [i for n, s in shown for i, own in enumerate(at) if s <= own < s * n]
    order = [*sorted(set(range(len(at))) - set(inner)), *inner]
    moved = permute_outputs(node, order) if len(order) == len(at) else None
    if moved is None or order == sorted(order) or not _is_affordable(moved):
        return
    stride = dict(zip(order, contiguous_strides(moved.shape), strict=True))
    operand = Operand(OperandKind.NODE, index, moved.dtype, moved.shape)
    before = View(operand, node.shape, tuple(stride[i] for i in range(len(at))))
    readers = {
        reader: _reading(program.nodes[reader], index, before, keeps_shape=reader in program.roots)
        for reader in program.readers[index]
    }
    if any(new is None for new in readers.values()):
        return
    program.replace(index, moved)
    for reader, new in readers.items():
        assert new is not None
        program.replace(reader, new)


def copied_view(node: Node) -> View | None:
    """What a node that only copies shows of its operand, dimension by dimension; else None."""
    if node.instructions or node.guards or node.domain or len(node.loads) != 1 or node.result != 1:
        return None
    (load,), (operand,) = node.loads, node.operands
    if load.skip or operand.dtype is not node.dtype:
        return None
    strides, offset = [0] * len(node.shape), load.offset
    for axis in load.axes:
        if not is_inside(node, axis):
            return None
        offset += axis.stride * axis.const
        for term in axis.terms:
            strides[term.source] += axis.stride * term.coef
    return View(operand, node.shape, tuple(strides), offset)


def is_product(node: Node) -> bool:
    """Is the node a matrix product: acc = fma(load, load, acc), nothing of it out of bounds?"""
    if not all(is_inside(node, axis) for load in node.loads for axis in load.axes):
        return False
    if not node.domain or node.guards or len(node.instructions) != 1:
        return False
    (step,) = node.instructions
    loads = range(1, 1 + len(node.loads))
    factors = step.op is Op.FMA and step.a in loads and step.b in loads
    return factors and step.c == 0 and node.result == node.first_instruction


def _reads(operand: Operand, index: int) -> bool:
    return operand.kind is OperandKind.NODE and operand.index == index


def _cut(node: Node, strides: set[int]) -> Node | None:
    """The node with its output dimensions split so that each of ``strides`` begins one."""
    for stride in sorted(strides - {node.numel}):
        own = contiguous_strides(node.shape)
        if stride in own:
            continue
        coordinate = next((i for i, s in enumerate(own) if s < stride), None)
        if stride < 1 or coordinate is None or stride % own[coordinate]:
            return None
        split = split_coordinate(node, coordinate, stride // own[coordinate])
        if split is None:
            return None
        node = split
    return node


def _reading(node: Node, copy: int, view: View, *, keeps_shape: bool) -> Node | None:
    """``node`` with the loads of node ``copy`` reading what it copied; None if they cannot."""
    slots = {k for k, operand in enumerate(node.operands) if _reads(operand, copy)}
    position = 0
    while position < len(node.loads):
        load = node.loads[position]
        if load.operand not in slots:
            position += 1
            continue
        through = read_through(node, load, view)
        if isinstance(through, Load):
            loads = (*node.loads[:position], through, *node.loads[position + 1 :])
            node = replace(node, loads=loads)
            position += 1
            continue
        if through is None or (keeps_shape and through.coordinate < len(node.shape)):
            return None
        split = split_coordinate(node, through.coordinate, through.inner)
        if split is None:
            return None
        node = split
    operands = [view.operand if k in slots else o for k, o in enumerate(node.operands)]
    node = with_operands(node, operands)
    return node if _is_affordable(node) else None


def _is_affordable(node: Node) -> bool:
    try:
        check_affordable(node)
    except BodyTooLarge:
        return False
    return True


def _last_stride(view: View) -> int:
    """Step of a view's innermost dimension in the source."""
    strides = [s for n, s in zip(view.shape, view.strides, strict=True) if n > 1]
    return strides[-1] if strides else 0


def _fastest(axis: Axis) -> int:
    """The innermost coordinate that an axis follows; -1 if none."""
    return max((t.source for t in axis.terms if not t.source & LOADED_WORD), default=-1)
