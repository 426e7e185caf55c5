"""Initial weights: given ones, and those that the program draws from the seed."""
