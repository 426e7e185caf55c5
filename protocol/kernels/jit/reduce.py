"""Folds over a domain, and the choice of what the lanes are.

Order of additions: with lanes over outputs each accumulator sees its terms in row-major order of
the domain; where an output's terms are neighbours in memory, blocks of as many outputs as terms are
transposed in registers. Only exactly associative operations go `along` the terms.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.kernels.jit.along import fold_along_terms, nest_loops, runs_along_terms
from protocol.kernels.jit.emitter import Val, constant
from protocol.kernels.jit.group import Piece, associative
from protocol.kernels.jit.loops import GroupCode, Span, init, weight, with_domain
from protocol.kernels.jit.memory import LONGEST_STRIDE, Chunk

VECTOR_REGISTERS = {8: 16}  # by lanes: AVX2 has half as many as AVX-512 and NEON


def write_group(code: GroupCode, span: Span) -> None:
    """The whole group for the elements of ``span``."""
    folds = code.group.pieces[: code.group.folds]
    lanes = code.frame.width
    size = weight(code.group)
    if not folds:
        unroll = 4 if size <= 120 else 2 if size <= 240 else 1
        code.chunks(span, lanes, unroll, GroupCode.finish)
        return
    op = associative(folds[0].node)
    if op is not None and runs_along_terms(code, folds[0]):
        code.chunks(span, 1, 1, lambda own, chunks: fold_along_terms(own, folds[0], op, chunks))
        return
    if code.frame.fewest < max(2, lanes // 4):
        lanes = 1
    fits = 8 * len(folds) * 2 <= VECTOR_REGISTERS.get(lanes, 32)
    unroll = 8 if size <= 8 and fits else 4 if size <= 60 else 2
    if any(_far_apart(code, piece) for piece in folds):
        unroll = 1  # transposing is much code, and a tile has few rows
    code.chunks(span, lanes, unroll, lambda own, chunks: _fold_outputs(own, folds, chunks))


def _fold_outputs(code: GroupCode, folds: Sequence[Piece], chunks: Sequence[Chunk]) -> None:
    """Every lane folds its own terms in order. Accumulators: those of the first fold, ..."""
    lanes = chunks[0].lanes
    domain = folds[0].domain
    turned = {piece.member: _turned(piece, chunks[0]) for piece in folds}

    def last(indices: Sequence[Val], accs: Sequence[Val]) -> list[Val]:
        return _terms(code, folds, chunks, indices, accs, [{}] * len(accs))

    def row(indices: Sequence[Val], accs: Sequence[Val]) -> list[Val]:
        size = domain[-1]
        start = size - size % lanes if any(turned.values()) else 0
        if start:
            with code.e.loop(constant("l", 0), constant("l", start), lanes, accs) as loop:
                points = [*indices, loop.index]
                loop.next = _block(code, folds, chunks, turned, points, loop.carried)
            accs = loop.results
        if start < size:
            with code.e.loop(constant("l", start), constant("l", size), 1, accs) as loop:
                loop.next = last([*indices, loop.index], loop.carried)
            accs = loop.results
        return list(accs)

    accs = [code.e.spread(init(piece), lanes) for piece in folds for _ in chunks]
    accs = nest_loops(code, domain[:-1], accs, row) if domain else last([], accs)
    count = len(chunks)
    code.finish(chunks, [accs[i : i + count] for i in range(0, len(accs), count)])


def _terms(
    code: GroupCode,
    folds: Sequence[Piece],
    chunks: Sequence[Chunk],
    indices: Sequence[Val],
    accs: Sequence[Val],
    given: Sequence[dict[int, Val]],
) -> list[Val]:
    """All accumulators after one term, with as many lanes as before."""
    found = []
    count = len(chunks)
    points = [with_domain(chunk, indices) for chunk in chunks]
    for number, piece in enumerate(folds):
        own = slice(number * count, (number + 1) * count)
        found += code.terms(piece, points, accs[own], [{}] * count, given[own])
    return [code.e.spread(new, acc.lanes) for new, acc in zip(found, accs, strict=True)]


# Terms that are neighbours in memory, in lanes that are not.


def _far_apart(code: GroupCode, piece: Piece) -> bool:
    """Whether some load's lanes are neither neighbours nor the same."""
    last = len(code.group.dims) - 1
    return last >= 0 and any(
        access is not None and abs(access.direct().coefs[last]) > LONGEST_STRIDE
        for access in piece.accesses
    )


def _turned(piece: Piece, chunk: Chunk) -> list[int]:
    """Loads whose terms are neighbours while the lanes are far apart."""
    if chunk.lanes == 1 or chunk.vector is None or chunk.mask is not None or not piece.domain:
        return []
    return [
        k
        for k, access in enumerate(piece.accesses)
        if access is not None
        and not access.checks
        and access.address.coefs[-1] == 1
        and abs(access.address.coefs[chunk.vector]) > LONGEST_STRIDE
    ]


def _block(
    code: GroupCode,
    folds: Sequence[Piece],
    chunks: Sequence[Chunk],
    turned: dict[int, list[int]],
    indices: Sequence[Val],
    accs: Sequence[Val],
) -> list[Val]:
    """As many terms as lanes: each lane's terms are loaded as a vector, and all are transposed."""
    e = code.e
    columns = [
        {k: _transposed(code, piece, k, with_domain(chunk, indices)) for k in turned[piece.member]}
        for piece in folds
        for chunk in chunks
    ]
    for term in range(chunks[0].lanes):
        point = [*indices[:-1], e.add(indices[-1], constant("l", term))]
        given = [{k: vectors[term] for k, vectors in own.items()} for own in columns]
        accs = _terms(code, folds, chunks, point, accs, given)
    return list(accs)


def _transposed(code: GroupCode, piece: Piece, k: int, chunk: Chunk) -> list[Val]:
    """Vector t of the result holds term t of every lane."""
    e, lanes = code.e, chunk.lanes
    access = piece.accesses[k]
    assert access is not None
    assert chunk.vector is not None
    rows = []
    for lane in range(lanes):
        variables = list(chunk.variables)
        variables[chunk.vector] = e.add(variables[chunk.vector], constant("l", lane))
        along = Chunk(lanes, tuple(variables), len(variables) - 1)
        home = code.frame.sources[piece.member][access.slot]
        assert home is not None
        rows.append(code.memory.load(home, access, along, [])[0])
    span = lanes // 2
    while span:  # exchange the off-diagonal halves of every square of side 2 span
        for i in range(lanes):
            if i & span:
                continue
            a, b = rows[i], rows[i + span]
            keep = [j if not j & span else lanes + j - span for j in range(lanes)]
            move = [j + span if not j & span else lanes + j for j in range(lanes)]
            rows[i], rows[i + span] = code.e.shuffle(a, b, keep), code.e.shuffle(a, b, move)
        span //= 2
    return rows


def _shuffle(code: GroupCode, a: Val, b: Val, picks: Sequence[int]) -> Val:
    mask = ", ".join(f"i32 {pick}" for pick in picks)
    text = f"shufflevector {a.typed}, {b.typed}, <{len(picks)} x i32> <{mask}>"
    return code.e.value(a.kind, len(picks), text, [a, b])
