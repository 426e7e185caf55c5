"""Lowering of core ATen operators to folds, one file per family."""
