"""Optimisers that PyTorch lacks, as ordinary ``torch.optim.Optimizer`` classes."""

from protocol.capture.optim.lion import Lion

__all__ = ["Lion"]
