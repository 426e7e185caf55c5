"""Training speed against stock PyTorch in f32: same model, machine and number of threads.

    python scripts/bench_training.py [--models mlp transformer convnet] [--threads 2] [--json]

Each side runs in a process of its own, in turns: two thread pools in one process starve each other.
A step is forward, backward and AdamW (for PyTorch its default options). `commit` is the time to
hash the whole state, once per checkpoint.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

ROUNDS = 3
STEPS = 6
WARM_UP = 2

Setup = tuple[nn.Module, tuple[np.ndarray, np.ndarray], int, Callable[..., torch.Tensor]]


class Block(nn.Module):
    """A pre-norm transformer block with causal attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, length, width) to the same."""
        batch, length, width = x.shape
        parts = self.qkv(self.norm1(x)).split(width, 2)
        q, k, v = (p.view(batch, length, self.heads, -1).transpose(1, 2) for p in parts)
        scores = q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        weights = scores.masked_fill(~causal, float("-inf")).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """A small language model; logits of shape (batch * length, vocabulary)."""

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, length) integers to logits."""
        x = self.blocks(self.tokens(tokens) + self.places)
        return self.head(self.norm(x)).flatten(0, 1)


def flat_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over all tokens."""
    return nn.functional.cross_entropy(logits, targets.flatten())


def setup(name: str) -> Setup:
    """Model, data, batch size and loss of a benchmark."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    if name == "mlp":
        model: nn.Module = nn.Sequential(
            nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )
        inputs = random.standard_normal((1024, 784)).astype(np.float32)
        return model, (inputs, _classes(random, 1024)), 128, nn.functional.cross_entropy
    if name == "convnet":
        model = nn.Sequential(
            *(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
            *(nn.Flatten(), nn.Linear(64, 10)),
        )
        inputs = random.standard_normal((128, 3, 32, 32)).astype(np.float32)
        return model, (inputs, _classes(random, 128)), 32, nn.functional.cross_entropy
    model = Transformer(vocabulary=512, width=128, layers=4, heads=4, length=64)
    tokens, targets = random.integers(0, 512, (2, 64, 64)).astype(np.int32)
    return model, (tokens, targets), 16, flat_cross_entropy


def _classes(random: np.random.Generator, count: int) -> np.ndarray:
    return random.integers(0, 10, count).astype(np.int32)


def time_pinpoint(name: str, threads: int) -> dict[str, float]:
    """Seconds of the best step and of hashing the state, and the number of nodes."""
    from protocol.capture.task import task_from
    from protocol.kernels import Executor
    from protocol.training import StepRunner
    from protocol.training.tensors import roots_of

    model, data, batch, loss = setup(name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    run = task_from(model, loss, optimizer, data, steps=STEPS, interval=STEPS, batch_size=batch)
    runner = StepRunner(run.program, Executor(threads))
    state = [array for _, array in run.state]
    tensors = [array for _, array in run.data]
    times = []
    for step in range(STEPS):
        start = time.perf_counter()
        state = runner.run(step, state, tensors, consume=True)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    roots_of(state, threads)
    commit = time.perf_counter() - start
    return {"step": min(times[WARM_UP:]), "commit": commit, "nodes": len(run.program.nodes)}


def time_pytorch(name: str, threads: int) -> dict[str, float]:
    """Seconds of the best step."""
    torch.set_num_threads(threads)
    model, (inputs, targets), batch, loss = setup(name)
    model = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x, y = torch.from_numpy(inputs[:batch]), torch.from_numpy(targets[:batch]).long()
    x = x if x.is_floating_point() else x.long()
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return {"step": min(times[WARM_UP:])}


def in_process(side: str, name: str, threads: int) -> dict[str, float]:
    """One side's figures, measured in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--models", name]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def compare(name: str, threads: int) -> dict[str, Any]:
    """Both sides in turns; medians."""
    rounds = [
        {side: in_process(side, name, threads) for side in ("pinpoint", "pytorch")}
        for _ in range(ROUNDS)
    ]
    ours, theirs = (
        statistics.median(r[side]["step"] for r in rounds) for side in ("pinpoint", "pytorch")
    )
    return {
        "model": name,
        "threads": threads,
        "nodes": rounds[0]["pinpoint"]["nodes"],
        "pinpoint_ms": round(1e3 * ours, 2),
        "pytorch_ms": round(1e3 * theirs, 2),
        "throughput_ratio": round(theirs / ours, 3),
        "commit_ms": round(1e3 * min(r["pinpoint"]["commit"] for r in rounds), 2),
    }


def main() -> None:
    """Print a table, or JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["mlp", "transformer", "convnet"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one JSON object per model")
    parser.add_argument("--side", choices=["pinpoint", "pytorch"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        timers = {"pinpoint": time_pinpoint, "pytorch": time_pytorch}
        print(json.dumps(timers[options.side](options.models[0], options.threads)))
        return
    if not options.json:
        print(f"{'model':12} {'threads':>7} {'nodes':>6} {'Pinpoint':>10} {'PyTorch':>10}", end="")
        print(f" {'ratio':>7} {'commit':>9}")
    for name in options.models:
        row = compare(name, options.threads)
        if options.json:
            print(json.dumps(row))
        else:
            print(
                f"{name:12} {row['threads']:7} {row['nodes']:6} {row['pinpoint_ms']:7.2f} ms "
                f"{row['pytorch_ms']:7.2f} ms {row['throughput_ratio']:7.3f} "
                f"{row['commit_ms']:6.2f} ms"
            )


if __name__ == "__main__":
    main()
