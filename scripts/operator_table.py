"""docs/OPERATORS.md: the operators that capture lowers, out of the table of rules itself.

python -m scripts.operator_table            print it
python -m scripts.operator_table --write    write the page; a test holds the two equal
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from protocol.capture.lowering import graph  # noqa: F401 - importing it registers all rules
from protocol.capture.lowering.context import RULES
from protocol.capture.tracing.decompositions import ADDED

PAGE = Path(__file__).resolve().parents[1] / "docs" / "OPERATORS.md"
HEAD = """# Operators that capture supports

Generated from the rules in `protocol/capture/lowering/` by `scripts/operator_table.py --write`.
These are ATen operators: what a PyTorch function becomes when it is traced. `torch.nn` layers and
losses are made of them, forwards and backwards. An operator in neither table is first decomposed as
`torch._decomp.core_aten_decompositions` says; if a part is left without a rule, `task_from` raises
`UnsupportedOperator` with the operator's name, the module, the source line and what to do.

Held against PyTorch, forwards and backwards, by the float32 samples of torch's operator database
(`tests/capture/test_opinfo.py`): integers and comparisons exactly, numbers within 1e-5 of the
largest. The samples meet 167 of these operators; of the rest, random draws, creation and aliases
have tests of their own (`tests/capture/`), and some are decomposed before they are met. Of equal
numbers `topk` takes those with the lower index; sorting is stable. `fmod` and `remainder` are exact
for quotients below 2^24 and NaN beyond; a general `pow` errs by a few ulp, near overflow by up to
16.

"""


def page() -> str:
    """The whole page."""
    rows = ["| rules | operators |", "|---|---|"]
    for module, names in sorted(_lowered().items()):
        title = (import_module(module).__doc__ or "").split("\n\n")[0].split("\n")[0]
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        rows.append(f"| `{module.rsplit('.', 1)[1]}.py`: {title} | {listed} |")
    count = len({name for names in _lowered().values() for name in names})
    apart = ", ".join(f"`{packet}`" for packet in sorted(str(p) for p in ADDED))
    return (
        f"{HEAD}## Lowered to folds: {count} operators\n\n"
        + "\n".join(rows)
        + f"\n\n## Taken apart first, besides PyTorch's core decompositions\n\n{apart}\n"
    )


def _lowered() -> dict[str, set[str]]:
    """Operator names without overloads, by the module of their rule."""
    found: dict[str, set[str]] = {}
    for operator, rule in RULES.items():
        name = ".".join(str(operator).split(".")[:2])
        found.setdefault(rule.__module__, set()).add(name)
    return found


def main() -> int:
    """Print or write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
