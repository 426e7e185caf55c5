"""Agents: requester, solver, verifier.

Each is a reader, a pure strategy and a sender around a journal. Read in this order: `duties`,
`watch`; `sender`, `journal`, `attempts`, `moves`; `bundle`, `served`; `appraisal`, `bids`, `runs`,
`solver`; `checking`, `openings`, `verifier`; `requester`; `process`; `money`.
"""
