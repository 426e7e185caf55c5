"""Agents: requester, solver, verifier.

Each is a reader, a pure strategy and a sender around a journal. Read in this order: `duties`,
`book`, `reader`, `sender`, `journal`, `attempts`, `bundle`, `served`; `appraisal`, `bids`,
`solver`; `checking`, `verifier`; `requester`.
"""
