"""Execution of folds: the slow exact evaluator (`reference`) and the CPU engine (`cpu`)."""

from protocol.kernels.executor import Executor, second_opinion
from protocol.kernels.isa import instruction_sets

__all__ = ["Executor", "instruction_sets", "second_opinion"]
