"""Writes examples/digits: the task folder of the demo's classifier, and what its requester offers.

python scripts/make_example.py            write it anew
python scripts/make_example.py --check    fail if it is not what capture makes today
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from protocol.capture.examples import digits
from protocol.training.task import Task

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "digits"


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    task = Task.create(**digits.make_task().parts())
    if parser.parse_args().check:
        stored = Task.load(FOLDER).manifest.root
        if stored != task.manifest.root:
            sys.stderr.write(
                f"{FOLDER} holds task 0x{stored.hex()}, capture makes "
                f"0x{task.manifest.root.hex()}: run scripts/make_example.py\n"
            )
            return 1
        return 0
    task.save(FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
