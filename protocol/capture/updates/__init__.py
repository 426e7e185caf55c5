"""What follows the gradients; and one file per optimiser: its state, its columns, its folds."""
