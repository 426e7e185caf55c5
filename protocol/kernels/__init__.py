"""Execution of folds: the slow exact evaluator (`reference`) and the CPU engine (`cpu`)."""

from protocol.kernels.executor import Executor
from protocol.kernels.isa import instruction_sets

__all__ = ["Executor", "instruction_sets"]
