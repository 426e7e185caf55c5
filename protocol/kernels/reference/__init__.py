"""Slow, exact evaluation of folds: the judge of every kernel and of the contract."""
