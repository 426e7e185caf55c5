"""Training as the task says: run steps, checkpoint, resume, execute a segment again.

Read in this order: `tensors`, `task`, `hooks`, `step`, `partials`, `checkpoints`, `trainer`,
`replay`; then `recorded`, `contents`, `receipt`, `recorder` (what a run wrote down), and `sides`,
`stand_in`, `diff` (where two of them part).
"""

from protocol.training.checkpoints import CheckpointError, CheckpointFolder, Checkpoints
from protocol.training.hooks import Hooks
from protocol.training.replay import Replay
from protocol.training.step import StepRunner
from protocol.training.task import Task, TaskError
from protocol.training.tensors import Tensor, TensorError, state_root
from protocol.training.trainer import Progress, Trainer

__all__ = [
    "CheckpointError",
    "CheckpointFolder",
    "Checkpoints",
    "Hooks",
    "Progress",
    "Replay",
    "StepRunner",
    "Task",
    "TaskError",
    "Tensor",
    "TensorError",
    "Trainer",
    "state_root",
]
