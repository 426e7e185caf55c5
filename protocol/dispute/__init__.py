"""The dispute game as data: positions, moves, clocks, the reference model, both sides' play.

Nothing here does I/O: a reader turns events into a situation, a strategy turns the situation into a
move, and a sender submits it. Read in this order: `state`, `moves`, `turns`, `clock`, `queue` (the
contract's nouns), `model` with `rules` (its checks), `execution` and `proofs` (what a party knows
and shows), `defender` and `challenger` (the play), `fault` and `place` (the report), `toy` (a run
for tests).
"""
