"""The table as a page, its bars, and what has moved between two tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protocol.chain.presets import PRESETS
from protocol.dispute.bounds import rounds

CODE_BYTES = 24_576  # EIP-170
DISPUTE_GAS = 2_500_000
JUDGEMENT_GAS = 400_000
TRANSACTIONS = 9
SOLVER_GAS = min(preset.market.solver_gas for preset in PRESETS.values())
"""What a challenger's bond covers of the solver's gas."""
TOLERANCE = 0.02
"""Figures may move by this share before the check speaks."""

LARGEST = {
    "checkpoints": 2**16 + 1,
    "steps of a segment": 2**16,
    "nodes": 2**16,
    "chunks of a tensor": 2**23,
    "terms of a fold": 2**24,
}
"""Trees of the largest program, and of a run of four billion steps."""

DRAWN = "disputes of the digits"
DRAWN_TOLERANCE = 0.05
"""Agents draw salts: chance says whether a drawn verifier opens, and a move or two costs more."""

SERVED = "leaves served"


def figures(table: Any, place: str = "") -> Iterator[tuple[str, int]]:
    """Every number of a table with its place."""
    if isinstance(table, int):
        yield place, table
    elif isinstance(table, dict):
        for key, value in table.items():
            yield from figures(value, f"{place} / {key}" if place else key)
    elif isinstance(table, list):
        for number, value in enumerate(table):
            yield from figures(value, f"{place} {number}")


def differences(committed: dict[str, Any], measured: dict[str, Any]) -> list[str]:
    """What moved beyond its tolerance, came or went; only in sections that were measured."""
    old = dict(figures({key: committed.get(key) for key in measured}))
    new = dict(figures(measured))
    return [
        f"{place}: {old.get(place, 'nothing')} in docs/gas.json, {new.get(place, 'nothing')} now"
        for place in sorted(old.keys() | new.keys())
        if not (place.startswith(DRAWN) and "/ moves" in place)
        and abs(new.get(place, -1) - old.get(place, -1)) > _tolerance(place) * old.get(place, 0)
    ]


def _tolerance(place: str) -> float:
    return DRAWN_TOLERANCE if place.startswith(DRAWN) else TOLERANCE


def all_disputes(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every dispute of a table by its name."""
    return table["disputes of the toy"] | table[DRAWN]


def longest_dispute(table: dict[str, Any]) -> int:
    """Gas that its solver pays, computed: each move at its dearest, every level by bisection."""
    dearest: dict[str, int] = {}
    for dispute in all_disputes(table).values():
        for function, gas in dispute["moves"]:
            dearest[function] = max(gas, dearest.get(function, 0))
    once = ("postSegment", "postTrace", "openTensor", "openChunk", "postFold", "openTerm")
    reveals = sum(rounds(size) for size in LARGEST.values())
    return sum(dearest[name] for name in once) + reveals * dearest["reveal"] + JUDGEMENT_GAS


def judged(table: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, int]]]:
    """(program, operator, kind, its worst judgement) for each that was measured."""
    for program, told in table["judgements"].items():
        for operator, kinds in told["operators"].items():
            for kind, worst in kinds.items():
                yield program, operator, kind, worst


def broken_bars(table: dict[str, Any]) -> list[str]:
    """What must not be and is; empty if all is well."""
    broken = [
        f"{name} has {size:,} bytes of code, the chain takes {CODE_BYTES:,}"
        for name, size in table["sizes"].items()
        if size > CODE_BYTES
    ]
    for name, dispute in all_disputes(table).items():
        served = SERVED in name
        if served and dispute["transactions"] > TRANSACTIONS:
            broken.append(f"{name}: {dispute['transactions']} transactions, the bar is nine")
        if served and dispute["gas"] > DISPUTE_GAS:
            broken.append(f"{name}: {dispute['gas']:,} gas, the bar is {DISPUTE_GAS:,}")
        if dispute["judgement"] > JUDGEMENT_GAS:
            broken.append(f"{name}: judged for {dispute['judgement']:,}, above {JUDGEMENT_GAS:,}")
        if dispute["solver"] > SOLVER_GAS:
            broken.append(f"{name}: {dispute['solver']:,} for the solver, covered {SOLVER_GAS:,}")
    if longest_dispute(table) > SOLVER_GAS:
        broken.append(f"the longest dispute: {longest_dispute(table):,} for the solver")
    for program, operator, kind, worst in judged(table):
        if not worst["gas"] <= worst["bound"] <= JUDGEMENT_GAS:
            broken.append(
                f"{program}, {operator} by {kind}: {worst['gas']:,} gas, bound {worst['bound']:,}, "
                f"cap {JUDGEMENT_GAS:,}"
            )
    return broken


def render(table: dict[str, Any]) -> str:
    """The page docs/GAS.md."""
    parts = [
        "# Gas",
        "Measured and written by `python scripts/gas_table.py --write`; `gas.json` has the same "
        "figures. Whole transactions, base and calldata (EIP-7623) included, on py-evm with "
        "Prague's rules, unless said otherwise.",
        "## Bars",
        _bars(table),
        "## Disputes, from challenge to verdict",
        _disputes(table),
        "The longest dispute has every level bisected: "
        + ", ".join(f"{size:,} {name}" for name, size in LARGEST.items())
        + ". Each move counts at its dearest above, the judgement at its cap.",
        "## Judgements of captured programs",
        "Every node, by arithmetic and by its dearest load, in the dearest way for a dispute to "
        "end: the solver is right, it has no credit yet, and nothing was burned in this market "
        "before. The bound is that of `protocol/program/cost.py`, which validation holds below "
        f"{JUDGEMENT_GAS:,}.",
        *(_program(name, told) for name, told in table["judgements"].items()),
        "## Entry points",
        "The most that was seen: first uses of an account's storage included.",
        _rows(("function", "gas"), table["entry points"].items()),
        "## Code",
        _rows(("contract", "bytes"), table["sizes"].items()),
        f"The chain's limit is {CODE_BYTES:,} bytes.",
        "## Operations of the judge",
        "Execution only. An instruction with the interpreter's loop around it, the most over hard "
        "words; a float operation with its call, median and most.",
        _operations(table),
    ]
    return "\n\n".join(parts)


def _bars(table: dict[str, Any]) -> str:
    played = all_disputes(table)
    served = [dispute for name, dispute in played.items() if SERVED in name]
    worst = dict.fromkeys(("arithmetic", "load"), 0)
    for _, _, kind, row in judged(table):
        worst[kind] = max(worst[kind], row["gas"])
    rows = [
        ("transactions of a dispute, leaves served", TRANSACTIONS, _most(served, "transactions")),
        ("gas of a dispute, leaves served", DISPUTE_GAS, _most(served, "gas")),
        ("gas that a solver pays for a dispute", SOLVER_GAS, _most([*played.values()], "solver")),
        ("the same in the longest dispute, computed", SOLVER_GAS, longest_dispute(table)),
        ("gas of a judgement by arithmetic", JUDGEMENT_GAS, worst["arithmetic"]),
        ("gas of a judgement by load", JUDGEMENT_GAS, worst["load"]),
        ("bytes of code of a contract", CODE_BYTES, max(table["sizes"].values())),
    ]
    return _rows(("figure", "bar", "worst measured"), rows)


def _most(disputes: list[dict[str, Any]], key: str) -> int:
    return max(dispute[key] for dispute in disputes)


def _disputes(table: dict[str, Any]) -> str:
    played = all_disputes(table)
    keys = ("transactions", "gas", "solver", "judgement")
    rows = [(name, *(dispute[key] for key in keys)) for name, dispute in played.items()]
    head = ("dispute", "transactions", "gas", "of which the solver", "of which judged")
    overview = _rows(head, rows)
    columns = {name: dict(d["moves"]) for name, d in played.items() if SERVED in name}
    functions = dict.fromkeys(f for moves in columns.values() for f in moves)
    detail = [(f, *(moves.get(f, "") for moves in columns.values())) for f in functions]
    return overview + "\n\n" + _rows(("move", *columns), detail)


def _program(name: str, told: dict[str, Any]) -> str:
    rows = []
    for operator, kinds in told["operators"].items():
        cells: list[Any] = [operator]
        for kind in ("arithmetic", "load"):
            worst = kinds.get(kind)
            cells += [worst["gas"], worst["bound"]] if worst else ["", ""]
        rows.append(cells)
    head = ("operator", "arithmetic", "bound", "load", "bound")
    return f"### {name}, {told['nodes']} nodes\n\n" + _rows(head, rows)


def _operations(table: dict[str, Any]) -> str:
    floats = table["float operations"]
    rows = [
        (name, gas, *(floats.get(name, {}).get(key, "") for key in ("median", "most")))
        for name, gas in table["instructions"].items()
    ]
    return _rows(("operation", "instruction", "float median", "float most"), rows)


def _rows(head: Any, rows: Any) -> str:
    """A table in Markdown; numbers with thousands separators, to the right."""
    lines = [_line(head), "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(cells: Any) -> str:
    return "| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in cells) + " |"
