"""One file per optimiser: its state tensors, its columns of the schedule table and its folds."""
