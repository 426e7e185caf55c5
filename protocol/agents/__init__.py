"""Agents: requester, solver, verifier.

Each is a reader, a pure strategy and a sender around a journal.
"""
