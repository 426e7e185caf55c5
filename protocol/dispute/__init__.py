"""The dispute game as data: positions, moves, clocks, the reference model, and both sides' play.

Nothing here does I/O: a reader turns events into a position, a strategy here turns the position
into a move, and a sender submits it.
"""
