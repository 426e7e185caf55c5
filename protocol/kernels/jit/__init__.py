"""Machine code for folds, by LLVM: a region of nodes becomes one function over its units.

Read in this order: `space` (index spaces and addresses), `group` (which nodes share a loop),
`emitter` (LLVM's text, by loop depth), `lanes`, `nan` and `scaling` (an instruction of a body in
all lanes), `memory` (loads and stores), `loops`, `ranges`, `reduce` and `along` (the loops),
`function` (the whole), `machine` and `cache` (from text to code), `compile` (what the runtime
calls).

Order of additions: lanes are outputs, and each output's accumulator sees its terms in row-major
order. Only folds whose operation is exactly associative spread one output over lanes.
"""
