"""Machine code for folds, by LLVM: a region of nodes becomes one function over its units.

Read in this order: `space` (index spaces and addresses), `group` (which nodes share a loop),
`emitter` and `lanes` (LLVM's text form, one instruction of a body), `memory` (loads and stores),
`loops` and `reduce` (the loops), `function` (the whole), `machine` and `cache` (from text to code).

Order of additions: lanes are outputs, and each output's accumulator sees its terms in row-major
order. Only folds whose operation is exactly associative spread one output over lanes.
"""
