"""Folds on NVIDIA GPUs: CUDA source per node, compiled at run time, the bits of the reference."""
