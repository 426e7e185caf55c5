"""A model on real data through the market: `scripts/real_data`.

    scripts/real_data NAME [--steps N] [--lie one-ulp|lazy] [--stock N] [--png FILE] [--keep FOLDER]

NAME is an example of `examples/`. Its data is fetched, its task is built, and it is sold twice on a
devnet of real processes: an honest solver is paid, a cheating one is convicted. Then the delivered
model is judged in plain PyTorch on what it has not seen, stock PyTorch trains on the same batches,
and the losses of all three are drawn. Where nothing is trained, the delivered outputs are judged,
and there is nothing to draw. Exit code 0 if everything ended as it must.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from protocol.capture.captured import Captured
from protocol.capture.examples.packages import PackageError
from protocol.chain.errors import ChainError
from protocol.training.task import Task
from scripts.devnet.town import TownError, town
from scripts.real import curves, example, lie
from scripts.real.example import Example, ExampleError
from scripts.real.market import Market, Sale
from scripts.real.stock import state_of, stock_losses

PICTURES: Final = Path(".cache") / "curves"
STOCK_STEPS: Final = 60


def main(arguments: list[str] | None = None) -> int:
    """Play; the exit code."""
    chosen = parser().parse_args(arguments)
    started = time.monotonic()
    try:
        found = example.load(chosen.name)
        with tempfile.TemporaryDirectory(prefix="pinpoint-real-") as temporary:
            play(found, chosen, chosen.keep or Path(temporary))
    except (ExampleError, PackageError, TownError, ChainError, LookupError) as error:
        tell(f"FAILED: {error}")
        return 1
    tell(f"passed in {time.monotonic() - started:.0f} s")
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    names = example.names()
    made = argparse.ArgumentParser(
        prog="scripts/real_data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("name", metavar="NAME", choices=names, help=f"one of {', '.join(names)}")
    made.add_argument("--steps", type=_count, help="train so many; default: the example's own")
    made.add_argument("--lie", choices=sorted(lie.LIES), default=lie.ONE_ULP)
    made.add_argument(
        "--stock", type=int, default=STOCK_STEPS, help="steps of stock PyTorch; 0: none"
    )
    made.add_argument("--png", type=Path, help="the picture; default: .cache/curves/NAME.png")
    made.add_argument("--node", choices=("hardhat", "anvil"), default="hardhat")
    made.add_argument("--keep", type=_empty, help="a new folder for logs and homes, which stays")
    return made


def play(found: Example, chosen: argparse.Namespace, folder: Path) -> None:
    """All of it. TownError where something does not end as it must."""
    steps = chosen.steps or found.steps
    task, names = build(found, steps, folder / "task")
    with town(folder, chosen.node) as people:
        market = Market(people, folder / "task", task)
        market.open()
        tell("an honest solver")
        honest = timed(market.sell_honestly)
        told = market.choose_lie(honest, chosen.lie)
        tell("a cheating solver")
        cheat = timed(lambda: market.sell_to_cheat(told))
        people.stop_all()
    if task.manifest.loss_state is None:
        judge(found, {"as delivered": honest.state})
        return
    initial = dict(zip(names, task.state, strict=True))
    judge(found, {"before training": initial, "as delivered": honest.state})
    stock = train_stock(found, steps, min(chosen.stock, steps))
    picture = chosen.png or PICTURES / f"{found.name}.png"
    title = f"{found.name}: {steps} steps; the lie is told in step {told.numbers[0]}"
    curves.draw(picture, title, honest.losses, cheat.losses, stock, told.numbers[0])
    if stock:
        worst = max(curves.differences(stock, honest.losses).values())
        tell(f"stock PyTorch, {len(stock)} steps: losses within {worst:.1e} of the solver's")
    tell(f"curves: {picture}")


def build(found: Example, steps: int, folder: Path) -> tuple[Task, list[str]]:
    """The task, in its folder, and the names of its state."""
    began = time.monotonic()
    captured: Captured = found.make_task(steps)
    task = Task.create(**captured.parts())
    task.save(folder)
    manifest = task.manifest
    size = sum(spec.nbytes for spec in manifest.state)
    tell(
        f"{manifest.name}: {manifest.nodes} nodes, {size / 1e6:,.1f} MB of state, "
        f"{sum(spec.nbytes for spec in manifest.data) / 1e6:,.1f} MB of data, {manifest.steps} "
        f"steps in {manifest.segments} segments; built in {time.monotonic() - began:.0f} s"
    )
    return task, [name for name, _ in captured.state]


def timed(sell: Callable[[], Sale]) -> Sale:
    """A sale, told with its time."""
    began = time.monotonic()
    sale = sell()
    for what, fact in sale.facts.items():
        tell(f"  {what}: {fact}")
    tell(f"  it took {time.monotonic() - began:.0f} s")
    return sale


def judge(found: Example, states: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Tell what the model can do, or what its outputs are good for, with each of the states."""
    for when, state in states.items():
        for what, text in found.evaluate(state).items():
            tell(f"{what} {when}: {text}")


def train_stock(found: Example, steps: int, few: int) -> dict[int, float]:
    """Losses of stock PyTorch in the first steps, from 1; after all of them its model is judged."""
    if few == 0:
        return {}
    if found.stock_losses is not None:
        losses = found.stock_losses(few)
    else:
        arguments = found.arguments(steps)
        losses = stock_losses(arguments, few)
        if few == steps:
            for what, text in found.evaluate(state_of(arguments["model"])).items():
                tell(f"{what} by stock PyTorch, trained as long: {text}")
    return dict(enumerate(losses, start=1))


def tell(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} steps are none: at least 1")
    return number


def _empty(text: str) -> Path:
    folder = Path(text)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise argparse.ArgumentTypeError(f"{folder} is there and not empty: name a new folder")
    return folder


if __name__ == "__main__":
    # Ended from outside, it still ends its node and its people.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
