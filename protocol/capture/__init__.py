"""Capture: PyTorch module, loss and optimiser to a program of folds."""
